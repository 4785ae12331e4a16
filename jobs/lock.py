"""Only one process of a kind, `manage.py run` or `manage.py sync`, may work on a work directory or a database.

A lock file beside each, held by flock: the kernel releases it when the process dies, however it dies. The file's text
only serves the message that the second one shows. A file that somebody removes, perhaps because it looks left over,
would let another process in: whoever holds it notices, and ends at once, as every step can be done again. A database on
PostgreSQL may be shared by many machines: there the server keeps the lock (`jobs.session_lock`).
"""

import contextlib
import errno
import fcntl
import logging
import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.management import CommandError
from django.db import connection

from jobs.ending import end_at_once
from jobs.schema import no_answer
from jobs.session_lock import LOCK_LOST, HeldElsewhere, SessionLock

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_REMOVED = (
    "the lock file %s of the only `manage.py %s` was removed or replaced, so another one may begin now: this one ends "
    "at once (exit code %d) and the next start goes on from there. No lock file is ever left over: leave them there"
)


class AlreadyRunning(Exception):
    """Another process holds the lock; the message names it."""


def _paths(command: str) -> list[Path]:
    paths = [settings.WORK_DIR / f"{command}.lock"]
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        # A link to the file is the same database.
        paths.append(Path(f"{os.path.realpath(database['NAME'])}.{command}.lock"))
    return paths


@contextlib.contextmanager
def only_one(command: str, why: str) -> Iterator[None]:
    """Hold the locks of `manage.py COMMAND` while the block runs.

    Raises AlreadyRunning at once, with `why` a second one would do harm, if another process has one of them.
    """
    with contextlib.ExitStack() as held:
        files = [held.enter_context(hold_file(path, command, why)) for path in _paths(command)]
        held.enter_context(_in_database(command, why))
        held.enter_context(_watched(command, files))
        yield


def is_held_here(command: str) -> bool:
    """Whether a process of this machine holds a lock file of `manage.py COMMAND`: it lives, for the kernel says so."""
    for path in _paths(command):
        try:
            with path.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            continue  # no such file: nobody holds it
    return False


@contextlib.contextmanager
def hold_file(path: Path, command: str, why: str) -> Iterator[IO]:
    """Hold one lock file while the block runs. Raises AlreadyRunning."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_own(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(200).strip() or "an unknown process"
            raise AlreadyRunning(
                f"Another `manage.py {command}` is already driving {path.parent}: {holder}. Stop it first; {why}."
            ) from None
        holder = f"pid {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n"
        # On a full disk the lock holds without its text, and the process comes up to say which disk is full.
        with contextlib.suppress(OSError):
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), holder.encode())
        yield file


def open_own(path: Path) -> IO:
    """For reading and appending; made if it is not there. Raises AlreadyRunning for a link.

    Other services of ours may write to the folder of the database; whom one of them obeys must not lead this process to
    files that only this process may write.
    """
    try:
        return open(path, "a+", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o666))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        what = f"{path} is a link, as no lock file of ours is: see who has made it, then remove it."
        raise AlreadyRunning(what) from None


@contextlib.contextmanager
def _watched(command: str, files: list[IO]) -> Iterator[None]:
    """End this process while the block runs if one of the lock files it holds is no longer there."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            for file in files:
                if not _is_in_its_place(file) and not over.is_set():
                    end_at_once(LOCK_LOST, lambda name=file.name: log.critical(_REMOVED, name, command, LOCK_LOST))

    thread = threading.Thread(target=watch, name="lock-files", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(2)


def _is_in_its_place(file: IO) -> bool:
    held = os.fstat(file.fileno())
    try:
        there = Path(file.name).stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True  # a disk that does not answer is told of elsewhere
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)


@contextlib.contextmanager
def _in_database(command: str, why: str) -> Iterator[None]:
    if connection.vendor != "postgresql":
        yield
        return
    import psycopg  # a site on SQLite does without

    from jobrunner_site.postgresql.own import BehindPooler

    with contextlib.ExitStack() as held:
        try:
            held.enter_context(SessionLock(command))
        except HeldElsewhere as error:
            raise AlreadyRunning(
                f"Another `manage.py {command}` is already working with this database: {error}. Stop it first; {why}."
            ) from None
        except BehindPooler as error:
            raise CommandError(str(error)) from None
        except psycopg.Error as error:
            raise no_answer(error) from error
        yield
