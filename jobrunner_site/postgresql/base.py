"""Django's connection to PostgreSQL, with what our code leans on since it was written for SQLite.

Transactions that may write come one after the other: each takes the same lock as it begins, before it has read
anything, and gives it back with its end, however that comes about. So what a transaction has read is still true when it
writes: two planners never double an action, a cancel and the step that it overtakes never miss each other. A single
statement outside of a transaction does not wait; the database carries it out as a whole by itself.

Any text can be stored and looked for: PostgreSQL has no NUL, and what a study or a caller has written must not become
an error of ours, so a NUL is � there (`jobrunner_site.postgresql.texts`). And the server's administrator can see which
of our processes a connection belongs to.

A status that was acknowledged survives a crash of the server, whatever the server's default is: with
`synchronous_commit = off` it forgets the last half second, in which a short job may have ended and its container have
been removed, so that its command would be started a second time.

A server that takes no writes, a standby after a failover, is as good as none: a new connection refuses it (by default:
`target_session_attrs` of the address), and what it answers on one from before is an OperationalError. Whoever holds the
lock of the only `manage.py run` at one server works with no other: there the lock may be somebody else's.
"""

import os
import socket
import sys
from pathlib import Path

import psycopg
from django.db.backends.postgresql import base
from django.utils.functional import cached_property

from jobrunner_site.postgresql.errors import ErrorWrapper
from jobrunner_site.postgresql.texts import Operations, StrDumper

# Any number that nobody else uses in our database; the lock of `jobs.lock` has two numbers and is never the same.
WRITERS_TURN = 7_236_810_443
# The first column says which server it is: as long as it runs, and no other has the same. What is stricter about
# commits, or about standby servers, is the administrator's choice and stays.
WHICH_SERVER = "SELECT pg_postmaster_start_time()::text"
_BEGIN = f"""{WHICH_SERVER}, CASE current_setting('synchronous_commit')
WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END"""
_OTHER_SERVER = "the address leads to another server than the one that has this process's lock, or it was restarted"
# PostgreSQL cuts longer names off.
_LONGEST_NAME = 63


def process_name() -> str:
    """Which process this is, for `pg_stat_activity`: "jobrunner run 4711@host"."""
    program, *arguments = Path(sys.argv[0]).name, *sys.argv[1:]
    command = next(iter(arguments), "") if program in ("manage.py", "__main__.py") else program
    start, end = f"jobrunner {command}".strip(), f" {os.getpid()}@{socket.gethostname()}"
    return f"{start[: _LONGEST_NAME - len(end)]}{end}"[:_LONGEST_NAME]


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = Operations
    # Of this process's lock, while it holds one (`jobs.session_lock`).
    server_of_lock: str | None = None

    @cached_property
    def wrap_database_errors(self) -> ErrorWrapper:
        return ErrorWrapper(self)

    def get_connection_params(self) -> dict:
        return {**super().get_connection_params(), "application_name": process_name()}

    def get_new_connection(self, conn_params: dict):
        connection = super().get_new_connection(conn_params)
        try:
            server, _ = connection.execute(_BEGIN).fetchone()
            connection.commit()
            if DatabaseWrapper.server_of_lock not in (None, server):
                raise psycopg.OperationalError(_OTHER_SERVER)
        except BaseException:
            connection.close()
            raise
        connection.adapters.register_dumper(str, StrDumper)
        return connection

    def set_autocommit(self, autocommit: bool, force_begin_transaction_with_broken_autocommit: bool = False) -> None:
        """The second argument is Django's word for "an atomic block begins". Raises OperationalError after
        `lock_timeout`, as SQLite does for a database that somebody holds for too long."""
        super().set_autocommit(autocommit, force_begin_transaction_with_broken_autocommit)
        if autocommit or not force_begin_transaction_with_broken_autocommit:
            return
        try:
            # Not by Django's cursor: it belongs to the beginning of the transaction, as BEGIN does.
            with self.wrap_database_errors:
                self.connection.execute("SELECT pg_advisory_xact_lock(%s)", [WRITERS_TURN])
        except BaseException:
            self._back_to_autocommit()
            raise

    def _back_to_autocommit(self) -> None:
        """The block has not begun, and nobody else will end what was begun for it."""
        try:
            self.rollback()
            super().set_autocommit(True)
        except Exception:
            self.close()
