"""A runner that rolls dice: jobs go along random legal paths of `jobs.states.MAY_FOLLOW`, and stop when asked to."""

import random

from jobs.models import Job
from jobs.states import MAY_FOLLOW, PENDING_CODES, State, StatusCode
from jobs.storage import high_privacy_workspace
from tests.factories import make_output

NEW_ATTEMPT = (StatusCode.WAITING_ON_NEW_TASK, StatusCode.WAITING_ON_REBOOT, StatusCode.WAITING_DB_MAINTENANCE)
# So that jobs end some time.
MOST_ATTEMPTS = 3


def move(job: Job, dice: random.Random, *, homewards: bool = False) -> None:
    """One legal step of an active job; homewards it does not go back among those that wait."""
    job.refresh_from_db()
    code = dice.choice(sorted(_next(job, homewards)))
    was_pending = job.state == State.PENDING
    if was_pending and code in PENDING_CODES and dice.random() < 0.5:
        Job.objects.move_waiting([(job.pk, code, f"It waits: {code}.")])
        return
    attempt = job.attempt + 1 if code in NEW_ATTEMPT and not was_pending else job.attempt
    job.move_to(code, f"Now it is {code}.", attempt=attempt)
    if code == StatusCode.SUCCEEDED:
        _store_outputs(job)


def _next(job: Job, homewards: bool) -> set[StatusCode]:
    may = set(MAY_FOLLOW[StatusCode(job.status_code)])
    killed, cancelled = StatusCode.KILLED_BY_ADMIN, StatusCode.CANCELLED_BY_USER
    if job.is_stop_requested:
        stop = killed if job.stop_request == Job.StopRequest.KILL else cancelled
        for wanted in (stop, StatusCode.FINALIZED, StatusCode.FINALIZING):
            if wanted in may:
                return {wanted}
    may -= {killed, cancelled}
    return may - set(PENDING_CODES) if homewards or job.attempt > MOST_ATTEMPTS else may


def _store_outputs(job: Job) -> None:
    """So that later requests find the action done."""
    for level, patterns in job.output_spec.items():
        for path in patterns.values():
            file = high_privacy_workspace(job.workspace) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("x")
            make_output(job, path, level=level)
