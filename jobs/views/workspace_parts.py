"""What the page of a workspace shows: each action in each of the last requests, and the outputs that count now."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Max, Min, QuerySet

from jobs.models import Job, JobOutput, JobRequest
from jobs.models.request_history import current_outputs, newest_success, numbers_of_jobs
from jobs.templatetags.states import state_class
from jobs.templatetags.system import duration

MOST_REQUESTS, MOST_ACTIONS, MOST_OUTPUTS = 20, 200, 100
# So many of the newest jobs tell which actions there are.
_MOST_READ = 12_000
_URGENCY = ("failed", "running", "pending", "stopped", "succeeded")
_TALLEST = 36
_CELL = ("identifier", "request_id", "action", "state", "status_code", "stop_request")


@dataclass(frozen=True)
class Column:
    """A request: `height` is that of its bar, `kind` the class of its state."""

    request: JobRequest
    height: int
    kind: str
    words: str

    @property
    def y(self) -> int:
        return _TALLEST - self.height


@dataclass(frozen=True)
class Matrix:
    columns: list[Column]
    rows: list[tuple[str, list[Job | None]]]
    left_out: int


def matrix_of(workspace: str, requests: Sequence[JobRequest]) -> Matrix:
    """`requests` are its newest, the newest first; the columns go from old to new. Four queries."""
    pks = [each.pk for each in requests]
    actions, left_out = _actions(workspace, set(pks))
    shown = Job.objects.filter(request__in=pks, action__in=actions).order_by()
    cells: dict[int, dict[str, Job]] = {pk: {} for pk in pks}
    for job in shown.only(*_CELL):
        cells[job.request_id][job.action] = job
    old_to_new = list(reversed(requests))
    rows = [(action, [cells[each.pk].get(action) for each in old_to_new]) for action in actions]
    return Matrix(_columns(old_to_new, cells, _lasted(shown), numbers_of_jobs(pks)), rows, left_out)


def _actions(workspace: str, requests: set[int]) -> tuple[list[str], int]:
    """As they were planned; if there are too many, what failed or runs first. And how many are left out, at least."""
    newest = Job.objects.filter(workspace=workspace).order_by("-pk")
    found = newest.values_list("request_id", "action", "state", "status_code", named=True)[:_MOST_READ]
    jobs = [job for job in found if job.request_id in requests]
    kinds: dict[str, str] = {}
    for job in jobs:
        kinds.setdefault(job.action, state_class(job))
    actions = list(dict.fromkeys(job.action for job in reversed(jobs)))
    if len(actions) <= MOST_ACTIONS:
        return actions, 0
    urgent = sorted(actions, key=lambda action: _URGENCY.index(kinds[action]))
    return urgent[:MOST_ACTIONS], len(actions) - MOST_ACTIONS


def _columns(
    requests: Sequence[JobRequest],
    cells: dict[int, dict[str, Job]],
    lasted: dict[int, timedelta],
    numbers: dict[int, int],
) -> list[Column]:
    longest = max([each.total_seconds() for each in lasted.values()], default=0.0) or 1.0
    columns = []
    for each in requests:
        jobs, took, number = cells[each.pk].values(), lasted.get(each.pk, timedelta()), numbers.get(each.pk, 0)
        height = round(_TALLEST * took.total_seconds() / longest)
        columns.append(Column(each, height, _kind(jobs, number), _words(each, took, len(jobs), number)))
    return columns


def _words(request: JobRequest, lasted: timedelta, shown: int, number: int) -> str:
    took = f"took {duration(lasted)}"
    if shown < number:
        took = f"{shown} of {number} jobs shown, these {took}" if shown else f"none of {number} jobs shown"
    return f"{request.get_outcome_display()}, {request.created_at:%Y-%m-%d %H:%M} UTC, {took}"


def _lasted(jobs: QuerySet) -> dict[int, timedelta]:
    """Primary key of a request -> from the first begin to the last end of these jobs of it."""
    rows = jobs.values_list("request").annotate(begin=Min("started_at"), end=Max("completed_at"))
    return {pk: max(end - begin, timedelta()) for pk, begin, end in rows if begin and end}


def _kind(jobs: Collection[Job], number: int) -> str:
    """Succeeded only if all of its jobs are among those that are shown, and have."""
    states = {job.state for job in jobs}
    worst = next((each for each in ("failed", "running", "pending", "succeeded") if each in states), "pending")
    return "pending" if worst == "succeeded" and len(jobs) < number else worst


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
