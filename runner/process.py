"""One `manage.py run` process: start, turns, end. Knows signals, locks and the display; not what a turn does."""

import contextlib
import logging
import os
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from jobs.belonging import claim
from jobs.debug_log import debug_log
from jobs.ending import end_at_once
from jobs.models import Job
from jobs.notify import pause_of
from jobs.progress import Progress
from jobs.results import print_results, terminal
from jobs.service import Stop, run_forever, stopped_by_signals
from runner.boot import lift_after_boot
from runner.capacity import Weights
from runner.chores.watch import ChoreWatch
from runner.executors import from_settings, instance
from runner.executors.base import Executor, ExecutorUnavailable
from runner.lock import keep_to_one_executor, only_runner
from runner.loop import Runner

log = logging.getLogger(__name__)


def drive_jobs(*, until_idle: bool) -> bool:
    """Drive jobs until a signal, or until no job is active. Returns whether every job that ended meanwhile succeeded.

    Raises AlreadyRunning, OtherExecutor, BadWeights and DatabaseReplaced.
    """
    if until_idle:  # the display tells what the log would repeat
        logging.getLogger(Job.__module__).setLevel(logging.WARNING)
    with stopped_by_signals() as stop, only_runner(), debug_log("run"):
        keep_to_one_executor()
        claim()
        lift_after_boot()
        executor = from_settings()
        weights = _weights()
        _introduce(executor)
        # What was active at the start or came later; what ended before is nobody's business here.
        jobs = Job.objects.active_or_ended_since(timezone.now())
        chores = ChoreWatch(is_wanted=not until_idle)
        runner = Runner(executor, weights, chores)
        stop.wake = runner.wake.set
        _turns(runner, Progress(jobs) if until_idle else contextlib.nullcontext(), stop, until_idle)
        succeeded = stop.is_set() or _results(list(jobs.order_by("pk")))
        _let_go(runner, exit_code=0 if succeeded else 1)
    return succeeded


def _weights() -> Weights:
    return (
        Weights.from_file(Path(settings.JOB_RESOURCE_WEIGHTS_FILE)) if settings.JOB_RESOURCE_WEIGHTS_FILE else Weights()
    )


def _introduce(executor: Executor) -> None:
    try:
        engine = executor.describe()
    except ExecutorUnavailable as error:
        engine = f"an engine that does not answer yet ({error})"
    log.info(
        "runner %s: pid %d, %s, %d workers, %d database workers, work in %s",
        instance(),
        os.getpid(),
        engine,
        settings.MAX_WORKERS,
        settings.MAX_DB_WORKERS,
        settings.WORK_DIR,
    )


def _turns(runner: Runner, display: contextlib.AbstractContextManager, stop: Stop, until_idle: bool) -> None:
    """Turn after turn, until a signal or until there is nothing left to do. An error lets go of the runner."""
    active = 0

    def turn() -> bool:
        nonlocal active
        active = runner.tick()
        return active > 0 or not until_idle

    try:
        with display:
            run_forever(
                turn,
                lambda: runner.wake.wait(pause_of(settings.JOB_LOOP_INTERVAL)),
                stop,
                lambda: f"{active} jobs waiting or running" if active != 1 else "1 job waiting or running",
            )
    except Exception as error:
        log.error("the runner stops because of an error; running containers go on and are adopted by the next start")
        _let_go(runner, exit_code=1, error=error)
        raise
    if stop.is_set():
        log.info("stopped by a signal; running containers go on and are adopted by the next start")


def _let_go(runner: Runner, exit_code: int, error: Exception | None = None) -> None:
    """End the runner's threads. One that hangs in a call to engine or disk cannot be ended, and its step can be done
    again: then the process ends without waiting for it, as Python itself would do for ever."""
    if not runner.close():
        said = "ending although a step is under way; the next start does it again"
        end_at_once(exit_code, lambda: log.warning(said, exc_info=error))


def _results(jobs: list[Job]) -> bool:
    if not jobs:
        terminal().print("No job was active: nothing to do.")
        return True
    return print_results(jobs)
