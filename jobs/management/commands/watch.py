"""`manage.py watch REQUEST`: until all of its jobs have ended."""

from jobs.console.command import OperatorCommand
from jobs.console.finding import request_called
from jobs.console.request_watch import watch


class Command(OperatorCommand):
    help = "Watch a request until all of its jobs have ended. Ctrl-C ends the watch; the jobs go on."

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("request", help="its identifier, or the beginning of it")
        parser.add_argument(
            "--exit-status", action="store_true", help="exit code 1 if it could not be planned or a job did not succeed"
        )

    def answer(self, *, request: str, exit_status: bool, as_json: bool, **options) -> int:
        succeeded = watch(request_called(request), as_json=as_json)
        return 1 if exit_status and not succeeded else 0
