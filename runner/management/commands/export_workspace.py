"""`manage.py export_workspace NAME`: what it has released, as one archive."""

from jobs.console.command import OperatorCommand
from runner.console.export import export_workspace


class Command(OperatorCommand):
    help = (
        "Write the released outputs of a workspace (medium privacy storage) as one zip file to EXPORT_DIR, each as it "
        "was released: one file that is not stops it. The archive is removed after EXPORTS_KEPT_DAYS."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("workspace", help="its whole name")
        parser.add_argument("--reason", help="why; kept in the audit")

    def answer(self, *, workspace: str, reason: str | None, as_json: bool, **options) -> None:
        export_workspace(workspace, reason=reason, as_json=as_json)
