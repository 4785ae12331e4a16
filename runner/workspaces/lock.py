"""One publication at a time per workspace: whoever changes its storage and manifest takes this lock.

A flock on a file of ours works between threads and processes, and the kernel releases it when a process dies.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from jobs import storage
from runner.workspaces.files import ShouldStop, check_stop

_PAUSE_SECONDS = 0.01


@contextmanager
def publishing_lock(workspace: str, should_stop: ShouldStop) -> Iterator[None]:
    """Hold the workspace's lock; not re-entrant (taking it twice in one thread waits for ever).

    Raises Stopped if a stop is asked for while somebody else holds it.
    """
    folder = settings.WORK_DIR / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    name = storage.high_privacy_workspace(workspace).name
    # Never removed: a process that waits for a removed lock file would hold a lock that nobody else sees.
    with (folder / f"{name}.lock").open("ab") as file:
        while not _is_taken(file.fileno()):
            check_stop(should_stop)
            time.sleep(_PAUSE_SECONDS)
        yield


def _is_taken(descriptor: int) -> bool:
    # A call that waits in the kernel would hear no stop.
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
