"""Taking a running job back because the site needs its place: for a reboot, or for database maintenance.

The job loses this attempt and waits for the next one, which counts as nobody's failure. What has ended by itself is
finalised as ever: its work is done, and finalising takes moments. So the end of the command is looked for first; then
the wish is written down, and from there on no exit code is looked at any more. Otherwise a runner that is killed after
it has stopped the container would take our own kill for the study's failure.
"""

from jobs.models import Job
from jobs.states import StatusCode
from runner.capacity import Hold
from runner.executors.base import Phase
from runner.steps import Tools, leave_attempt, observe

# Before the command has ended. What comes after is carried through.
_TAKEN_BACK = frozenset({StatusCode.INITIATED, StatusCode.PREPARING, StatusCode.PREPARED, StatusCode.EXECUTING})
_SAYS = {
    StatusCode.WAITING_ON_REBOOT: "Stopped for a reboot.",
    StatusCode.WAITING_DB_MAINTENANCE: "Stopped for database maintenance.",
}


def is_due(job: Job, hold: Hold | None) -> bool:
    """Whether the job is to be taken back now: somebody wants it, or an earlier try has begun with it."""
    return job.status_code in _TAKEN_BACK and bool(hold or job.requeue_code)


def requeue(job: Job, tools: Tools, *, hold: Hold | None) -> None:
    """The step. Without a `hold` (it was lifted meanwhile) only what has been begun is carried through."""
    if not job.requeue_code:
        if job.status_code == StatusCode.EXECUTING and _has_ended(job, tools):
            observe(job, tools)
            return
        job.record(requeue_code=hold.code)
    code = StatusCode(job.requeue_code)
    tools.executor.stop(job.container_name)
    if job.was_executing():
        tools.followers.complete(job)
    said = hold.message if hold and hold.code == code else _SAYS[code]
    again = f"{said} It will be run again (attempt {job.attempt + 1})."
    leave_attempt(job, tools, code, again, requeue_code="", times_requeued=job.times_requeued + 1)


def _has_ended(job: Job, tools: Tools) -> bool:
    return tools.executor.status(job.container_name).phase is Phase.EXITED
