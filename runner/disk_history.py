"""How the free space of disks has changed over the last day, and how much the copies of repositories take.

For the pages only: what is not known is left out. In memory, one reading an hour, so that it costs nothing to keep; a
new process begins anew.
"""

import os
from collections import deque
from datetime import datetime, timedelta
from pathlib import Path

EVERY, KEPT = timedelta(hours=1), 24
MOST_ENTRIES = 200_000
_BLOCK_BYTES = 512


class DiskHistory:
    def __init__(self) -> None:
        self._readings: dict[str, deque[tuple[datetime, int]]] = {}

    def note(self, name: str, at: datetime, free: int) -> None:
        readings = self._readings.setdefault(name, deque(maxlen=KEPT + 1))
        if readings and at < readings[-1][0]:
            readings.clear()  # the clock was set back: nobody knows how old they are
        if not readings or at - readings[-1][0] >= EVERY:
            readings.append((at, free))

    def earlier(self, name: str, at: datetime) -> tuple[datetime, int] | None:
        """The oldest reading of the last day, if it is old enough to tell anything."""
        readings = self._readings.get(name)
        return readings[0] if readings and at - readings[0][0] >= EVERY else None


def size_of_copies(folder: Path) -> dict[str, int] | None:
    """`copies`: how many folders are in it; `bytes` that all of it takes on the disk. None if it cannot be looked at.

    Follows no link. Of a folder with more than MOST_ENTRIES the rest is not counted.
    """
    try:
        with os.scandir(folder) as entries:
            copies = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return None
    return {"copies": len(copies), "bytes": _blocks_below(copies) * _BLOCK_BYTES}


def _blocks_below(folders: list[str]) -> int:
    blocks = seen = 0
    waiting = list(folders)
    while waiting and seen < MOST_ENTRIES:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    seen += 1
                    blocks += entry.stat(follow_symlinks=False).st_blocks
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            continue  # git has just removed it
    return blocks
