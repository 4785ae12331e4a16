"""The end of a job by a fault of the job runner itself: its container is stopped, and kept with its folder.

While the command may still run, the fault is written down before the container is stopped. Otherwise a runner that is
killed in between, or whose database takes nothing just then, would take our own kill for the study's failure.
"""

import contextlib
import logging

from jobs.errors import Unavailable
from jobs.models import Job
from jobs.states import StatusCode
from runner.steps import Tools

log = logging.getLogger(__name__)

# The command has not been seen to end.
_MAY_RUN = frozenset({StatusCode.INITIATED, StatusCode.PREPARING, StatusCode.PREPARED, StatusCode.EXECUTING})


def is_begun(job: Job) -> bool:
    """Whether an earlier try, perhaps of another process, has found the fault and not yet ended the job."""
    return job.status_code in _MAY_RUN and job.outcome_code == StatusCode.INTERNAL_ERROR


def begin(job: Job, tools: Tools, what: str) -> bool:
    """`what` went wrong; whether `cut_off` has to follow. Raises InvalidTransition and database errors."""
    message = f"{what}. This is not the study's fault. Its container and folder have been kept; see the runner's log."
    if job.status_code in _MAY_RUN:
        job.record(outcome_code=StatusCode.INTERNAL_ERROR, outcome_message=message)
        return True
    with contextlib.suppress(Unavailable):  # its end is known, or somebody has asked for it
        _stop(job, tools)
    job.move_to(StatusCode.INTERNAL_ERROR, message)
    return False


def cut_off(job: Job, tools: Tools) -> None:
    """The step. Raises Unavailable where the engine cannot stop the container now; it is tried again then."""
    _stop(job, tools)
    job.move_to(StatusCode.INTERNAL_ERROR, job.outcome_message, outcome_code="", outcome_message="")


def _stop(job: Job, tools: Tools) -> None:
    try:
        tools.executor.stop(job.container_name)
    except Unavailable:
        raise
    except Exception:
        log.exception("job %s: its container could not be stopped", job.identifier)
