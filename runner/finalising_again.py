"""An operator asks that what a fault of ours cut off is finished: back to `executed`, or a sentence why that cannot be.

The command is never run again, so only what its one whole run has left can be finalised. What would give a wrong answer
is refused: a run that was never seen to end, a folder that is gone, outputs that a newer run has replaced. The wish is
taken back by the same update that answers it; a fault that comes again ends in `internal_error` again, without a wish.
"""

import logging

from jobs.errors import Unavailable
from jobs.models import Job
from jobs.states import StatusCode
from jobs.text import listed
from runner import outputs
from runner.steps import Tools
from runner.workspaces import Workspaces, folder

log = logging.getLogger(__name__)


def clear(job: Job, tools: Tools) -> None:
    """Remove container and folder of a job that was cut off, as an operator has asked; then it can only be run again.

    What is half stored is never left so: such a job has to be finalised. May be killed at any line, and asked again.
    Raises ExecutorUnavailable, InvalidTransition, OSError.
    """
    who, reason = job.retry_requested_by, job.retry_reason
    # A newer run has replaced what this one has half stored, and forbids that it is ever completed.
    if outputs.load_plan(job) and not job.newer_run():
        job.refuse_retry(
            f"The job runner failed; this is not the study's fault. {who} asked to have removed what was kept, but its "
            "outputs are half stored: have it finalised again."
        )
        return
    try:
        tools.followers.complete(job)  # where nobody has fetched it yet
    except Unavailable as error:
        log.warning("job %s: what its log still lacks is lost with its container: %s", job.identifier, error)
    tools.executor.remove(job.container_name)
    outputs.forget(job, tools.workspaces)
    left = tools.workspaces.remove(job)
    rest = f" Could not be removed: {listed([str(path) for path in left[:3]])}; remove it by hand." if left else ""
    log.info("job %s: what was kept is removed, asked for by %s: %s%s", job.identifier, who, reason, rest)
    job.record(
        **Job.NO_RETRY,
        was_cleared=True,
        status_message="The job runner failed; this is not the study's fault. Its container and folder have been "
        f"removed, asked for by {who}: run it again instead.",
    )


def answer(job: Job, workspaces: Workspaces) -> bool:
    """Grant or refuse the wish; whether the job lives again. May be killed at any line: then it is asked for still.

    Raises InvalidTransition, database errors, and ExecutorUnavailable or OSError if the workspace cannot be looked at.
    """
    who, reason = job.retry_requested_by, job.retry_reason
    if why := why_not(job, workspaces):
        log.warning("job %s: cannot be finalised again: %s", job.identifier, why)
        job.refuse_retry(
            f"The job runner failed; this is not the study's fault. {who} asked to have it finalised again, but {why}. "
            "Run it again instead."
        )
        return False
    log.info("job %s: finalised again, asked for by %s: %s", job.identifier, who, reason)
    job.move_to(
        StatusCode.EXECUTED,
        f"Finalised again, asked for by {who}: {reason}",
        by=who,
        **Job.NO_RETRY,
    )
    return True


def why_not(job: Job, workspaces: Workspaces = folder) -> str:
    """Empty, or why nothing true could come of it; goes on after "but"."""
    if newer := job.newer_run():
        return f"its action has been run again since (job {newer}), and older outputs must not replace newer ones"
    if job.is_stop_requested or job.outcome_code:
        return ""  # the outcome is known; nothing of the folder is needed
    if job.exit_code is None or not job.was_seen_to_end():
        return "nothing is left to be finalised: its command was never seen to end"
    if job.exit_code != 0 or outputs.load_plan(job) or workspaces.is_there(job):
        return ""
    return "nothing is left to be finalised: its folder is gone"
