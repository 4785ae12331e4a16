"""What the page of a workspace shows: each action in each of the last requests, and the outputs that count now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from jobs.models import Job, JobOutput, JobRequest
from jobs.models.request_history import current_outputs, newest_success
from jobs.templatetags.system import duration

MOST_REQUESTS, MOST_ACTIONS, MOST_OUTPUTS = 20, 200, 200
_MOST_JOBS = MOST_REQUESTS * MOST_ACTIONS
_TALLEST = 36
_CELL = ("identifier", "request_id", "action", "state", "status_code", "stop_request", "started_at", "completed_at")


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
    """`requests` are its newest, the newest first; the columns go from old to new. One query."""
    known = {each.pk for each in requests}
    # Through the index of the workspace, whose newest jobs are those of its newest requests.
    found = Job.objects.filter(workspace=workspace).order_by("-pk").only(*_CELL)
    jobs = [job for job in found[:_MOST_JOBS] if job.request_id in known]
    cells = {(job.action, job.request_id): job for job in jobs}
    actions = list(dict.fromkeys(job.action for job in reversed(jobs)))
    old_to_new = list(reversed(requests))
    of_request: dict[int, list[Job]] = {}
    for job in jobs:
        of_request.setdefault(job.request_id, []).append(job)
    rows = [(action, [cells.get((action, each.pk)) for each in old_to_new]) for action in actions[:MOST_ACTIONS]]
    return Matrix(_columns(old_to_new, of_request), rows, max(0, len(actions) - MOST_ACTIONS))


def _columns(requests: Sequence[JobRequest], jobs: dict[int, list[Job]]) -> list[Column]:
    lasted = {each.pk: _lasted(jobs.get(each.pk, [])) for each in requests}
    longest = max([each.total_seconds() for each in lasted.values()], default=0.0) or 1.0
    return [
        Column(
            each,
            round(_TALLEST * lasted[each.pk].total_seconds() / longest),
            _kind(jobs.get(each.pk, [])),
            f"{each.get_outcome_display()}, {each.created_at:%Y-%m-%d %H:%M} UTC, took {duration(lasted[each.pk])}",
        )
        for each in requests
    ]


def _lasted(jobs: list[Job]) -> timedelta:
    begins = [job.started_at for job in jobs if job.started_at]
    ends = [job.completed_at for job in jobs if job.completed_at]
    return max(max(ends) - min(begins), timedelta()) if begins and ends else timedelta()


def _kind(jobs: list[Job]) -> str:
    states = {job.state for job in jobs}
    return next((each for each in ("failed", "running", "pending", "succeeded") if each in states), "pending")


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
