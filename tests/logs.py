"""Logs for tests, as the runner writes them: each line of the container with its timestamp in front."""

from collections.abc import Iterable
from pathlib import Path

from jobs import logs

STAMP = "2026-11-26T07:43:{:02d}.123456789Z"


def stamped(text: str | bytes, second: int = 0) -> bytes:
    """One line of a container."""
    text = text.encode() if isinstance(text, str) else text
    return STAMP.format(second % 60).encode() + b" " + text + b"\n"


def write_log(job, lines: Iterable[str | bytes], *, end: bytes = b"", attempt: int | None = None) -> Path:
    """The job's log with these lines of its container, and then these bytes."""
    path = logs.path_of(job, attempt)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(stamped(line, number) for number, line in enumerate(lines)) + end)
    return path
