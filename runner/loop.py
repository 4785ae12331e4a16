"""The loop that drives every active job: `tick` looks once at the database and the engine and sets off what is due.

A tick costs one engine call and a fixed number of queries, however many jobs are active. It never does a job's slow
work itself: each job that needs a step is handed to a thread, one thread a job at most, and the loop goes on.

What is kept in memory (threads under way, when to try again, who follows which log) may be lost at any moment; the Job
table says what to do next.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import Flag, Heartbeat, Job
from jobs.states import StatusCode
from jobs.wake import Wake
from runner import capacity, cutting_off, database_status, requeue, verdicts
from runner.chores.watch import ChoreWatch
from runner.database_status import DatabaseStatus
from runner.disk import DiskWatch
from runner.drive import Driver
from runner.engine_history import EngineHistory
from runner.engine_view import EngineView
from runner.engine_watch import EngineWatch
from runner.executors.base import Executor, Phase, Status
from runner.executors.guarded import GuardedExecutor
from runner.quarantine import Quarantines
from runner.report import Report
from runner.sampling import Sampler
from runner.starting import Starter, move_unless_gone
from runner.workspaces.choice import workspaces_for

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5
# Running jobs show the job-server that they live by a moving `updated_at`; it warns after 30 minutes (contract §1.4).
TOUCH_SECONDS = 60
# The cancel of a whole backend, or a long chain behind a failed job, must not delay another job's step.
LONGEST_END_OF_MANY_SECONDS = 0.5
ENDED_AT_ONCE = 200
# Of the jobs that operators want finalised again so many are looked at in a turn.
MOST_ASKED_AGAIN = 20
_MAY_RUN = frozenset({Phase.QUEUED, Phase.RUNNING, Phase.LOST})
# How long a stop waits for threads in the middle of a step; whatever is cut off is simply done again.
STOP_SECONDS = 6


@dataclass
class _Work:
    """A thread's hold on one job."""

    future: Future
    stop: threading.Event
    is_taking_back: bool  # it knows that the job is to be stopped for now


