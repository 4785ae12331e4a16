"""`manage.py jobs`: what runs, what waits and why, what has ended."""

from pydantic import ValidationError

from jobs.api.finding import JobFilters
from jobs.api.problems import Trouble
from jobs.console.command import OperatorCommand, Refused
from jobs.console.finding import request_called
from jobs.console.job_list import show_jobs
from jobs.states import State


class Command(OperatorCommand):
    help = "List jobs, the newest first."

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--state", choices=[str(state) for state in State], help="only in this state")
        parser.add_argument("--workspace", help="only of this workspace")
        parser.add_argument("--action", help="only of this action")
        parser.add_argument("--request", help="only of this request; the beginning of its identifier is enough")
        parser.add_argument("--requester", help="only what this person has asked for")
        parser.add_argument("--needs-db", action="store_true", default=None, help="only what reads the database")
        parser.add_argument("--limit", type=int, default=30, help="at most so many (1 to 500; default 30)")
        parser.add_argument("--after", help="go on after this job, as the page before says")

    def answer(self, *, as_json: bool, request: str | None, **options) -> None:
        wanted = {name: options[name] for name in JobFilters.model_fields if options.get(name) is not None}
        if request:
            wanted["request"] = request_called(request).identifier
        try:
            show_jobs(JobFilters(**wanted), as_json=as_json)
        except ValidationError as error:
            first = error.errors()[0]
            raise Refused(f"--{'-'.join(map(str, first['loc']))}: {first['msg']}.") from error
        except Trouble as error:
            raise Refused(str(error)) from error
