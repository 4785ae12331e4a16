"""What the page of a workspace shows: each action in each of the last requests, and the outputs that count now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Max, Min, QuerySet

from jobs.models import Job, JobOutput, JobRequest
from jobs.models.request_history import current_outputs, most_urgent_actions, newest_success
from jobs.tallies import Tally, tallies
from jobs.text import duration_in_words

MOST_REQUESTS, MOST_ACTIONS, MOST_OUTPUTS = 20, 100, 100
_TALLEST = 36
_CELL = ("identifier", "request_id", "action", "state", "status_code", "stop_request")


@dataclass(frozen=True)
class Column:
    """A request: `height` is that of its bar, `kind` the worst of all its jobs; `is_cut`: some of these have no row."""

    request: JobRequest
    height: int
    kind: str
    words: str
    is_cut: bool

    @property
    def y(self) -> int:
        return _TALLEST - self.height


@dataclass(frozen=True)
class Matrix:
    columns: list[Column]
    rows: list[tuple[str, list[Job | None]]]
    is_cut: bool


def matrix_of(requests: Sequence[JobRequest]) -> Matrix:
    """`requests` are a workspace's newest, the newest first; the columns go from old to new."""
    pks = [each.pk for each in requests]
    actions = most_urgent_actions(pks, MOST_ACTIONS)
    shown = Job.objects.filter(request__in=pks, action__in=actions).order_by()
    cells: dict[int, dict[str, Job]] = {pk: {} for pk in pks}
    for job in shown.only(*_CELL):
        cells[job.request_id][job.action] = job
    old_to_new = list(reversed(requests))
    columns = _columns(old_to_new, cells, _lasted(shown), tallies(pks))
    if len(actions) < MOST_ACTIONS:
        actions = list(dict.fromkeys(action for each in old_to_new for action in _as_planned(cells[each.pk])))
    rows = [(action, [cells[each.pk].get(action) for each in old_to_new]) for action in actions]
    return Matrix(columns, rows, is_cut=any(column.is_cut for column in columns))


def _as_planned(jobs: dict[str, Job]) -> list[str]:
    return sorted(jobs, key=lambda action: jobs[action].pk)


def _columns(
    requests: Sequence[JobRequest],
    cells: dict[int, dict[str, Job]],
    lasted: dict[int, timedelta],
    tally_of: dict[int, Tally],
) -> list[Column]:
    longest = max([each.total_seconds() for each in lasted.values()], default=0.0) or 1.0
    columns = []
    for each in requests:
        took, shown, tally = lasted.get(each.pk, timedelta()), len(cells[each.pk]), tally_of[each.pk]
        height = round(_TALLEST * took.total_seconds() / longest)
        columns.append(Column(each, height, tally.worst, _words(each, took, shown, tally), shown < tally.total))
    return columns


def _words(request: JobRequest, lasted: timedelta, shown: int, tally: Tally) -> str:
    took = f"took {duration_in_words(lasted)}"
    if shown < tally.total:
        took = f"{shown} of {tally.total} jobs shown, these {took}" if shown else f"none of {tally.total} jobs shown"
    elif not lasted:
        took = "nothing has ended yet" if tally.total else "nothing ran"
    outcome = tally.in_words if tally.total else request.get_outcome_display()
    return f"{outcome}, {request.created_at:%Y-%m-%d %H:%M} UTC, {took}"


def _lasted(jobs: QuerySet) -> dict[int, timedelta]:
    """Primary key of a request -> from the first begin to the last end of these jobs of it."""
    rows = jobs.values_list("request").annotate(begin=Min("started_at"), end=Max("completed_at"))
    return {pk: max(end - begin, timedelta()) for pk, begin, end in rows if begin and end}


@dataclass(frozen=True)
class Output:
    row: JobOutput
    out_of_date: str


def outputs_of(workspace: str, requests: Sequence[JobRequest]) -> list[Output]:
    """The current outputs, and why one may no longer be what the study would make now. Three queries."""
    rows = current_outputs(workspace, MOST_OUTPUTS)
    study = next((each.study_actions for each in requests if each.study_actions), [])
    actions = {row.job.action for row in rows} | {need for row in rows for need in row.job.needs}
    newest = newest_success(workspace, sorted(actions))
    return [Output(row, _out_of_date(row.job, set(study), newest)) for row in rows]


def _out_of_date(job: Job, study: set[str], newest: dict[str, int]) -> str:
    if study and job.action not in study:
        return "no action makes it any more"
    if any(newest.get(need, 0) > job.pk for need in job.needs):
        return "its inputs were made anew since"
    return ""
