"""Databases of the tests' own, of either kind: one for each installation that a test starts, and a way to look into it.

SQLite: a file in the installation's folder. PostgreSQL (TEST_POSTGRESQL): a copy of one that was migrated once.
"""

import atexit
import contextlib
import functools
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVER = os.environ.get("TEST_POSTGRESQL", "")
_number = itertools.count(1)
_template: list[str] = []


def address_of(name: str) -> str:
    return f"{SERVER.rpartition('/')[0]}/{name}"


class SqliteFile:
    """`query` and `change` take SQLite's places for values (?)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment: dict[str, str] = {}

    def query(self, sql: str, *parameters) -> list[tuple]:
        with contextlib.closing(sqlite3.connect(self.path, timeout=20)) as database:
            return database.execute(sql, parameters).fetchall()

    def change(self, sql: str, *parameters) -> None:
        with contextlib.closing(sqlite3.connect(self.path, timeout=20)) as database, database:
            database.execute(sql, parameters)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else writes while the block runs."""
        with contextlib.closing(sqlite3.connect(self.path, timeout=20, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            yield
            database.execute("ROLLBACK")

    def drop(self) -> None:
        """It goes with its folder."""


class PostgresqlDatabase:
    """A new one, with all migrations applied unless it is to be `empty`."""

    def __init__(self, *, empty: bool = False) -> None:
        self.name = f"site_{os.getpid()}_{next(_number)}"
        template = "" if empty else f' TEMPLATE "{_migrated()}"'
        with _connected("postgres") as server:
            server.execute(f'CREATE DATABASE "{self.name}"{template}')
        self.address = address_of(self.name)
        self.environment = {"DATABASE_URL": self.address}

    def query(self, sql: str, *parameters) -> list[tuple]:
        with _connected(self.name) as database:
            return database.execute(_translated(sql), parameters).fetchall()

    def change(self, sql: str, *parameters) -> None:
        with _connected(self.name) as database:
            database.execute(_translated(sql), parameters)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else's transaction begins while the block runs."""
        from jobrunner_site.postgresql.base import WRITERS_TURN

        with _connected(self.name) as database, database.transaction():
            database.execute("SELECT pg_advisory_xact_lock(%s)", [WRITERS_TURN])
            yield

    def drop(self) -> None:
        with _connected("postgres") as server:
            server.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')


@functools.cache
def migrated_file() -> Path:
    """A database on SQLite that `manage.py migrate` has made once for this run of the tests, to be copied."""
    folder = Path(tempfile.mkdtemp(prefix="jobrunner-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _migrate({"WORK_DIR": str(folder)})
    with contextlib.closing(sqlite3.connect(folder / "db.sqlite3")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "db.sqlite3"


def _migrate(environment: dict[str, str]) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity=0"]
    environment = {"PATH": os.environ["PATH"], "DOTENV_FILE": "", **environment}
    subprocess.run(command, env=environment, check=True, timeout=120)


def _translated(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


def _connected(name: str):
    import psycopg

    return psycopg.connect(address_of(name), autocommit=True)


def _migrated() -> str:
    """The name of a database that `manage.py migrate` has made once for this run of the tests."""
    if not _template:
        made = PostgresqlDatabase(empty=True)
        with tempfile.TemporaryDirectory() as folder:
            _migrate({"WORK_DIR": folder, **made.environment})
        _template.append(made.name)
        atexit.register(made.drop)
    return _template[0]
