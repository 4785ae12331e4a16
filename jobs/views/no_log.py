"""Why there is nothing to read yet, or no longer: a sentence for an operator at three in the morning."""

from dataclasses import dataclass
from datetime import datetime

from jobs.models import Job
from jobs.states import State, StatusCode
from jobs.text import listed

NOT_ALLOWED = (
    "Your role does not read logs, because they may quote patients' records. An administrator can make you an operator."
)
_CONTAINER_IS_OVER = (StatusCode.EXECUTED, StatusCode.FINALIZING, StatusCode.FINALIZED)


@dataclass(frozen=True)
class NoLines:
    """`since`: when the container began to run, where that matters."""

    sentence: str
    since: datetime | None = None


def why_no_lines(job: Job, attempt: int, *, has_file: bool) -> NoLines:
    """Of a job whose log is empty or not there. One query at most."""
    if attempt < job.attempt:
        return NoLines(f"Attempt {attempt} has left no log.")
    if job.is_finished:
        return NoLines(_why_none_at_the_end(job, has_file))
    if job.status_code == StatusCode.EXECUTING:
        return NoLines("The container runs and has written nothing yet.", since=job.status_changed_at)
    if job.status_code in _CONTAINER_IS_OVER:
        return NoLines("The container has ended. Its log is being fetched.")
    if job.state == State.RUNNING:
        return NoLines("The container is being prepared. What it writes will appear here.")
    return NoLines(_why_it_waits(job))


def _why_none_at_the_end(job: Job, has_file: bool) -> str:
    if job.started_at is None:
        return "This job never started, so it has no log."
    if job.exit_code is None and not job.was_executing():
        return "Its container never started, so there is no log."
    if has_file:
        return "The container has ended without having written anything."
    return (
        "There is no log of this job: either its container never started, or its log has been removed from high "
        "privacy storage."
    )


def _why_it_waits(job: Job) -> str:
    awaited = sorted(job.waits_for.active().values_list("action", flat=True)[:100])
    if awaited:
        verb = "ends" if len(awaited) == 1 else "end"
        return f"This job has not started: it starts when {listed(awaited)} {verb}."
    return f"This job has not started. {job.status_message}".strip()
