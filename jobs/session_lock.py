"""PostgreSQL's part of "only one of a kind": a lock that the server keeps for one session, and takes back with it.

A file lock holds on one machine; the database may be shared by many. The server gives the lock to another process as
soon as it takes our session for dead (its restart, a network that fails), so whoever holds it watches the session, and
ends at once, in the middle of whatever it does, when that is lost. Every step can be done again.
"""

import logging
import threading
import time
import zlib

from django.db import connection

from jobs.ending import end_at_once

log = logging.getLogger(__name__)

# Advisory locks are numbers: ours are this one and one of the command's name.
_OURS = 1_785_688_690
LOCK_LOST = 4
_LOOK_SECONDS = 5.0
# The server takes a killed process's lock back a moment later; whoever starts the next one at once is not refused.
_LAST_BREATH_SECONDS = 2.0
_HEARS_OF_THE_END_SECONDS = 0.2
_LOST = (
    "the session that holds the lock of the only `manage.py %s` is lost, so another one may begin now: this one ends "
    "at once (exit code %d) and the next start goes on from there. %s"
)
_HOLDER = """
SELECT application_name, coalesce(host(client_addr), ''), pid, to_char(backend_start AT TIME ZONE 'UTC',
       'YYYY-MM-DD HH24:MI:SS')
FROM pg_stat_activity JOIN pg_locks USING (pid)
WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND granted AND pg_locks.database =
      (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class HeldElsewhere(Exception):
    """Another session has the lock; the message names it."""


class ReadOnly(Exception):
    """The server that has the lock is none that anybody can work with."""


class SessionLock:
    """`with SessionLock("run"):` Raises HeldElsewhere, own.BehindPooler and psycopg.OperationalError as it begins."""

    def __init__(self, command: str) -> None:
        self._command, self._over = command, threading.Event()
        self._key = (_OURS, zlib.crc32(command.encode()) & 0x7FFFFFFF)

    def __enter__(self) -> "SessionLock":
        from jobrunner_site.postgresql import base, own  # a site on SQLite does without

        self._session = own.connect(connection.get_connection_params())
        try:
            deadline = time.monotonic() + _LAST_BREATH_SECONDS
            while not self._is_ours():
                if time.monotonic() > deadline:
                    raise HeldElsewhere(self._holder())
                time.sleep(0.05)
        except BaseException:
            self._session.close()
            raise
        base.DatabaseWrapper.server_of_lock = self._session.execute(base.WHICH_SERVER).fetchone()[0]
        connection.close()  # the one from before may be to another server
        self._watcher = threading.Thread(target=self._watch, name="lock", daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *error) -> None:
        from jobrunner_site.postgresql import base

        base.DatabaseWrapper.server_of_lock = None
        self._over.set()
        self._watcher.join(2)
        self._session.close()

    def _is_ours(self) -> bool:
        return self._session.execute("SELECT pg_try_advisory_lock(%s, %s)", self._key).fetchone()[0]

    def _holder(self) -> str:
        found = self._session.execute(_HOLDER, self._key).fetchone()
        if not found:
            return "a process that has just ended: try again"
        name, address, pid, since = found
        return f"{name}{f' from {address}' if address else ''} since {since} UTC (pid {pid} of the server)"

    def _watch(self) -> None:
        """Nothing comes through this session, so all that can be heard is its end. And where a server takes no writes
        any more, another has perhaps taken over, and there the lock is free."""
        try:
            asked_at = time.monotonic()
            while not self._over.is_set():
                for _ in self._session.notifies(timeout=_HEARS_OF_THE_END_SECONDS):
                    pass
                if time.monotonic() - asked_at >= _LOOK_SECONDS:
                    if self._session.execute("SHOW transaction_read_only").fetchone()[0] == "on":
                        raise ReadOnly("The server takes no writes any more.")
                    asked_at = time.monotonic()
        except Exception as error:
            if self._over.is_set():
                return
            said = str(error).strip()
            end_at_once(LOCK_LOST, lambda: log.critical(_LOST, self._command, LOCK_LOST, said))
