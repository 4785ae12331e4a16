"""One `manage.py sync` process: start, turns, end. Knows signals and the lock; not what a turn does."""

import logging
import os

from django.conf import settings

from jobs.debug_log import debug_log
from jobs.ending import end_at_once
from jobs.lock import only_one
from jobs.service import run_forever, stopped_by_signals
from sync.job_server import JobServer
from sync.loop import Sync, sync_once

log = logging.getLogger(__name__)

# An older state could overtake a newer one.
_WHY = "two of them would contradict each other at the job-server"


def run() -> None:
    """Sync until a signal. Raises AlreadyRunning and DatabaseReplaced."""
    with stopped_by_signals() as stop, only_one("sync", _WHY), debug_log("sync"):
        server = JobServer.from_settings()
        _introduce(server)
        sync = Sync(server)
        stop.wake = sync.wake.set
        try:
            run_forever(sync.turn, sync.wait, stop)
        except Exception as error:
            log.error("sync stops because of an error; the next start goes on from there")
            _let_go(sync, exit_code=1, error=error)
            raise
        log.info("stopped by a signal")
        _let_go(sync, exit_code=0)


def run_once() -> list[str]:
    """Poll, plan and tell once. Returns sentences about what went wrong. Raises AlreadyRunning."""
    with only_one("sync", _WHY):
        return sync_once(JobServer.from_settings())


def _introduce(server: JobServer | None) -> None:
    who = f"polling {settings.JOB_SERVER_ENDPOINT} as {settings.BACKEND}" if server else "polling no job-server"
    calls = "planning for calls of the RAP API" if settings.RAP_API_TOKENS else "no RAP API"
    log.info("sync: pid %d, %s, %s", os.getpid(), who, calls)


def _let_go(sync: Sync, exit_code: int, error: Exception | None = None) -> None:
    """A thread that waits for a server cannot be ended, and what it does can be done again: the process ends anyhow."""
    if not sync.close():
        said = "ending although an exchange is under way; the next start does it again"
        end_at_once(exit_code, lambda: log.info(said, exc_info=error))
