"""`manage.py doctor`: look at everything that this installation stands on."""

from jobs.console.command import OperatorCommand
from jobs.console.doctor import consult
from jobs.doctor import names


class Command(OperatorCommand):
    needs_database = False  # what is wrong with it is a finding
    help = (
        "Look at the database, folders and disks, git and its hosts, Docker with its images, the job-server, the "
        "clock, chores and the mail server, and say what to do about what is not well. Changes nothing. Exit code 0: "
        "all well; 1: somebody should look; 2: something does not work."
    )
    failure_code = 2

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("part", nargs="*", help=f"only these: {', '.join(names())}")

    def answer(self, *, part: list[str], as_json: bool, **options) -> int:
        return consult(part, as_json=as_json)
