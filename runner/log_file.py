"""The file that one container's log is kept in: appended to while the container runs, bounded, right after any crash.

Every line begins with its timestamp. Where the file stands is read from the file itself, so a process that dies at any
moment loses nothing: the next one cuts off what is torn and goes on. Knows nothing of containers.

A log longer than `head_bytes` keeps exactly so much of its beginning, then a line of ours which says how much is left
out and how long the rest is, then its last lines. That line is known by its place, so no container can write it.
"""

import contextlib
import fcntl
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from jobs.errors import Unavailable

_BLOCK_BYTES = 256 * 1024
_MARK = "\n[job runner] {left_out} bytes or more are left out here, the last {tail} bytes follow:\n"
_MARK_PATTERN = re.compile(rb"\n\[job runner\] \d+ bytes or more are left out here, the last (\d+) bytes follow:\n")
_MARK_BYTES = 200  # no mark is longer
_MIDDLE = b"[in the middle of a line] "
# The engine's lines are a little out of order (its two streams race by microseconds): so a resumed log is asked for
# again from the middle of the last lines, and those that the file has are told by how they begin.
_LINES_COMPARED = 4096
_KEY_BYTES = 256


@dataclass(frozen=True)
class LogLimits:
    """How much of a log is kept: so many bytes of its beginning and, if it is longer, so many of its end."""

    head_bytes: int = 100 * 1024**2
    tail_bytes: int = 1024**2


@dataclass
class Resume:
    """Where the file stands: ask for lines later than `since`, and of these leave out the `known` ones."""

    is_finished: bool = False
    since: str = ""
    known: Counter[bytes] = field(default_factory=Counter)


class LogFile:
    """An open log. Only one at a time: see `opened`."""

    def __init__(self, file: BinaryIO, limits: LogLimits):
        self._file = file
        self._limits = limits
        self._tail = bytearray()
        self._beyond_bytes = 0
        self.is_full = False

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path, limits: LogLimits) -> Iterator["LogFile"]:
        """Raises Unavailable if another thread or process still writes to the file, OSError for trouble with the disk.

        The lock goes with the process that holds it, whatever way that ends.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o640)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Unavailable(f"The log {path} is still being written by something else.") from error
            yield cls(file, limits)

    # --- where it stands

    def resume(self) -> Resume:
        """Cut off what a crash has torn, and say from where to go on."""
        size = self._size()
        if size > self._limits.head_bytes:
            if self._is_finished(size):
                return Resume(is_finished=True)
            size = self._limits.head_bytes
        return self._resume_after_lines(self._cut_torn_line(size))

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def _is_finished(self, size: int) -> bool:
        """Whether our line stands in its place and as many bytes follow as it says."""
        self._file.seek(self._limits.head_bytes)
        mark = _MARK_PATTERN.match(self._file.read(_MARK_BYTES))
        return mark is not None and size == self._limits.head_bytes + mark.end() + int(mark[1])

    def _cut_torn_line(self, size: int) -> int:
        """Cut the file to the last line that ends within the first `size` bytes; returns its new size."""
        end = next(self._newlines_backwards(size), -1) + 1
        if end != self._size():
            self._file.truncate(end)
        return end

    def _resume_after_lines(self, size: int) -> Resume:
        starts = self._last_line_starts(size)
        if not starts:
            return Resume()
        lines = [self._beginning_of_line(start) for start in starts]
        if starts[-1] == 0:
            return Resume(known=Counter(lines))
        since = _timestamp(lines[len(lines) // 2])
        return Resume(since=since, known=Counter(line for line in lines if _timestamp(line) > since))

    def _last_line_starts(self, size: int) -> list[int]:
        """Of the last lines, the last one first."""
        starts: list[int] = []
        for newline in self._newlines_backwards(max(0, size - 1)):
            starts.append(newline + 1)
            if len(starts) == _LINES_COMPARED:
                return starts
        return [*starts, 0] if size else []

    def _newlines_backwards(self, end: int) -> Iterator[int]:
        while end > 0:
            start = max(0, end - _BLOCK_BYTES)
            self._file.seek(start)
            block = self._file.read(end - start)
            at = len(block)
            while (at := block.rfind(b"\n", 0, at)) >= 0:
                yield start + at
            end = start

    def _beginning_of_line(self, start: int) -> bytes:
        self._file.seek(start)
        line = self._file.read(_KEY_BYTES)
        return line[: line.find(b"\n") + 1] or line

    # --- writing

    def write(self, chunk: bytes) -> None:
        """Append what fits; of the rest only the last bytes are remembered, for `finish`."""
        room = self._limits.head_bytes - self._size()
        self._append(chunk[:room])
        rest = chunk[room:]
        if rest:
            self.is_full = True
            self._beyond_bytes += len(rest)
            self._tail += rest
            if len(self._tail) > 2 * self._limits.tail_bytes:
                del self._tail[: -self._limits.tail_bytes]

    def finish(self) -> None:
        """The log is complete: write its end if it did not fit, and make all of it durable."""
        if self.is_full:
            tail = bytes(self._tail[-self._limits.tail_bytes :])
            self._append(_marked(tail, self._beyond_bytes - len(tail)))
        os.fsync(self._file.fileno())

    def _append(self, data: bytes) -> None:
        self._file.seek(0, os.SEEK_END)
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]


def _marked(tail: bytes, left_out: int) -> bytes:
    """Our line and the tail from the beginning of one of its lines; if it has none, that is said instead.

    So no line of the container stands there without a timestamp and could be taken for one of ours.
    """
    start = tail.find(b"\n", 0, len(tail) - 1) + 1
    shown = tail[start:] if start else _MIDDLE + tail
    return _MARK.format(left_out=left_out + start, tail=len(shown)).encode() + shown


def _timestamp(line: bytes) -> str:
    return line.partition(b" ")[0].decode("ascii", "replace")


def unknown_lines(chunks: Iterable[bytes], known: Counter[bytes]) -> Iterator[bytes]:
    """The chunks without the lines whose beginnings are in `known`, each as often as it is there. Uses `known` up."""
    rest = iter(chunks)
    start, is_new = b"", None
    for chunk in rest:
        if not known and not start and is_new is not False:
            yield chunk
            yield from rest
            return
        kept = []
        for piece in _up_to_newlines(chunk):
            if is_new is None:
                start += piece
                if len(start) < _KEY_BYTES and not start.endswith(b"\n"):
                    continue
                is_new, piece, start = not _take(known, start[:_KEY_BYTES]), start, b""
            if is_new:
                kept.append(piece)
            if piece.endswith(b"\n"):
                is_new = None
        yield b"".join(kept)


def _up_to_newlines(chunk: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(chunk):
        end = chunk.find(b"\n", at) + 1 or len(chunk)
        yield chunk[at:end]
        at = end


def _take(known: Counter[bytes], key: bytes) -> bool:
    if key not in known:
        return False
    known[key] -= 1
    if not known[key]:
        del known[key]
    return True
