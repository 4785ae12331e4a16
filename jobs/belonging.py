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
_LONGEST = 200


def check_belonging(name: str = "") -> None:
    """Raises CommandError, with what to do, if the work directory is another database's. One query, or two.

    `name`: what the message calls the database, if it is not the one that DATABASE_URL names.
    """
    from jobs.models import Installation, Job  # Django's checks, which ask this, are made known before there are models

    wanted = _wanted()
    found = Installation.objects.identifier() if wanted else ""
    if found in wanted.split() or not wanted:
        return
    name = name or connection.settings_dict["NAME"]
    marks = listed([str(mark) for mark in _marks() if _content(mark)])
    if found:
        what = "bears another number (another installation's, or this one's before it was moved)"
    elif Job.objects.exists():
        raise CommandError(
            f"The database {name} bears no number, so it is a copy from before the update that gave one to "
            f"{settings.WORK_DIR}. If it is this installation's and you are putting it back, remove {marks}, then "
            "start again."
        )
    else:
        what = "knows none of them"
    raise CommandError(
        f"The database {name} is not that of the jobs in {settings.WORK_DIR}: it {what}. Name the right one in "
        "DATABASE_URL, or put its copy back. A site is moved to another database by `manage.py copy_database`. "
        f"Only if this one is to take over all the same, remove {marks}."
    )


def claim() -> None:
    """Let database and work directory know each other, at the start of `manage.py run`. May be killed at any line.

    Raises CommandError as `check_belonging` does, and if a mark cannot be read: then nobody knows whose it is.
    """
    from jobs.models import Installation

    for mark in _marks():
        try:
            _read(mark)
        except FileNotFoundError:
            continue
        except OSError as error:
            what = "Give it to the user of `run`, if it is not a stranger's"
            raise CommandError(f"{mark} cannot be read: {error.strerror}. {what}.") from error
    check_belonging()
    identifier = Installation.objects.give_identifier()
    for mark in _marks():
        if _content(mark) != identifier:  # there is none, or a move has ended here
            with contextlib.suppress(OSError):  # a full disk: `run` tells of it, and the next start tries again
                _write(mark, identifier)


@contextlib.contextmanager
def moved(source: str) -> Iterator[None]:
    """The block copies `source` into the new database. While that is committed both are this installation's; then the
    new one only: a file that is kept must not be taken for the site some day, by an address that got lost.

    Raises CommandError, and nothing is copied, if `source` is not this installation's database, or not any more;
    OSError if that cannot be written down.
    """
    from jobs.models import Installation

    new, old = uuid.uuid4().hex, _wanted()
    with transaction.atomic():
        yield
        check_belonging(source)
        Installation.objects.update_or_create(pk=1, defaults={"identifier": new})
        for mark in _marks() if old else ():
            _write(mark, f"{old} {new}")
    for mark in _marks():
        with contextlib.suppress(OSError):  # both are valid still: the first `run` makes an end of that
            _write(mark, new)


def is_here() -> bool:
    """Whether the database bears this installation's number."""
    from jobs.models import Installation

    return Installation.objects.identifier() in _wanted().split()


def is_marked() -> bool:
    """Whether a `manage.py run` has ever begun here."""
    return bool(_wanted())


def _marks() -> list[Path]:
    """One would do; each process has to see one."""
    folders = [settings.WORK_DIR, settings.WORK_DIR / SEEN_BY_ALL]
    return [folder / MARK for folder in folders if _is_folder(folder)]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # this process may not look there
        return False


def _wanted() -> str:
    return next(filter(None, map(_content, _marks())), "")


def _content(mark: Path) -> str:
    """Empty where nothing is marked, or this process may not see it."""
    try:
        return _read(mark)
    except OSError:
        return ""


def _read(mark: Path) -> str:
    descriptor = os.open(mark, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _LONGEST).decode(errors="replace").strip()
    finally:
        os.close(descriptor)


def _write(path: Path, text: str) -> None:
    """On the disk as a whole, or not at all. Raises OSError."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        # Never by a link, which another service of ours might have made there to files that it may not write.
        unfinished.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(unfinished, flags, 0o666), "w") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
