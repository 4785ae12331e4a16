"""Whether the database has the tables that this version of the code needs: no fewer, and none that it does not know.

Asked by each process at its start, and by the web until it is so. Where an update is under way an older process that
still runs goes on: what migrations may do is such that it can (docs/operations.md).
"""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.management import CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from jobs.belonging import check_belonging, is_marked

log = logging.getLogger(__name__)

# In WORK_DIR: which executor runs its jobs. It is there once jobs have been run.
USED_MARK = "executor"
LONGEST_WAIT_SECONDS = 600.0
LOOK_SECONDS = 0.2
# An advisory lock of PostgreSQL is known by two numbers (the first as in jobs.session_lock).
_LOCK = (1_785_688_690, 1)
_WHERE_IT_IS = "restore it, name the right one, or, to move a site from SQLite, run `manage.py copy_database`"
MISSING = "is not set up for this version: run `manage.py migrate`."
NEWER = (
    "was set up by a newer version of the job runner than this one ({names}). Start that version; to go back to this "
    "one, put back the copy of the database from before the update (manage.py snapshot_database --help)."
)


def check_database() -> None:
    """Raises CommandError, with what to do, unless this version of the code can work with the database, and the
    database is this installation's."""
    try:
        executor = MigrationExecutor(connection)
    except DatabaseError as error:  # an option that libpq does not know is another kind than a server that is down
        if connection.vendor == "sqlite" and not is_damaged(error):
            raise
        raise no_answer(error) from error
    name, applied = connection.settings_dict["NAME"], executor.loader.applied_migrations
    if not applied and (is_marked() or (settings.WORK_DIR / USED_MARK).exists()):
        what = "put the database's file back" if connection.vendor == "sqlite" else _WHERE_IT_IS
        raise CommandError(
            f"The database {name} is empty, but jobs have been run in {settings.WORK_DIR}: {what}. "
            "To begin with nothing, move the whole work directory away (by default all outputs are in it)."
        )
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError(f"The database {name} {MISSING}")
    refuse_newer(executor)
    check_belonging()


def is_damaged(error: Exception) -> bool:
    """Whether SQLite says that the file is no database, or not a whole one."""
    return any(word in str(error) for word in ("not a database", "malformed", "disk image"))


def no_answer(error: Exception) -> CommandError:
    """The one sentence of a command that finds no database, instead of a traceback."""
    if is_damaged(error):
        name = connection.settings_dict["NAME"]
        return CommandError(f"{name} is damaged ({error}). Put a snapshot back: docs/operations.md.")
    said = " ".join(str(error).split()).rstrip(".?")
    return CommandError(f"The database does not answer: {said}. Once it does, start this again.")


def refuse_newer(executor: MigrationExecutor) -> None:
    """Raises CommandError if the database has steps of ours that this version does not know."""
    loader = executor.loader
    ours = {app for app, _ in loader.disk_migrations if app in ("jobs", "runner", "sync")}
    unknown = sorted(
        f"{app}.{name}"
        for app, name in loader.applied_migrations
        if app in ours and (app, name) not in loader.disk_migrations and (app, name) not in _replaced(loader)
    )
    if unknown:
        name = connection.settings_dict["NAME"]
        raise CommandError(f"The database {name} {NEWER.format(names=', '.join(unknown))}")


def _replaced(loader) -> set[tuple[str, str]]:
    return {each for migration in loader.replacements.values() for each in migration.replaces}


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Only one `migrate` of a database at once; the others wait, and then find nothing left to do.

    Raises CommandError after LONGEST_WAIT_SECONDS. Kernel and server let go when a process dies.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(_folder_of_lock() / "migrate.lock", flags, 0o666), "r+") as file:
        _wait_for(lambda: _is_held(file))
        if connection.vendor != "postgresql":
            yield
            return
        _wait_for(lambda: _asked("pg_try_advisory_lock"))
        try:
            yield
        finally:
            if connection.connection is not None and not connection.connection.closed:
                _asked("pg_advisory_unlock")


def _folder_of_lock() -> Path:
    """Beside SQLite's file: containers of one database (compose.yaml) have a WORK_DIR each."""
    if connection.vendor == "sqlite" and not connection.is_in_memory_db():
        beside = Path(connection.settings_dict["NAME"]).parent
        if os.access(beside, os.W_OK):
            return beside
    return settings.WORK_DIR


def _wait_for(is_held: Callable[[], bool]) -> None:
    deadline, is_said = time.monotonic() + LONGEST_WAIT_SECONDS, False
    while not is_held():
        if time.monotonic() > deadline:
            raise CommandError(
                "Another `manage.py migrate` has been at work for ten minutes: see what it does, or end it."
            )
        if not is_said:
            log.info("another `manage.py migrate` is at work here: waiting for its end")
            is_said = True
        time.sleep(LOOK_SECONDS)


def _is_held(file: IO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _asked(function: str) -> bool:
    """Of PostgreSQL: whether this session got, or had, the lock of migrations."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s, %s)", _LOCK)
        return cursor.fetchone()[0]
