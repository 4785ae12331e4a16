"""One publication at a time per workspace: readers and writers of its storage and manifest take this lock.

A flock on a file of ours works between threads and processes, and the kernel releases it when a process dies.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from jobs import storage


@contextmanager
def publishing_lock(workspace: str) -> Iterator[None]:
    """Hold the workspace's lock; not re-entrant (taking it twice in one thread waits for ever)."""
    folder = settings.WORK_DIR / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    name = storage.high_privacy_workspace(workspace).name
    # Never removed: a process that waits for a removed lock file would hold a lock that nobody else sees.
    with (folder / f"{name}.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
