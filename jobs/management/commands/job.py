"""`manage.py job ID`: all that is known of one job."""

from jobs.console.command import OperatorCommand
from jobs.console.finding import job_called
from jobs.console.job_sheet import show_job


class Command(OperatorCommand):
    help = "Show one job: how it stands and why, its outputs, and what became of it."

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("job", help="its identifier, or the beginning of it")

    def answer(self, *, job: str, as_json: bool, **options) -> None:
        show_job(job_called(job), as_json=as_json)
