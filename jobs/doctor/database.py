"""Is the database whole, up to date, and set as it has to be?"""

from collections.abc import Iterator
from pathlib import Path

from django.core.management import CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from jobs import dumping
from jobs.belonging import check_belonging
from jobs.doctor import BAD, OK, WARN, Finding
from jobs.schema import is_damaged
from jobs.snapshots import snapshots, why_not
from jobs.text import duration_in_words, size_in_words

# As jobrunner_site/databases.py sets them for each connection.
_PRAGMAS = {"journal_mode": ("wal", "WAL"), "synchronous": (2, "FULL"), "foreign_keys": (1, "on")}
_PUT_BACK = "Stop run, sync and the web, and put the newest snapshot back (snapshot_database --list)."
_OLD_SNAPSHOT_SECONDS = 2 * 24 * 3600.0


def examine_database() -> Iterator[Finding]:
    try:
        executor = MigrationExecutor(connection)
    except DatabaseError as error:
        if is_damaged(error):
            yield Finding("Database", BAD, f"damaged: {error}", _PUT_BACK)
            return
        what = "See that its server runs (or who holds its file), and that DATABASE_URL leads to it."
        yield Finding("Database", BAD, f"does not answer: {' '.join(str(error).split())}", what)
        return
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        yield Finding("Migrations", BAD, f"{len(plan)} are not applied", "Run `manage.py migrate`.")
        return
    yield Finding("Migrations", OK, "all applied")
    try:
        check_belonging()
    except CommandError as error:
        yield Finding("Database", BAD, "it is not this installation's", str(error))
    if connection.vendor == "sqlite":
        yield from _sqlite()
    else:
        yield from _postgresql()
    yield _snapshots()


def _sqlite() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        for name, (wanted, words) in _PRAGMAS.items():
            (value,) = cursor.execute(f"PRAGMA {name}").fetchone()
            if value != wanted:
                what = "The file system may not allow it: put the database on a local disk, not on a network mount."
                yield Finding("Database settings", BAD, f"{name} is {value} and not {words}", what)
        (said,) = cursor.execute("PRAGMA quick_check(1)").fetchone()
    path = Path(connection.settings_dict["NAME"])
    size = f", {size_in_words(path.stat().st_size)}" if path.is_file() else ""
    if said == "ok":
        yield Finding("Database", OK, f"SQLite, whole{size}")
    else:
        yield Finding("Database", BAD, f"damaged: {said}", _PUT_BACK)


def _postgresql() -> Iterator[Finding]:
    """Whether its files are whole only the server's own tools can tell (pg_amcheck, checksums)."""
    version, size = dumping.server_version(), size_in_words(dumping.size())
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('fsync'), current_setting('full_page_writes')")
        values = zip(("fsync", "full_page_writes"), cursor.fetchone(), strict=True)
        loses = [f"{name} is off" for name, value in values if value == "off"]
    if loses:
        what = "Have the server's administrator switch it on: a power cut may take jobs' states, or the whole database."
        yield Finding("Database settings", BAD, " and ".join(loses), what)
    if not _sorts_by_code_points():
        what = "Searches for the beginning of an identifier read whole tables. New databases: docs/postgresql.md."
        yield Finding("Database settings", WARN, "names are not sorted by code points (C)", what)
    yield Finding("Database", OK, f"PostgreSQL {version}, {size}")


def _sorts_by_code_points() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT datcollate FROM pg_database WHERE datname = current_database()")
        return cursor.fetchone()[0] in ("C", "POSIX", "C.UTF-8", "C.utf8")


def _snapshots() -> Finding:
    if reason := why_not():
        return Finding("Snapshots", WARN, reason, "See that somebody does take copies, and has put one back once.")
    found = snapshots()
    if not found:
        return Finding("Snapshots", WARN, "there is none", "Run `manage.py snapshot_database`, best once a day.")
    age = max(0.0, (timezone.now() - found[0].at).total_seconds())
    said = f"{len(found)}, the newest {duration_in_words(age)} old"
    if age > _OLD_SNAPSHOT_SECONDS:
        return Finding("Snapshots", WARN, said, "Run `manage.py snapshot_database`, best once a day.")
    return Finding("Snapshots", OK, said)
