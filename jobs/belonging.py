"""Whether the database is the one whose jobs' folders are in the work directory.

A database of another name, a new one, or one that was put back from elsewhere looks whole, and the runner would go on
with nothing: jobs would run a second time, and containers and outputs belong to nobody. So `manage.py run` gives the
database a number and leaves it in the work directory, and nobody works where the two differ. Moving a site
(`copy_database`) and putting a copy back keep the number.
"""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.management import CommandError
from django.db import connection, transaction

from jobs.text import listed

MARK = "database-id"
# With compose.yaml the folder of SQLite's file is all that the pages, sync and migrate see of the work directory.
SEEN_BY_ALL = "database"


def check_belonging() -> None:
    """Raises CommandError, with what to do, if the work directory is another database's. One query."""
    from jobs.models import Installation  # Django's checks, which ask this, are made known before there are models

    wanted = _wanted()
    if not wanted:
        return
    found = Installation.objects.identifier()
    if found not in wanted.split():
        name = connection.settings_dict["NAME"]
        what = "is another installation's" if found else "knows none of them"
        marks = listed([str(mark) for mark in _marks() if _content(mark)])
        raise CommandError(
            f"The database {name} is not that of the jobs in {settings.WORK_DIR}: it {what}. Name the right one in "
            "DATABASE_URL, or put its copy back. A site is moved to another database by `manage.py copy_database`. "
            f"Only if this one is to take over all the same, remove {marks}."
        )


def claim() -> None:
    """Let database and work directory know each other, at the start of `manage.py run`. May be killed at any line.

    Raises CommandError as `check_belonging` does.
    """
    from jobs.models import Installation

    check_belonging()
    for mark in _marks():
        if not _content(mark):
            _write(mark, Installation.objects.give_identifier())


@contextlib.contextmanager
def moved() -> Iterator[None]:
    """While the block runs, whose end commits the new database, the old one and the new one are both ours; then the new
    one only. An old file that is kept must not be taken for the site some day, by an address that got lost."""
    from jobs.models import Installation

    new, old = uuid.uuid4().hex, _wanted()
    with transaction.atomic():
        yield
        Installation.objects.update_or_create(pk=1, defaults={"identifier": new})
        for mark in _marks() if old else ():
            _write(mark, f"{old} {new}")
    for mark in _marks():
        _write(mark, new)


def is_marked() -> bool:
    """Whether a `manage.py run` has ever begun here."""
    return bool(_wanted())


def _marks() -> list[Path]:
    """One would do; each process has to see one."""
    folders = [settings.WORK_DIR, settings.WORK_DIR / SEEN_BY_ALL]
    return [folder / MARK for folder in folders if folder.is_dir()]


def _wanted() -> str:
    return next(filter(None, map(_content, _marks())), "")


def _content(mark: Path) -> str:
    """Empty where nothing is marked, or this process may not see it."""
    try:
        return mark.read_text(errors="replace").strip()
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    """On the disk as a whole, or not at all. A full disk is for `manage.py run` to tell; the next start tries again."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("w") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
