"""`manage.py jobs`: the list, the newest first."""

from datetime import datetime

from django.utils import timezone
from rich.table import Table
from rich.text import Text

from jobs.api.finding import JobFilters, page_of_jobs
from jobs.api.schemas import JobRow
from jobs.console.command import print_json
from jobs.log import escape
from jobs.models import Job
from jobs.progress import LOOK
from jobs.results import terminal
from jobs.states import State
from jobs.text import duration_in_words

_WHOLE, _SHORT, _TIME = 16, 11, 7
# A name may have hundreds of letters; the others have to be seen beside it.
_MOST_WIDE = 40


def show_jobs(filters: JobFilters, *, as_json: bool) -> None:
    jobs, following = page_of_jobs(filters)
    if as_json:
        print_json({"jobs": [JobRow.from_orm(job).model_dump() for job in jobs], "next": following})
        return
    console = terminal()
    if not jobs:
        console.print("No job fits." if following is None else "No job fits among those that were looked at.")
    else:
        console.print(jobs_table(jobs))
    if following:
        console.print(f"Older ones: --after {following}", style="dim", markup=False)


def jobs_table(jobs: list[Job]) -> Table:
    table, now = Table(box=None, padding=(0, 2, 0, 0), header_style="dim"), timezone.now()
    # What is copied or compared is never cut; a narrow terminal cuts sentences and names.
    for name, least in (("state", 1), ("job", _WHOLE), ("workspace", 10), ("action", 12), ("request", _SHORT)):
        table.add_column(name, no_wrap=True, overflow="ellipsis", min_width=least, max_width=_MOST_WIDE)
    table.add_column("time", justify="right", no_wrap=True, min_width=_TIME)
    table.add_column("why", overflow="ellipsis", no_wrap=True, ratio=1)
    for job in jobs:
        row = (job.identifier, job.workspace, job.action, job.request.identifier[:_SHORT])
        table.add_row(state_of(job), *map(_plain, row), time_of(job, now), _plain(why_of(job)))
    return table


def state_of(job: Job) -> Text:
    """Sign and word; the word says more than the four states: cancelled is not failed."""
    sign, style = LOOK[State(job.state)]
    word = job.status_code.replace("_", " ") if job.state == State.FAILED else job.state
    return Text(f"{sign} {word}", style)


def time_of(job: Job, now: datetime) -> str:
    """How long it has waited, or run, or took."""
    if job.completed_at:
        return duration_in_words(job.completed_at - job.started_at) if job.started_at else "-"
    begun = job.started_at if job.has_begun and job.started_at else job.created_at
    return duration_in_words(max(now, begun) - begun)


def why_of(job: Job) -> str:
    asked = f"{job.get_stop_request_display()} asked for. " if job.is_active and job.stop_request else ""
    return asked + job.status_message


def _plain(text: str) -> Text:
    return Text(escape(text))
