"""Waiting for jobs at a terminal, with a runner started for the purpose if none is running.

The runner is a child process, started as an operator would start it: this room may not import `runner`.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

from django.conf import settings

from jobs.models import Job
from jobs.progress import Progress

# What `manage.py run` exits with when another one holds the lock.
ALREADY_RUNNING = 3
LOOK_EVERY_SECONDS = 0.1
# As long as a runner may take to end by itself after SIGTERM, and a little more.
STOP_SECONDS = 12


class RunnerFailed(Exception):
    """The runner that was started for the purpose ended by itself; the message says where its log is."""


def until_done(jobs: list[Job]) -> None:
    """Show progress until all of the jobs have ended. Raises RunnerFailed."""
    mine = Job.objects.filter(pk__in=[job.pk for job in jobs])
    with _a_runner() as runner, Progress(mine):
        while mine.active().exists():
            if runner.poll() not in (None, ALREADY_RUNNING):
                raise RunnerFailed(f"The runner ended with exit code {runner.returncode}; see {_log_file()}.")
            time.sleep(LOOK_EVERY_SECONDS)


def _log_file():
    return settings.WORK_DIR / "add_job-runner.log"


@contextlib.contextmanager
def _a_runner() -> Iterator[subprocess.Popen]:
    """A `manage.py run` that ends with the block; it ends at once if there is one already, which then does the work."""
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "run"]
    with _log_file().open("ab") as log:
        runner = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield runner
    finally:
        runner.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            runner.wait(STOP_SECONDS)
        if runner.poll() is None:
            runner.kill()
            runner.wait()
