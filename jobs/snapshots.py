"""Copies of the database for the day on which it is lost: whole, checked, and only the newest kept.

A copy is made while everything runs. It appears under its name only when it is complete, was read through (by SQLite,
or by PostgreSQL's tools) and is on the disk; so whatever bears such a name can be put in the database's place. What a
killed try has left is removed by the next one. Copies name files of patients: nobody else may read them.
"""

import contextlib
import fcntl
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils import timezone

from jobs import dumping
from jobs.text import size_in_words

_NAME = re.compile(r"db-(\d{8}T\d{6})Z\.(sqlite3|dump)")
_UNFINISHED = ".unfinished"
_STAMP = "%Y%m%dT%H%M%S"


class NoSnapshot(Exception):
    """None was made; the message says why and what to do."""


@dataclass(frozen=True)
class Snapshot:
    path: Path
    at: datetime
    size: int


def why_not() -> str:
    """Why no copies can be made here; empty if they can."""
    return dumping.why_not() if connection.vendor == "postgresql" else ""


def snapshots() -> list[Snapshot]:
    """Those of this kind of database that are there, the newest first."""
    found = []
    for path in settings.SNAPSHOT_DIR.iterdir() if settings.SNAPSHOT_DIR.is_dir() else ():
        name = _NAME.fullmatch(path.name)
        if name and name[2] == _kind() and path.is_file() and not path.is_symlink() and path.stat().st_size:
            at = datetime.strptime(name[1], _STAMP).replace(tzinfo=UTC)
            found.append(Snapshot(path, at, path.stat().st_size))
    return sorted(found, key=lambda snapshot: snapshot.at, reverse=True)


def take() -> Snapshot:
    """Make one, and remove those beyond the newest SNAPSHOTS_KEPT. Raises NoSnapshot."""
    at, folder = timezone.now().astimezone(UTC).replace(microsecond=0), settings.SNAPSHOT_DIR
    path = folder / f"db-{at:{_STAMP}}Z.{_kind()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _one_at_a_time(folder):
            _remove_unfinished(folder)
            _require_room(folder)
            _copy(path)
        # Never the one that was just made, whatever the others' names say of their age.
        others = [each for each in snapshots() if each.path != path]
        for old in others[settings.SNAPSHOTS_KEPT - 1 :]:
            old.path.unlink(missing_ok=True)
    except dumping.CannotDump as error:
        raise NoSnapshot(str(error)) from error
    except (OSError, sqlite3.Error) as error:
        raise NoSnapshot(f"No snapshot could be made in {folder}: {error}.") from error
    return Snapshot(path, at, path.stat().st_size)


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Each removes what is unfinished. The lock is the folder's own: a file would belong to whoever came first."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # a network mount may know no locks of folders
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise NoSnapshot(f"Another copy is being made in {folder}: wait for it, then try again.") from None
        yield
    finally:
        os.close(descriptor)


def _kind() -> str:
    return "dump" if connection.vendor == "postgresql" else "sqlite3"


def _copy(path: Path) -> None:
    unfinished = path.with_name(path.name + _UNFINISHED)
    try:
        if connection.vendor == "postgresql":
            dumping.dump(unfinished)
        else:
            _copy_sqlite(unfinished)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        os.link(unfinished, path)  # which never takes another one's place
        unfinished.unlink()
        _sync_folder(path.parent)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _copy_sqlite(unfinished: Path) -> None:
    # SQLite would make it with the permissions of the umask.
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(_opened(_database(), "ro")) as source:
        source.execute("VACUUM INTO ?", (str(unfinished),))
    with closing(_opened(unfinished, "rw")) as copy:
        (said,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if said != "ok":
            raise NoSnapshot(f"The copy is damaged, and so may be the database: {said}. Keep the older snapshots.")


def _database() -> Path:
    return Path(connection.settings_dict["NAME"])


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=20)


def _require_room(folder: Path) -> None:
    """As much as the database takes, above what has to stay free."""
    size = dumping.size() if connection.vendor == "postgresql" else _size_of_file()
    free = shutil.disk_usage(folder).free
    if free < size + settings.MIN_FREE_DISK_BYTES:
        raise NoSnapshot(
            f"Only {size_in_words(free)} is free in {folder}; a copy takes {size_in_words(size)}, and "
            f"{size_in_words(settings.MIN_FREE_DISK_BYTES)} have to stay free. Free space, or set SNAPSHOT_DIR."
        )


def _size_of_file() -> int:
    name = _database()
    return sum(file.stat().st_size for file in (name, name.with_name(name.name + "-wal")) if file.is_file())


def _remove_unfinished(folder: Path) -> None:
    for path in folder.glob(f"db-*{_UNFINISHED}*"):
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
