"""How much of the machine others used while a case was measured, so that a disturbed run says so itself.

Ours are this process with all that it started, and the engine with its containers. What is left is foreign, and so is
the time that a hypervisor took away. An engine that works for somebody else as well cannot be told apart.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NOISY_SHARE = 0.10
_ENGINE = ("dockerd", "containerd", "runc", "docker-init", "docker-proxy")
_KERNEL_THREADS = 2
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass
class Load:
    """The share of all processors (0 to 1) that was not ours; known when the block has ended."""

    foreign_share: float = 0.0

    @property
    def is_noisy(self) -> bool:
        return self.foreign_share > NOISY_SHARE


@contextmanager
def watched_load() -> Iterator[Load]:
    load = Load()
    before, started = _foreign_ticks() + _stolen_ticks(), time.monotonic()
    yield load
    # Of sums: what a process has used that ends meanwhile is then found with the parent that waited for it.
    ticks = max(0, _foreign_ticks() + _stolen_ticks() - before)
    available = (time.monotonic() - started) * _TICKS_PER_SECOND * (os.cpu_count() or 1)
    load.foreign_share = min(1.0, ticks / available) if available else 0.0


@dataclass(frozen=True)
class _Process:
    parent: int
    name: str
    ticks: int  # of itself and of its children that have ended


def _foreign_ticks() -> int:
    processes = dict(_processes())
    return sum(process.ticks for pid, process in processes.items() if not _is_ours(pid, processes))


def _processes() -> Iterator[tuple[int, _Process]]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text(errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        # proc(5): the name stands in brackets and may hold blanks; then state, parent, …, 12th to 15th the times.
        name, _, rest = text.partition("(")[2].rpartition(")")
        fields = rest.split()
        yield int(folder.name), _Process(int(fields[1]), name, sum(map(int, fields[11:15])))


def _is_ours(pid: int, processes: dict[int, _Process]) -> bool:
    own = os.getpid()
    while pid in processes:
        if pid in (own, _KERNEL_THREADS) or processes[pid].name.startswith(_ENGINE):
            return True
        pid = processes[pid].parent
    return False


def _stolen_ticks() -> int:
    """Eighth figure of the first line of /proc/stat: when the machine was ready to run and was not let."""
    return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8])
