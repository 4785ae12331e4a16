"""Keeps what `runner.executors.guarded` has found through a restart, and lets containers go: asked for, or vanished.

The loop's thread alone writes the rows. A row is written a moment after the quarantine has begun: a runner that is
killed in between finds it out again. Jobs of such containers stay as they are, whatever is asked of them, until then.
"""

import logging
from collections.abc import Iterable, Mapping

from jobs.models import Job, Quarantine
from jobs.wire import clean
from runner.executors.base import Status
from runner.executors.guarded import GuardedExecutor, Held

log = logging.getLogger(__name__)

_MOST_TEXT = 500


class Quarantines:
    """Used by the loop's thread only. Making one reads the rows of an earlier process."""

    def __init__(self, executor: GuardedExecutor):
        self._executor = executor
        for row in Quarantine.objects.all():
            executor.hold(row.name, Held(row.since, row.last_error))

    def __bool__(self) -> bool:
        return bool(self._executor.held())

    def of(self, job: Job) -> Held | None:
        """Why nothing is asked about the job's container, if so."""
        return self._executor.held().get(job.container_name)

    def turn(self, running: Iterable[Job], statuses: Mapping[str, Status] | None, asked_at: float) -> None:
        """Store what is new, let go what may go. `statuses`: the engine's list, asked for at that monotonic time.

        One query where nothing changes.
        """
        rows = {row.name: row for row in Quarantine.objects.select_related("job")}
        jobs = {job.container_name: job for job in running}
        for name, held in self._executor.held().items():
            row = rows.get(name) or _stored(name, held, jobs.get(name))
            if row.release_requested_at:
                row.delete()
                self._executor.release(name)
                _tell_of_release(row)
            elif statuses is not None and name not in statuses and held.is_listed and asked_at >= held.held_at:
                row.delete()
                self._executor.forget(name)
                log.warning("container %s has left the engine's list: its quarantine has ended", name)


def in_words(job: Job, held: Held) -> str:
    """For the job's page and for its author: since when, what it means, what to do."""
    asked = f"{job.stop_requested_by} asked for the job to be stopped, which is done then. "
    return (
        f"Docker has not answered about this job's container since {held.since:%Y-%m-%d %H:%M:%S} UTC, though it "
        "answers otherwise. Nothing more is asked about the container until an operator releases it on the System "
        f"page. {asked if job.is_stop_requested else ''}It may still be running, so the job keeps its worker."
    )


def _stored(name: str, held: Held, job: Job | None) -> Quarantine:
    log.warning(
        "container %s is in quarantine: nothing could be learnt about it since %s, while the engine answers otherwise "
        "(%s). Release it by: manage.py release_container %s",
        *(name, f"{held.since:%Y-%m-%d %H:%M:%S} UTC", held.error, name),
    )
    return Quarantine.objects.create(name=name, job=job, since=held.since, last_error=clean(held.error, _MOST_TEXT))


def _tell_of_release(row: Quarantine) -> None:
    by, reason = row.release_requested_by, row.release_reason
    log.info("container %s is tried again, released by %s: %s", row.name, by, reason)
    if row.job and row.job.has_begun:
        row.job.say(f"{by} released the job's container, and it is tried again.")
