"""What ends the loop's pause early. Only hints: without them everything happens one interval later."""

import queue
import time
import weakref

from django.db import DatabaseError, connection

from jobs.news import Listener

# How often SQLite is asked whether another connection has written: a few microseconds each time.
LOOK_EVERY_SECONDS = 0.02
# One event brings others: a job's statuses and the engine's events come in bursts. One turn for the burst leaves the
# processor to the jobs' own threads (measured: 20 jobs with half the turns and in 4/5 of the time); an idle loop, which
# has paused for longer, is not held up.
LEAST_PAUSE_SECONDS = 0.02


class Wake:
    """Set by engine events, finished slow steps and signals; a database that another connection has changed wakes too.

    SQLite is asked again and again, PostgreSQL tells by itself (`jobs.news`); to both the loop's own connection counts
    as nobody. Hints are put into a SimpleQueue because that, unlike an Event, may be done inside a signal handler.
    """

    def __init__(self, least_pause_seconds: float = LEAST_PAUSE_SECONDS) -> None:
        self._least_pause = least_pause_seconds
        self._hints: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._seen: int | None = None
        self._listener: Listener | None = None

    def set(self) -> None:
        self._hints.put(None)

    def begin(self) -> None:
        """Call before a turn looks at the world: what changes from here on ends the pause that follows.

        The turn and its pause must share a connection: SQLite counts anew for each.
        """
        if connection.vendor == "postgresql":
            self._listen()
        else:
            self._seen = _data_version()

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or as soon as there is something to look at."""
        deadline = time.monotonic() + seconds
        time.sleep(min(seconds, self._least_pause))
        most = seconds if self._listener else LOOK_EVERY_SECONDS
        while not self._database_has_changed():
            left = deadline - time.monotonic()
            if left <= 0 or self._is_hinted_within(min(left, most)):
                break
        while self._is_hinted_within(0):
            pass

    def close(self) -> None:
        """No more news of the database."""
        if self._listener:
            self._listener.close()

    def _listen(self) -> None:
        connection.ensure_connection()
        if self._listener is None:
            self._listener = Listener(self._hints_put())
            weakref.finalize(self, self._listener.close).atexit = False
            self._listener.wait_until_it_listens()
        # What this connection writes is no news to its own loop.
        self._listener.own_pid = connection.connection.info.backend_pid

    def _hints_put(self):
        """What does not keep this object alive."""
        hints = self._hints
        return lambda: hints.put(None)

    def _is_hinted_within(self, seconds: float) -> bool:
        try:
            self._hints.get(timeout=seconds)
        except queue.Empty:
            return False
        return True

    def _database_has_changed(self) -> bool:
        if self._listener:
            return False
        try:
            return _data_version() != self._seen
        except DatabaseError:
            return True  # the turn meets the trouble and reports it


def _data_version() -> int | None:
    """SQLite's counter of what other connections have committed."""
    with connection.cursor() as cursor:
        return cursor.execute("PRAGMA data_version").fetchone()[0]
