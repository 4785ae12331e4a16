"""News of committed changes from PostgreSQL: a thread with a connection of its own, which LISTENs.

The database itself notifies, by triggers on the tables that the loops look at (migration 0013), whoever has written:
our processes, the admin, somebody at psql. News are hints only. What is lost with a connection costs the loop's usual
pause, and a new connection begins with a hint, as nobody knows what was missed.
"""

import logging
import threading
import time
from collections.abc import Callable

from django.db import connection

log = logging.getLogger(__name__)

CHANNEL = "jobrunner"
# How often the thread looks whether it is still wanted, and how long it waits after a failed try.
_LOOK_SECONDS = 0.2
_AGAIN_SECONDS = 1.0
# The loop's first turn waits so long for the thread to listen.
WAITED_FOR_SECONDS = 2.0


class Listener:
    """`hint` is called in the listener's thread, for every change that was not made by the session `own_pid`."""

    def __init__(self, hint: Callable[[], None]) -> None:
        self.own_pid: int | None = None
        self._hint = hint
        self._over = threading.Event()
        self._listens = threading.Event()
        # Here, while this thread's settings are known: a test's database has another name.
        self._parameters = connection.get_connection_params()
        self._thread = threading.Thread(target=self._listen_on, name="news", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        if self._thread is not threading.current_thread():
            self._thread.join(2)

    def wait_until_it_listens(self) -> None:
        """What changes from here on is heard; if it takes longer, there is a hint once it does."""
        self._listens.wait(WAITED_FOR_SECONDS)

    def _listen_on(self) -> None:
        import psycopg  # a site on SQLite does without

        from jobrunner_site.postgresql import own

        began, is_lost = time.monotonic(), False
        while not self._over.is_set():
            try:
                with own.connect(self._parameters) as session:
                    session.execute(f"LISTEN {CHANNEL}")
                    self._listens.set()
                    if is_lost:
                        log.info("the database tells of changes again")
                    if is_lost or time.monotonic() - began > WAITED_FOR_SECONDS / 2:
                        self._hint()
                    is_lost = False
                    self._hear(session)
            except (psycopg.Error, OSError, own.BehindPooler) as error:
                self._listens.clear()
                if not is_lost and not self._over.is_set():
                    log.warning("the database does not tell of changes now, they are seen a moment later: %s", error)
                is_lost = True
                self._over.wait(_AGAIN_SECONDS)

    def _hear(self, session) -> None:
        while not self._over.is_set():
            for news in session.notifies(timeout=_LOOK_SECONDS):
                if news.pid != self.own_pid:
                    self._hint()
