"""`manage.py verify_workspace NAME …`: are the files in storage what was stored?"""

from jobs.console.command import OperatorCommand
from runner.console.verification import verify_workspaces


class Command(OperatorCommand):
    help = (
        "Hold the files in both storages against the manifests and the database. In medium privacy storage every file "
        "must be one that was released. Changes nothing. Exit code 0: all is as it was stored; 1: see what is told."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("workspace", nargs="*", help="its whole name")
        parser.add_argument("--all", action="store_true", dest="all_of_them", help="each workspace there is in storage")
        parser.add_argument("--quick", action="store_true", help="compare sizes only, do not read the files")

    def answer(self, *, workspace: list[str], all_of_them: bool, quick: bool, as_json: bool, **options) -> int:
        return verify_workspaces(workspace, all_of_them=all_of_them, quick=quick, as_json=as_json)
