"""Whether the database is the one whose jobs' folders are in the work directory.

A database of another name, a new one, or one that was put back from elsewhere looks whole, and the runner would go on
with nothing: jobs would run a second time, and containers and outputs belong to nobody. So `manage.py run` gives the
database a number and leaves it in the work directory, and nobody works where the two differ. Moving a site
(`copy_database`) and putting a copy back keep the number.
"""

import os
from pathlib import Path

from django.conf import settings
from django.core.management import CommandError
from django.db import connection

MARK = "database-id"


def check_belonging() -> None:
    """Raises CommandError, with what to do, if the work directory is another database's. One query."""
    from jobs.models import Installation  # Django's checks, which ask this, are made known before there are models

    wanted = _wanted()
    if not wanted:
        return
    found = Installation.objects.identifier()
    if found != wanted:
        name = connection.settings_dict["NAME"]
        what = "is another installation's" if found else "has none of the jobs"
        raise CommandError(
            f"The database {name} {what} whose folders are in {settings.WORK_DIR}. Name the right one in DATABASE_URL, "
            "or put its copy back. A site is moved to another database by `manage.py copy_database`. Only if this one "
            f"is to take over all the same, remove {_mark()}."
        )


def claim() -> None:
    """Let database and work directory know each other, at the start of `manage.py run`. May be killed at any line.

    Raises CommandError as `check_belonging` does.
    """
    from jobs.models import Installation

    check_belonging()
    if not _wanted():
        _write(_mark(), Installation.objects.give_identifier())


def _mark() -> Path:
    return settings.WORK_DIR / MARK


def _wanted() -> str:
    """Empty where nothing is marked, or where this process does not see it (the web in a container)."""
    try:
        return _mark().read_text(errors="replace").strip()
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
