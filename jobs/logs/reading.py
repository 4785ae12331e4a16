"""Pieces of a log by byte offset, each bounded: backwards from the end, forwards from a line.

Every look opens the file anew, so nothing is held between two requests. A piece begins and ends at lines; of a
line that is very long only the beginning is read.
"""

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from jobs.logs.ansi import Colours
from jobs.logs.archived import Damaged, packed_path, unpacked
from jobs.logs.lines import Line, parsed
from jobs.logs.numbering import LineIndex, index_of

PAGE_LINES = 1000
PAGE_BYTES = 512 * 1024
_BLOCK_BYTES = 256 * 1024
# A line longer than `_LONGEST_READ` is read only at its beginning and its end.
_LONGEST_READ, _BEGINNING_READ, _END_READ = 64 * 1024, 16 * 1024, 8 * 1024
_MOST_SCANNED = 16 * 1024**2  # for the borders of one piece's lines
# How far the beginning or end of a line is looked for; no real line is longer.
_LONGEST_LINE = 64 * 1024**2


class LogTrouble(Exception):
    """There is nothing to read. The message is a sentence for operators."""


class NoLog(LogTrouble):
    """There is no such file."""


class NoStorage(LogTrouble):
    """High privacy storage is not there: not mounted, or nothing has ever been stored."""


@dataclass(frozen=True)
class Piece:
    """Some lines one after the other, from byte `start` to byte `end` of a log of which `limit` bytes can be shown."""

    start: int
    end: int
    limit: int
    lines: list[Line]

    @property
    def is_last(self) -> bool:
        return self.end >= self.limit


@contextlib.contextmanager
def opened(path: Path, *, is_complete: bool) -> Iterator["LogReader"]:
    """A log below high privacy storage; of one that is not complete the last line counts only once it has ended.

    No link is followed on the way and nothing but a regular file opened. Raises LogTrouble.
    """
    try:
        descriptor = _descriptor(path)
        status = os.fstat(descriptor)
    except NoLog:
        descriptor, status = _unpacked(packed_path(path))
    try:
        yield LogReader(descriptor, path, status, is_complete)
    except BrokenPipeError:  # of whoever reads what the reader says
        raise
    except OSError as error:
        raise _trouble(error) from error
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def opened_plainly(path: Path) -> Iterator[BinaryIO]:
    """A file that lies beside a log, opened with the same care. Raises LogTrouble."""
    try:
        with os.fdopen(_descriptor(path), "rb") as file:
            yield file
    except OSError as error:
        raise _trouble(error) from error


def _unpacked(path: Path) -> tuple[int, os.stat_result]:
    """Of a log that is kept compressed: its text, and what the system says of the file as it lies there."""
    packed = _descriptor(path)
    status = os.fstat(packed)
    try:
        return unpacked(packed), status
    except Damaged as error:
        raise LogTrouble(f"The compressed log {path.name} is damaged: {error}.") from error
    except OSError as error:
        raise _trouble(error) from error


def _descriptor(path: Path) -> int:
    base = settings.HIGH_PRIVACY_STORAGE_BASE
    folders, name = path.relative_to(base).parts[:-1], path.name
    try:
        folder = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError as error:
        raise NoStorage(f"High privacy storage ({base}) is not there. Is it mounted?") from error
    except OSError as error:
        raise _trouble(error) from error
    try:
        for each in folders:
            inner = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        return _regular(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder))
    except FileNotFoundError as error:
        raise NoLog("There is no log.") from error
    except OSError as error:
        raise _trouble(error) from error
    finally:
        os.close(folder)


def _regular(descriptor: int) -> int:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LogTrouble("Where the log belongs lies something that is not a file. It is not read.")
    return descriptor


