"""A connection to our database on PostgreSQL beside Django's: for what lasts as long as the process, in no transaction.

Locks of a session and LISTEN belong to one connection to the server itself. A pooler that lends connections out for a
transaction each (pgbouncer) would give the lock to a stranger and the news to nobody, without a word.
"""

import psycopg

from jobrunner_site.postgresql.base import process_name

# What is sent here and not acknowledged for so long ends the connection, long before the server takes us for dead (a
# minute, `jobrunner_site.databases`): who holds a lock knows first that it is lost.
_UNHEARD_MS = 15_000


class BehindPooler(Exception):
    """Something stands between us and the server; the message says what to do."""


def connect(parameters: dict) -> psycopg.Connection:
    """`parameters` are Django's `get_connection_params()`. Raises psycopg.OperationalError and BehindPooler."""
    given = {**parameters, "application_name": process_name(), "tcp_user_timeout": _UNHEARD_MS}
    found = psycopg.connect(**given, autocommit=True)
    try:
        # The server's administrator may have it end what is idle, and this is.
        found.execute("SET idle_session_timeout = 0")
        (server_pid,) = found.execute("SELECT pg_backend_pid()").fetchone()
        # A pooler introduces itself with a number of its own.
        if server_pid != found.info.backend_pid:
            raise BehindPooler(
                "DATABASE_URL leads to a connection pooler (pgbouncer?), where locks and wake-ups get lost: name the "
                "PostgreSQL server itself. The web processes may go through a pooler, run and sync may not."
            )
    except BaseException:
        found.close()
        raise
    return found
