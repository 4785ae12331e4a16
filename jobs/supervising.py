"""Child processes that are kept alive: started, watched, started again when they end, stopped with their parent.

A child's standard input is a pipe whose other end only the parent holds, so it hears of the parent's end however that
comes about (`jobs.service.stop_when_input_ends`). What ends by itself because starting it again cannot help (wrong
settings, another one at work) ends the parent as well, with the same exit code. Where another one may be a machine
that is gone already and has only not been missed yet, it is tried for a while first.
"""

import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence

from jobs.notify import Life
from jobs.service import Stop
from jobs.waiting import ALREADY_RUNNING

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 0.2
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
# Whoever has lived so long is not one that ends at each start.
LIVED_SECONDS = 60.0
# As long as one of ours may take to end by itself after SIGTERM, and a little more.
STOP_SECONDS = 12.0
WRONG_SETTINGS = 2
_FINAL = (WRONG_SETTINGS, ALREADY_RUNNING)


class Child:
    """One command that is to run as long as its parent does."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
        *,
        own_group: bool = False,
        lock_seconds: float = 0.0,
        is_held_here: Callable[[], bool] = lambda: True,
    ):
        """`own_group`: it leads a group of processes, to which a terminal's Ctrl-C does not come; signals go to it
        alone, and what has to be killed is killed with all that it has begun. `lock_seconds`: for so long another one
        at work may be a machine that is gone, and it is started again; not if it `is_held_here`, by a living one."""
        self.name, self.starts = name, 0
        self._command, self._clock, self._own_group = tuple(command), clock, own_group
        self._process: subprocess.Popen | None = None
        self._started_at = self._next_start = 0.0
        self._pause = FIRST_PAUSE_SECONDS
        self._lock_seconds, self._is_held_here = lock_seconds, is_held_here
        self._refused_since: float | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def look(self) -> int | None:
        """Start it if it is due; returns an exit code that ends the parent, else None."""
        if self._process is None:
            if self._clock() >= self._next_start:
                self._start()
            return None
        code = self._process.poll()
        if code is None:
            return None
        self._forget()
        if self._clock() - self._started_at >= LIVED_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        self._next_start, pause = self._clock() + self._pause, self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        if code in _FINAL and not self._may_pass(code):
            log.error("%s ended with exit code %d, and a new start would change nothing: see above", self.name, code)
            return code
        log.error("%s %s; it is started again in %.0f s", self.name, _in_words(code), pause)
        return None

    def _may_pass(self, code: int) -> bool:
        """Whether the other one that is at work may be about to be missed."""
        if code != ALREADY_RUNNING or not self._lock_seconds or self._is_held_here():
            return False
        if self._refused_since is None or self._started_at - self._refused_since > 2 * self._lock_seconds:
            self._refused_since = self._started_at
        return self._clock() - self._refused_since < self._lock_seconds

    def stop(self) -> None:
        """Ask it to end; `wait` sees that it does."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Until it has ended, by force after so long."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            log.warning("%s (pid %d) does not end by itself, it is killed", self.name, self._process.pid)
            self._kill()
            self._process.wait()
        self._forget()

    def _start(self) -> None:
        self._started_at = self._clock()
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, start_new_session=self._own_group)
        self.starts += 1
        log.info("%s: started, pid %d", self.name, self._process.pid)

    def kill(self) -> None:
        """At once; it is started again by `look`."""
        if self._process is not None and self._process.poll() is None:
            self._kill()

    def _kill(self) -> None:
        if self._own_group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def _forget(self) -> None:
        self._process.stdin.close()
        self._process = None


def keep_alive(children: Iterable[Child], stop: Stop) -> int:
    """Until a signal, or until one ends for good: then all are stopped. Returns the exit code."""
    children, life = list(children), Life()
    code = 0
    try:
        while not stop.is_set() and not code:
            for child in children:
                code = child.look() or code
            life.turned(_of_all(children))
            time.sleep(LOOK_EVERY_SECONDS)
    finally:
        life.stopping()
        for child in children:
            child.stop()
        deadline = time.monotonic() + STOP_SECONDS
        for child in children:
            child.wait(deadline - time.monotonic())
    return code


def _of_all(children: Iterable[Child]) -> str:
    return ", ".join(f"{child.name}: {f'pid {child.pid}' if child.pid else 'to be started'}" for child in children)


def _in_words(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
