"""Which line of a log begins where, without counting the whole file for each page.

Of each log that somebody reads this process remembers how many lines end before every megabyte or so. Whole lines of a
log never change, the runner only appends; so what was counted stays right, and only what is new is counted. One look
counts at most `MOST_BYTES`: in a longer log the first looks have no numbers, each brings them nearer.
"""

import os
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from pathlib import Path

STEP_BYTES = 1024**2
MOST_BYTES = 256 * 1024**2
_MOST_LOGS = 128

_indexes: "OrderedDict[tuple, LineIndex]" = OrderedDict()
_lock = threading.Lock()


def index_of(path: Path, status: os.stat_result, size: int) -> "LineIndex":
    """Of the file that `status` tells, of whose text there are `size` bytes."""
    key = (path, status.st_dev, status.st_ino)
    with _lock:
        index = _indexes.setdefault(key, LineIndex())
        _indexes.move_to_end(key)
        while len(_indexes) > _MOST_LOGS:
            _indexes.popitem(last=False)
    index.forget_beyond(size)
    return index


class LineIndex:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._offsets, self._counts = [0], [0]
        self._lock = threading.Lock()

    def forget_beyond(self, size: int) -> None:
        """A runner that starts again cuts off a torn line."""
        with self._lock:
            while self._offsets[-1] > size:
                self._offsets.pop()
                self._counts.pop()

    def lines_before(self, descriptor: int, offset: int, size: int) -> int | None:
        """How many newlines are before the offset; None if that is further than one look counts."""
        with self._lock:
            self._count_up_to(descriptor, min(offset, size))
            mark = bisect_right(self._offsets, offset) - 1
            start, count = self._offsets[mark], self._counts[mark]
        if offset - start > STEP_BYTES:
            return None
        return count + os.pread(descriptor, offset - start, start).count(b"\n")

    def start_of(self, descriptor: int, number: int, size: int) -> int | None:
        """Where the line begins; None if there is none of that number before `size`, or it is too far to count."""
        if number < 1:
            return None
        with self._lock:
            self._count_up_to(descriptor, size)
            # Of marks with the same count, within one long line, the first is where that line begins.
            mark = bisect_left(self._counts, number - 1)
            if mark == len(self._counts) or self._counts[mark] > number - 1:
                mark -= 1
            offset, missing = self._offsets[mark], number - 1 - self._counts[mark]
        block = os.pread(descriptor, max(0, min(STEP_BYTES, size - offset)), offset)
        at = 0
        for _ in range(missing):
            if not (at := block.find(b"\n", at) + 1):
                return None
        return offset + at if offset + at < size else None

    def _count_up_to(self, descriptor: int, offset: int) -> None:
        """Set marks up to less than a step before the offset, or as far as one look may."""
        left = MOST_BYTES
        while offset - self._offsets[-1] >= STEP_BYTES and left > 0:
            block = os.pread(descriptor, STEP_BYTES, self._offsets[-1])
            if len(block) < STEP_BYTES:  # it was cut meanwhile
                return
            left -= len(block)
            # At a line's beginning, where nothing changes even if a torn line after it is cut off.
            length = block.rfind(b"\n") + 1 or len(block)
            self._offsets.append(self._offsets[-1] + length)
            self._counts.append(self._counts[-1] + block.count(b"\n"))
