"""Which lines of a log came from standard error: their timestamps, in a file beside the log, for pages that tint them.

The log itself is plain text as the engine gives it, and other programs read it; so this is kept apart. It is for looks
only: bounded, never made durable, and trouble with it is nobody's. A timestamp may stand there twice after a crash.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

MOST_BYTES = 2 * 1024**2


class ErrorStamps:
    """Appends to the file beside this log, which is made at the first line from standard error."""

    def __init__(self, log: Path):
        self._path = log.with_name("stderr.txt")

    def add(self, stamps: Iterable[bytes]) -> None:
        """Before the lines themselves are written, so that none of them can be without. Never raises."""
        text = b"".join(stamp + b"\n" for stamp in stamps)
        if not text:
            return
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o640)
            try:
                if os.fstat(descriptor).st_size + len(text) <= MOST_BYTES:
                    os.write(descriptor, text)
            finally:
                os.close(descriptor)
