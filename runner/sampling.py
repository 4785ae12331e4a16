"""How much processor and memory the running containers use, looked at beside the loop and stored in few rows.

A thread of its own, because an engine may take seconds to answer; a failure here costs figures and touches no job. All
rows of a look are written in one short transaction. Of an attempt there are MOST_ROWS at most: when they are reached
every second one goes (never the peaks), and from then on a row stands for twice the time.
"""

import logging
import threading
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from jobs.models import Job, ResourceSample
from jobs.service import let_go_of_database
from runner.executors.base import ContainerSilent, Executor, ExecutorUnavailable, Usage
from runner.executors.guarded import InQuarantine

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
MOST_ROWS = 300
_Attempt = tuple[int, int]  # primary key of the job, number of the attempt


class _Watched:
    """One attempt: what was read since its last row. `stride` is how many looks make a row."""

    def __init__(self, rows: int = 0, lasting: timedelta = timedelta(0)):
        self.rows = rows
        between = lasting.total_seconds() / (rows - 1) if rows > 1 else 0.0
        self.stride = max(1, round(between / LOOK_SECONDS))
        self._from: Usage | None = None
        self._looks = self._memory = 0

    def take(self, usage: Usage) -> tuple[float, int] | None:
        """Percent of one processor and the most memory since the last row; None while there is no row to be made."""
        before = self._from
        if before is None or usage.at <= before.at or usage.cpu_seconds < before.cpu_seconds:
            self._begin(usage)
            return None
        self._looks += 1
        self._memory = max(self._memory, usage.memory_bytes)
        if self._looks < self.stride:
            return None
        seconds = (usage.at - before.at).total_seconds()
        found = 100 * (usage.cpu_seconds - before.cpu_seconds) / seconds, self._memory
        self._begin(usage)
        return found

    def _begin(self, usage: Usage) -> None:
        self._from, self._looks, self._memory = usage, 0, 0


class Sampler:
    """Looks now and then until it is closed."""

    def __init__(self, executor: Executor):
        self._executor = executor
        self._watched: dict[_Attempt, _Watched] = {}
        self._failure = ""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """A look that hangs is left to itself: its thread is a daemon."""
        self._end.set()
        self._thread.join(0.1)

    def look(self) -> None:
        """Read and store once. Never raises; the same failure is told once."""
        failure = ""
        try:
            self._look()
        except ExecutorUnavailable as error:
            failure = str(error)
            log.log(logging.DEBUG if self._failure else logging.WARNING, "no figures of containers: %s", error)
        except Exception as error:
            failure = type(error).__name__
            if failure != self._failure:
                log.warning("what the containers use cannot be stored: %s", error, exc_info=True)
        finally:
            self._failure = failure

    def _run(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            self.look()
            let_go_of_database()

    def _look(self) -> None:
        jobs = list(Job.objects.executing().only("pk", "identifier", "attempt"))
        self._keep_to({(job.pk, job.attempt) for job in jobs})
        rows: list[ResourceSample] = []
        silent: ContainerSilent | None = None
        try:
            for job in jobs:
                if self._end.is_set():
                    return
                try:
                    rows += self._row(job)
                except InQuarantine:
                    continue
                except ContainerSilent as error:
                    if silent:  # two in one look: it is more likely the engine
                        raise
                    silent = error  # the other containers are looked at all the same
        finally:  # an engine that falls silent half way takes nobody's row with it
            if rows:
                self._store(rows)
        if silent:
            raise silent

    def _keep_to(self, attempts: set[_Attempt]) -> None:
        """Forget who has ended; of those that are new here, ask what an earlier process has stored."""
        self._watched = {key: watched for key, watched in self._watched.items() if key in attempts}
        if new := attempts - self._watched.keys():
            stored = ResourceSample.objects.extents({pk for pk, _ in new})
            self._watched |= {key: _Watched(*stored.get(key, ())) for key in new}

    def _row(self, job: Job) -> list[ResourceSample]:
        """One, or none while there is nothing to be stored."""
        usage = self._executor.usage(job.container_name)
        found = self._watched[job.pk, job.attempt].take(usage) if usage else None
        if found is None:
            return []
        cpu, memory = found
        return [
            ResourceSample(job_id=job.pk, attempt=job.attempt, at=timezone.now(), cpu_percent=cpu, memory_bytes=memory)
        ]

    def _store(self, rows: Iterable[ResourceSample]) -> None:
        with transaction.atomic():
            ResourceSample.objects.bulk_create(rows)
            for row in rows:
                watched = self._watched[row.job_id, row.attempt]
                watched.rows += 1
                if watched.rows >= MOST_ROWS:
                    watched.rows = ResourceSample.objects.thin_out(row.job_id, row.attempt)
                    watched.stride *= 2
