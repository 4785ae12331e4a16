"""The rows of an SQLite database into an empty one on PostgreSQL: all of them, or none.

Both have the same migrations. What `manage.py migrate` has made in the new one (kinds of content, permissions, roles)
is replaced by the old one's rows, whose numbers others refer to. One transaction writes, one reads; whoever is killed
in between has changed nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.management.color import no_style
from django.db import connection, connections, models, transaction
from django.db.migrations.recorder import MigrationRecorder

_SOURCE = "moved_from"
_AT_ONCE = 2000
# In this order they can be deleted. What services write as they begin is worth nothing.
_MADE_BY_MIGRATE = ("auth_group_permissions", "auth_group", "auth_permission", "django_content_type")
_MADE_BY_SERVICES = ("django_q_schedule", "jobs_heartbeat")


class CannotMove(Exception):
    """Nothing was changed; the message says why and what to do."""


@dataclass
class Moved:
    rows: dict[str, int] = field(default_factory=dict)
    # PostgreSQL stores no NUL; it becomes the sign for what cannot be shown.
    texts_changed: int = 0


def move(source: Path, tell: Callable[[str, int], None]) -> Moved:
    """Copy every row; `tell` hears of each table that is done. Raises CannotMove and DatabaseError."""
    require_postgresql()
    moved = Moved()
    with _opened(source) as old:
        version = _version(old)
        with transaction.atomic(), connection.cursor() as cursor:
            with transaction.atomic(using=_SOURCE):
                _require_same_migrations(old)
                _require_empty()
                for table in (*_MADE_BY_MIGRATE, *_MADE_BY_SERVICES):
                    cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")  # noqa: S608 - our own names
                for model in _models():
                    moved.rows[model._meta.db_table] = _copy(model, cursor, moved)
                    tell(model._meta.db_table, moved.rows[model._meta.db_table])
            _require_same_counts(moved)
            connection.check_constraints()
            for statement in connection.ops.sequence_reset_sql(no_style(), _models()):
                cursor.execute(statement)
            if _version(old) != version:
                raise CannotMove(
                    f"{source} was written to meanwhile, so nothing was copied: stop run, sync and the web first."
                )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # without it the first plans of large tables are bad ones
    return moved


def require_postgresql() -> None:
    """Raises CannotMove."""
    if connection.vendor != "postgresql":
        raise CannotMove("DATABASE_URL has to name the new database, on PostgreSQL.")


class _opened:
    """`with _opened(path) as connection:` Django's connection to the old file, which is only read."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise CannotMove(f"There is no file {path}.")
        self._description = {
            **connections.settings["default"],
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{path.absolute().as_uri()}?mode=ro",
            "OPTIONS": {"uri": True, "timeout": 20},
            "CONN_MAX_AGE": 0,
        }

    def __enter__(self):
        connections.settings[_SOURCE] = self._description
        return connections[_SOURCE]

    def __exit__(self, *error) -> None:
        connections[_SOURCE].close()
        del connections[_SOURCE]
        del connections.settings[_SOURCE]


def _version(old) -> int:
    """SQLite's count of what others have committed."""
    with old.cursor() as cursor:
        return cursor.execute("PRAGMA data_version").fetchone()[0]


def _models() -> list[type[models.Model]]:
    """Each table once."""
    found = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True) if _has_table(model)}
    return list(found.values())


def _has_table(model: type[models.Model]) -> bool:
    return model._meta.managed and not model._meta.proxy


def _require_same_migrations(old) -> None:
    theirs, ours = (set(MigrationRecorder(each).applied_migrations()) for each in (old, connection))
    if theirs == ours:
        return
    missing = sorted(f"{app}.{name}" for app, name in ours - theirs)
    what = f"it lacks {', '.join(missing[:5])}" if missing else "it is of a newer version"
    raise CannotMove(
        f"The old database is not of this version of the job runner ({what}): run `manage.py migrate` with "
        "DATABASE_URL naming the old one, then again what you have just run."
    )


def _require_empty() -> None:
    for model in _models():
        if model._meta.db_table not in (*_MADE_BY_MIGRATE, *_MADE_BY_SERVICES) and model._base_manager.exists():
            raise CannotMove(
                f"The new database is not empty ({model._meta.db_table} has rows), and nothing is ever mixed: name an "
                "empty one."
            )


def require_new() -> None:
    """Nothing is in the database but what `migrate` and services that begin have made. Raises CannotMove.

    By SQL alone: its tables may be of any version, or another program's.
    """
    ours = {model._meta.db_table for model in _models()} | {MigrationRecorder.Migration._meta.db_table}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            if table not in ours:
                raise CannotMove(f"The new database has a table of another program, {table}: name an empty one.")
            if table in (*_MADE_BY_MIGRATE, *_MADE_BY_SERVICES, MigrationRecorder.Migration._meta.db_table):
                continue
            cursor.execute(f"SELECT 1 FROM {connection.ops.quote_name(table)} LIMIT 1")  # noqa: S608 - our own names
            if cursor.fetchone():
                raise CannotMove(
                    f"The new database is not empty ({table} has rows), and nothing is ever mixed: name an empty one."
                )


def _copy(model: type[models.Model], cursor, moved: Moved) -> int:
    fields = model._meta.local_concrete_fields
    import psycopg  # a site on SQLite does without

    names = ", ".join(connection.ops.quote_name(each.column) for each in fields)
    table = connection.ops.quote_name(model._meta.db_table)
    number = 0
    try:
        with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            for row in _rows(model, fields, moved):
                copy.write_row(row)
                number += 1
    except psycopg.Error as error:
        where = f" ({error.diag.context})" if error.diag.context else ""
        raise CannotMove(
            f"PostgreSQL does not take a row of {model._meta.db_table}: {error.diag.message_primary or error}{where}. "
            "Nothing was copied. Mend it in the old database."
        ) from error
    return number


def _rows(model: type[models.Model], fields: list[models.Field], moved: Moved) -> Iterator[list]:
    rows = model._base_manager.using(_SOURCE).order_by("pk").values_list("pk", *(each.attname for each in fields))
    for pk, *values in rows.iterator(chunk_size=_AT_ONCE):
        found = []
        for each, value in zip(fields, values, strict=True):
            clean = _clean(value)
            moved.texts_changed += clean != value
            most = each.max_length if isinstance(each, models.CharField) else None
            if most and isinstance(clean, str) and len(clean) > most:
                raise CannotMove(
                    f"Row {pk} of {model._meta.db_table} has {len(clean)} signs in {each.column}, where PostgreSQL "
                    f"takes {most}. Nothing was copied. Shorten it in the old database."
                )
            found.append(each.get_db_prep_save(clean, connection))
        yield found


def _clean(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    return value


def _require_same_counts(moved: Moved) -> None:
    for model in _models():
        table = model._meta.db_table
        there, here = (model._base_manager.using(alias).count() for alias in (_SOURCE, "default"))
        if not there == here == moved.rows[table]:
            raise CannotMove(f"{table} has {there} rows and its copy {here}: nothing was copied. See what wrote to it.")


def default_source() -> Path:
    """Where the database lies if nobody has said otherwise: without containers, or as compose.yaml has it.

    Raises CannotMove if it lies in both places: one is an older one.
    """
    usual, with_compose = settings.WORK_DIR / "db.sqlite3", settings.WORK_DIR / "database" / "db.sqlite3"
    if usual.is_file() and with_compose.is_file():
        raise CannotMove(f"There are {usual} and {with_compose}: name the one that the site works with by --from.")
    return with_compose if with_compose.is_file() else usual
