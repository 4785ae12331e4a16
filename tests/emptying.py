"""What real transactions have left in the database goes before the next test, but only where there are rows.

Django's `flush` empties all tables and then makes content types, permissions and roles anew: a quarter of a second on
PostgreSQL and a tenth on SQLite, hundreds of times in a run. Here whatever the migrations have filled is only looked
at, and a test that has changed it is followed by Django's own.
"""

from collections.abc import Callable

from django.core.management import call_command
from django.db import connection, transaction


def make_emptying() -> Callable[..., None]:
    """Stands in for `TransactionTestCase._fixture_teardown`; made while the database is as the migrations left it."""
    tables = [name for name in connection.introspection.table_names() if name != "django_migrations"]
    seeds = {table: _rows(table) for table in _filled(tables)}

    def empty(case: object) -> None:
        filled = _filled(tables)
        if any(_rows(table) != rows for table, rows in seeds.items()):
            call_command("flush", verbosity=0, interactive=False)
            return
        with transaction.atomic(), connection.cursor() as cursor:  # references are looked at when it ends
            for table in filled:
                if table not in seeds:
                    cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")

    return empty


def _filled(tables: list[str]) -> list[str]:
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        asked = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {quote(name)})" for name in tables)
        cursor.execute(asked)
        return [name for (name,) in cursor.fetchall()]


def _rows(table: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} ORDER BY 1")
        return cursor.fetchall()
