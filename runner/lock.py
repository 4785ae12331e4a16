"""Only one `manage.py run` may drive a work directory or a database, and always with the same executor.

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

from jobs.service import USED_MARK


class AlreadyRunning(Exception):
    """Another process holds the lock; the message names it."""


class OtherExecutor(Exception):
    """The work directory's jobs are run by the other executor; the message says what to do."""


def _paths() -> list[Path]:
    paths = [settings.WORK_DIR / "run.lock"]
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        # A link to the file is the same database.
        paths.append(Path(f"{os.path.realpath(database['NAME'])}.run.lock"))
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
            holder = f"pid {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n"
            # On a full disk the lock holds without its text, and the runner comes up to say which disk is full.
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), holder.encode())
        yield


def keep_to_one_executor() -> None:
    """Remember by which executor the work directory's jobs are run. Raises OtherExecutor if it was the other one.

    The fake executor would take over real jobs, find their containers missing, and invent their outputs.
    """
    mark = settings.WORK_DIR / USED_MARK
    used = mark.read_text().strip() if mark.exists() else ""
    if not used:
        with contextlib.suppress(OSError):  # a full disk: the next start will write it
            mark.write_text(f"{settings.EXECUTOR}\n")
    elif used != settings.EXECUTOR:
        raise OtherExecutor(
            f"The jobs of {settings.WORK_DIR} are run by the {used} executor, but EXECUTOR is {settings.EXECUTOR}. "
            f"Give it a work directory of its own, for add_job as well: WORK_DIR=workdir-{settings.EXECUTOR}."
        )