def _trouble(error: OSError) -> LogTrouble:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return LogTrouble("Where the log belongs lies a link or something else that is not a file. It is not read.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return LogTrouble("The web process may not read the log: check the owner and mode of high privacy storage.")
    return LogTrouble(f"The storage does not answer as it should: {error.strerror}. The log is not lost; try again.")


class LogReader:
    """An open log, as long as it was when it was opened. Made by `opened`."""

    def __init__(self, descriptor: int, path: Path, status: os.stat_result, is_complete: bool):
        """`status` tells which file it is; a compressed one was unpacked into `descriptor`."""
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self._index: LineIndex = index_of(path, status, self.size)
        self.end = self.size if is_complete else self._line_start(self.size)

    # --- pieces

    def last(self, count: int = PAGE_LINES) -> Piece:
        return self.before(self.end, count)

    def before(self, offset: int, count: int = PAGE_LINES) -> Piece:
        """The lines that end at the offset, or at the beginning of its line."""
        offset = self.end if offset >= self.end else self._line_start(max(0, offset))
        starts, read, end = [], 0, offset
        for newline in self._newlines_backwards(offset - 1):
            starts.append(newline + 1)
            read += min(end - newline, _LONGEST_READ)
            end = newline
            if len(starts) >= count or read > PAGE_BYTES or offset - end > _MOST_SCANNED:
                break
        else:
            if offset and (not starts or starts[-1] > 0):
                starts.append(max(0, end - _LONGEST_LINE))
        return self._piece([*reversed(starts), offset])

    def after(self, offset: int, count: int = PAGE_LINES, most_bytes: int = PAGE_BYTES) -> Piece:
        """The lines from the offset on, or from the beginning of its line."""
        offset = self._line_start(min(max(0, offset), self.end))
        borders, read = [offset], 0
        for end in self._line_ends(offset):
            read += min(end - borders[-1], _LONGEST_READ)
            if len(borders) > 1 and (read > most_bytes or end - offset > _MOST_SCANNED):
                break
            borders.append(end)
            if len(borders) > count:
                break
        return self._piece(borders)

    def around(self, number: int, count: int = PAGE_LINES) -> Piece | None:
        """The lines around the one of that number; None if there is no such line or nobody has counted so far yet."""
        offset = self._index.start_of(self.descriptor, number, self.end)
        if offset is None:
            return None
        after = self.after(offset, count - count // 2)
        if count < 2:
            return after
        before = self.before(offset, count - len(after.lines))
        return Piece(before.start, after.end, self.end, [*before.lines, *after.lines])

    def lines_before(self, offset: int) -> int | None:
        """How many lines end before the offset, if that can be told at once."""
        return self._index.lines_before(self.descriptor, offset, self.size)

    def start_of(self, number: int) -> int | None:
        return self._index.start_of(self.descriptor, number, self.end)

    # --- where lines begin and end

    def _line_start(self, offset: int) -> int:
        newline = next(self._newlines_backwards(offset), None)
        return max(0, offset - _LONGEST_LINE) if newline is None else newline + 1

    def _newlines_backwards(self, end: int) -> Iterator[int]:
        """Places of newlines before `end`, the last one first, as far as the longest line could reach."""
        reach = end - _LONGEST_LINE
        while end > max(0, reach):
            start = max(0, end - _BLOCK_BYTES)
            block = os.pread(self.descriptor, end - start, start)
            at = len(block)
            while (at := block.rfind(b"\n", 0, at)) >= 0:
                reach = start + at - _LONGEST_LINE
                yield start + at
            end = start

    def _line_ends(self, offset: int) -> Iterator[int]:
        """The offsets just after each line's end, up to the end of what counts."""
        start = offset
        while offset < self.end:
            block = os.pread(self.descriptor, min(_BLOCK_BYTES, self.end - offset), offset)
            if not block:  # it was cut meanwhile; the runner goes on where it was whole
                return
            at = -1
            while (at := block.find(b"\n", at + 1)) >= 0:
                start = offset + at + 1
                yield start
            offset += len(block)
            if offset - start >= _LONGEST_LINE or (offset == self.end > start):
                start = offset
                yield offset

    # --- what is in them

    def _piece(self, borders: list[int]) -> Piece:
        first = self.lines_before(borders[0])
        colours, lines = Colours(), []
        for index, (start, end) in enumerate(itertools.pairwise(borders)):
            raw, hidden_bytes = self._raw(start, end)
            lines.append(parsed(raw, start, None if first is None else first + index + 1, colours, hidden_bytes))
        return Piece(borders[0], borders[-1], self.end, lines)

    def _raw(self, start: int, end: int) -> tuple[bytes, int]:
        """A line without its newline, and how many of its bytes were not read."""
        if end - start <= _LONGEST_READ:
            return os.pread(self.descriptor, end - start, start).removesuffix(b"\n"), 0
        beginning = os.pread(self.descriptor, _BEGINNING_READ, start)
        last = os.pread(self.descriptor, _END_READ, end - _END_READ)
        hidden_bytes = end - start - _BEGINNING_READ - last.endswith(b"\n")
        last = last.removesuffix(b"\n")
        if b"\r" in last.rstrip(b"\r"):  # a progress bar: its last state counts
            return beginning.partition(b" ")[0] + b" " + last, 0
        return beginning, hidden_bytes
