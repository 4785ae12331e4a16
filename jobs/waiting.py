"""Waiting for jobs at a terminal, with a runner started for the purpose if none is running.

The runner is a child process, started as an operator would start it: this room may not import `runner`.
"""

import contextlib
import subprocess
import sys
import time

from django.conf import settings

from jobs.models import Job
from jobs.progress import Progress

# What `manage.py run` exits with when another one holds the lock.
ALREADY_RUNNING = 3
LOOK_EVERY_SECONDS = 0.1
# As long as a runner may take to end by itself after SIGTERM, and a little more.
STOP_SECONDS = 12
START_AGAIN_SECONDS = 10
LONGEST_LOG_BYTES = 1024**2


class RunnerFailed(Exception):
    """The runner that was started for the purpose ended by itself; the message says where its log is."""


class StoppedWaiting(Exception):
    """Somebody pressed Ctrl-C while the jobs went on."""


def until_done(jobs: list[Job]) -> None:
    """Show progress until all of the jobs have ended. Raises RunnerFailed and StoppedWaiting."""
    mine = Job.objects.filter(pk__in=[job.pk for job in jobs])
    try:
        with _RunnerProcess() as runner, Progress(mine):
            while mine.active().exists():
                runner.see_that_one_runs()
                time.sleep(LOOK_EVERY_SECONDS)
    except KeyboardInterrupt as interrupt:
        raise StoppedWaiting from interrupt


class _RunnerProcess:
    """A `manage.py run` that ends with the block. It ends at once if there is one already, which then does the work.

    It also ends when this process dies in any other way: its standard input is a pipe that then has nobody at its end.
    """

    def __init__(self) -> None:
        self._log = settings.WORK_DIR / "add_job-runner.log"
        self._process: subprocess.Popen | None = None
        self._started = 0.0

    def __enter__(self) -> "_RunnerProcess":
        self._start()
        return self

    def see_that_one_runs(self) -> None:
        """The other runner may end before the jobs do, so from time to time a new one is started beside it."""
        ended = self._process.poll()
        if ended == ALREADY_RUNNING:
            if time.monotonic() - self._started > START_AGAIN_SECONDS:
                self._start()
        elif ended is not None:
            how = "was stopped" if ended == 0 else f"ended with exit code {ended}"
            raise RunnerFailed(
                f"The runner {how}; see {self._log}. The jobs stay, and `manage.py run` goes on with them."
            )

    def _start(self) -> None:
        self._started = time.monotonic()
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "run", "--until-input-ends"]
        with self._log.open("ab") as log:
            if log.tell() > LONGEST_LOG_BYTES:
                log.truncate(0)
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)

    def __exit__(self, *error) -> None:
        self._process.stdin.close()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