class Runner:
    """The state of one `manage.py run` process."""

    def __init__(self, executor: Executor, weights: capacity.Weights | None = None, chores: ChoreWatch | None = None):
        self.wake, self._chores = Wake(), chores or ChoreWatch(is_wanted=False)
        workspaces = workspaces_for(executor)
        executor = GuardedExecutor(executor, self.wake.set)
        self._quarantines = Quarantines(executor)
        self._limits = {capacity.ORDINARY: settings.MAX_WORKERS, capacity.DATABASE: settings.MAX_DB_WORKERS}
        self._driver = Driver(executor, workspaces)
        # Weights below one let more jobs run than there are workers; a job without a thread would only wait its turn.
        self._most_threads = sum(self._limits.values()) + 2
        self._threads = ThreadPoolExecutor(max_workers=self._most_threads, thread_name_prefix="step")
        self._work: dict[int, _Work] = {}
        self._last_beat = self._last_touch = 0.0
        self._engine = EngineView(executor, self.wake.set)
        self._disks = DiskWatch(_folders(), settings.MIN_FREE_DISK_BYTES, settings.GIT_REPO_DIR)
        self._starter = Starter(self._limits, weights or capacity.Weights(), self._hand_over, self.wake.set)
        self._said_of_reboot, self._drained_at = None, None
        self._engine_watch, self._sampler = EngineWatch(executor, EngineHistory.continued()), Sampler(executor)
        self._database_status = DatabaseStatus(executor)
        self._report = Report(self._engine, self._engine_watch, self._disks, self._database_status, self._chores)
        self._unwatch = executor.watch(self.wake.set)

    def tick(self) -> int:
        """Look once and set off what is due. Returns how many jobs are still active.

        Raises only for trouble with the database.
        """
        started = time.monotonic()
        self.wake.begin()
        self._forget_finished_work()
        flags = Flag.objects.current()
        running = list(Job.objects.running().select_related("request"))
        taken_back, reboot = capacity.takes_back(flags), capacity.reboot_of(flags)
        statuses = self._engine.statuses() if running or reboot or self._quarantines else {}
        self._quarantines.turn(running, statuses, self._engine.asked_at)
        for job in running:
            self._set_off(job, statuses, taken_back.get(capacity.pool_of(job.requires_db)))
        if not reboot:  # what is safe has to stay so
            self._finalise_again()
        self._end_stopped_pending()
        self._end_doomed()
        self._starter.start_ready(running, flags, self._disks.why_no_job_may_start())
        self._sign_of_life(started, self._before(reboot, running, statuses, started))
        return Job.objects.active().count()

    def close(self, seconds: float = STOP_SECONDS) -> bool:
        """Let go of everything; containers run on. False if a thread was still busy after `seconds`."""
        self._unwatch()
        self.wake.close()
        self._chores.stop()
        for work in self._work.values():
            work.stop.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + seconds
        for work in self._work.values():
            if not work.future.cancelled():
                _wait(work.future, deadline - time.monotonic())
        self._driver.close()
        for beside in (self._disks, self._engine_watch, self._sampler, self._database_status):
            beside.close()
        is_engine_quiet = self._engine.close()
        self._chores.close()
        return is_engine_quiet and all(work.future.done() for work in self._work.values())

    # --- one running job

    def _forget_finished_work(self) -> None:
        self._work = {pk: work for pk, work in self._work.items() if not work.future.done()}

    def _set_off(self, job: Job, statuses: Mapping[str, Status] | None, hold: capacity.Hold | None) -> None:
        work, is_taken_back = self._work.get(job.pk), requeue.is_due(job, hold)
        if work is not None:
            if job.is_stop_requested or (is_taken_back and not work.is_taking_back):
                work.stop.set()
            return
        if held := self._quarantines.of(job):
            self._driver.leave_alone(job, held)
            return
        is_ended_by_us = job.is_stop_requested or is_taken_back or cutting_off.is_begun(job)
        if job.status_code == StatusCode.EXECUTING and not is_ended_by_us:
            if statuses is None:
                self._driver.say_unavailable(job, self._engine.unavailable_since)
                return
            status = statuses.get(job.container_name)
            if status is not None and status.phase in (Phase.RUNNING, Phase.QUEUED):
                self._driver.still_running(job, status)
                return
        if self._driver.may_try(job):
            self._hand_over(job, hold)

    def _hand_over(self, job: Job, hold: capacity.Hold | None = None) -> None:
        stop = threading.Event()
        try:
            future = self._threads.submit(self._driver.drive, job.pk, stop, hold)
        except RuntimeError as error:
            log.warning("job %s waits: this host starts no more threads now (%s)", job.identifier, error)
            return
        self._work[job.pk] = _Work(future, stop, requeue.is_due(job, hold))
        future.add_done_callback(lambda _: self.wake.set())

    def _finalise_again(self) -> None:
        """Hand over what operators want finalised once more, as far as there are threads to spare."""
        for job in Job.objects.retry_requested().order_by("pk")[:MOST_ASKED_AGAIN]:
            if len(self._work) < self._most_threads and job.pk not in self._work and self._driver.may_try(job):
                self._hand_over(job)

    # --- jobs that wait

    def _end_stopped_pending(self) -> None:
        def outcome(job: Job) -> tuple[StatusCode, str]:
            stopped = verdicts.stopped(job)
            return stopped.code, stopped.message

        self._end_many(Job.objects.pending().stop_requested(), outcome)

    def _end_doomed(self) -> None:
        """A job whose dependency failed never starts; those behind it follow, in this tick or the next ones."""
        self._end_many(
            Job.objects.doomed().prefetch_related("waits_for"),
            lambda job: (StatusCode.DEPENDENCY_FAILED, verdicts.dependency_failed(job.waits_for.all())),
        )

    def _end_many(self, waiting: QuerySet, outcome: Callable[[Job], tuple[StatusCode, str]]) -> None:
        """End waiting jobs, however many, in short transactions; what is left after a while is for the next turn."""
        deadline = time.monotonic() + LONGEST_END_OF_MANY_SECONDS
        while found := list(waiting[:ENDED_AT_ONCE]):
            with transaction.atomic():
                for job in found:
                    move_unless_gone(job, *outcome(job))
            if time.monotonic() > deadline:
                self.wake.set()
                return

    # --- signs of life

    def _before(
        self, reboot: Flag | None, running: list[Job], statuses: Mapping[str, Status] | None, now: float
    ) -> dict[str, int | None] | None:
        """What this turn saw before a reboot, None without one; "safe to reboot" hangs on it (`jobs.system.reboot`).

        Containers are counted when no job is at work any more, in a list that was asked for after that.
        """
        is_drained = reboot is not None and not running and not self._work
        self._drained_at = (self._drained_at or now) if is_drained else None
        if reboot is None:
            return None
        alive = None
        if self._drained_at and statuses is not None and self._engine.asked_at >= self._drained_at:
            alive = sum(status.phase in _MAY_RUN for name, status in statuses.items() if name != database_status.NAME)
        return {"flag": reboot.pk, "running": len(running), "containers": alive}

    def _sign_of_life(self, started: float, reboot: dict[str, int | None] | None) -> None:
        now = time.monotonic()
        if now - self._last_beat >= HEARTBEAT_SECONDS or reboot != self._said_of_reboot:
            self._last_beat, self._said_of_reboot = now, reboot
            tick_ms = round((now - started) * 1000, 1)
            Heartbeat.beat("run", **self._report.now(tick_ms, self._starter.room, self._starter.held, reboot))
        if now - self._last_touch >= TOUCH_SECONDS:
            self._last_touch = now
            Job.objects.running().update(updated_at=timezone.now())


def _folders() -> dict[str, Path]:
    """What needs room. The engine's own files are looked at where they can be: on this machine."""
    engine_root = Path(settings.DOCKER_ROOT_DIR)
    is_here = settings.EXECUTOR == "docker" and settings.DOCKER_HOST.startswith("unix:") and settings.DOCKER_ROOT_DIR
    of_engine = {"Docker's own files": engine_root} if is_here and engine_root.is_dir() else {}
    return of_engine | {
        "the jobs' folders": settings.WORK_DIR,
        "high privacy storage": settings.HIGH_PRIVACY_STORAGE_BASE,
        "medium privacy storage": settings.MEDIUM_PRIVACY_STORAGE_BASE,
    }


def _wait(future: Future, seconds: float) -> None:
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    done.wait(max(0.0, seconds))
