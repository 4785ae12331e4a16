"""A container's log on our disk: followed while the container runs, completed after its end.

The file is what people read, so that nobody needs the engine for it. Following is for them only and may fail or stop at
any time; completing, the step before a job's outcome, makes the file whole whatever was missed.
"""

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from jobs.errors import Unavailable
from runner.error_stamps import ErrorStamps
from runner.executors.base import Executor, LogStream, Phase
from runner.log_file import LogFile, LogLimits, Resume, unknown_lines

__all__ = ["LogFollower", "LogLimits", "complete"]

log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_GOES_ON = (Phase.QUEUED, Phase.STARTING, Phase.RUNNING, Phase.LOST)


def complete(executor: Executor, name: str, path: Path, limits: LogLimits) -> None:
    """Fetch what the file lacks of an ended container's log, and make it durable. May be repeated.

    Raises Unavailable (engine, disk, or a follower that still writes): the file is then as good as it was.
    """
    try:
        with LogFile.opened(path, limits) as file:
            resume = file.resume()
            if resume.is_finished:
                return
            _copy(executor.logs(name, since=resume.since), resume.known, file, ErrorStamps(path))
            file.finish()
        _make_durable(path.parent)
    except OSError as error:
        raise Unavailable(f"The log cannot be written to {path}: {error.strerror or error}") from error


def _copy(
    stream: LogStream, known: Counter[bytes], file: LogFile, errors: ErrorStamps, should_end: Callable[[], bool] = bool
) -> bool:
    """Append what the file lacks of the stream; false if `should_end` was so before its end."""
    for chunk in unknown_lines(stream, known):
        errors.add(stream.error_stamps)
        stream.error_stamps.clear()
        file.write(chunk)
        if should_end():
            return False
    return True


def _make_durable(folder: Path) -> None:
    """A new file's name is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class LogFollower:
    """Appends one container's log to a file as it comes, in a thread of its own. Never raises for outside trouble."""

    def __init__(self, executor: Executor, name: str, path: Path, limits: LogLimits):
        self._executor = executor
        self._name = name
        self._path = path
        self._limits = limits
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._stream: LogStream | None = None
        self._thread = threading.Thread(target=self._run, name=f"log-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Ask the thread to end and wait for it, at most so long."""
        with self._lock:
            self._stopping.set()
            if self._stream is not None:
                self._stream.close()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                if self._follow():
                    return
                pause = _FIRST_PAUSE_SECONDS
            except (Unavailable, OSError) as error:
                log.info("the log of %s is not followed for %.1f s: %s", self._name, pause, error)
            self._stopping.wait(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)

    def _follow(self) -> bool:
        """Append until the stream ends; whether that was the end of what can be followed."""
        with LogFile.opened(self._path, self._limits) as file:
            resume = file.resume()
            if resume.is_finished:
                return True
            if not self._copy(file, resume):
                return True
        # An engine that restarts ends the stream as well, and its containers may run on. The list knows that much; all
        # of the details may take the engine a third of a second after a kill, and a cancel waits for this thread.
        status = self._executor.statuses().get(self._name)
        return status is None or status.phase not in _GOES_ON

    def _copy(self, file: LogFile, resume: Resume) -> bool:
        """Append the stream to its end; false if it was left before that."""
        stream = self._open(resume.since)
        try:
            # The end of a log that is longer than what is kept is fetched by `complete`.
            is_whole = _copy(
                stream, resume.known, file, ErrorStamps(self._path), lambda: self._stopping.is_set() or file.is_full
            )
        finally:
            stream.close()
            self._stream = None
        return is_whole and not self._stopping.is_set()

    def _open(self, since: str) -> LogStream:
        stream = self._executor.logs(self._name, since=since, follow=True)
        with self._lock:
            self._stream = stream
            if self._stopping.is_set():
                stream.close()
        return stream
