"""Only one `manage.py run` may drive a work directory or a database.

A lock file beside each, held by flock: the kernel releases it when the process dies, however it dies. The file's text
only serves the message that the second one shows.
"""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings


class AlreadyRunning(Exception):
    """Another process holds the lock; the message names it."""


def _paths() -> list[Path]:
    paths = [settings.WORK_DIR / "run.lock"]
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        paths.append(Path(f"{database['NAME']}.run.lock"))
    return paths


@contextlib.contextmanager
def only_runner() -> Iterator[None]:
    """Hold the locks while the block runs. Raises AlreadyRunning at once if another process has one of them."""
    with contextlib.ExitStack() as held:
        for path in _paths():
            path.parent.mkdir(parents=True, exist_ok=True)
            file = held.enter_context(path.open("a+"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read(200).strip() or "an unknown process"
                raise AlreadyRunning(
                    f"Another `manage.py run` is already driving {path.parent}: {holder}. "
                    "Stop it first; two runners would disturb each other's jobs."
                ) from None
            file.truncate(0)
            file.write(f"pid {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n")
            file.flush()
        yield
