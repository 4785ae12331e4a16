"""How a long-running command lives: turn after turn until a signal says stop.

A signal only sets a mark; the turn that is under way ends first. Nothing here knows what a turn does.
"""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from django.db import OperationalError, close_old_connections, connection, reset_queries

from jobs.ending import end_at_once
from jobs.notify import Life

log = logging.getLogger(__name__)

# A stop must not hang on an engine or a database that does not answer: the process is gone within ten seconds.
LONGEST_END_SECONDS = 8
_HANGS = "ending in the middle of a call that does not return; the next start goes on from there"
# What the database says when somebody else holds it for too long, or its disk has no room: both pass. SQLite's words,
# and PostgreSQL's codes (its words are in the site's language): lock_not_available, deadlock_detected, disk_full, and
# read_only_sql_transaction, for another server may have taken over.
_PASSING = ("database is locked", "database table is locked", "database or disk is full")
_PASSING_STATES = ("55P03", "40P01", "53100", "25006")


class DatabaseReplaced(Exception):
    """The database's file is no longer the one that this process began with; the message says what to do."""


class Stop:
    """Whether somebody has asked for the end.

    Not a `threading.Event`: a signal handler runs between any two instructions of the main thread, so a lock that it
    takes may be one that this very thread holds, and then the process would hang for ever.
    """

    def __init__(self) -> None:
        self._asked = False
        # What ends the pause that a loop may be in. Called inside the signal handler: it must not take a lock.
        self.wake: Callable[[], None] = lambda: None

    def set(self) -> None:
        self._asked = True
        self.wake()

    def is_set(self) -> bool:
        return self._asked


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """A `Stop` that SIGTERM, SIGINT and the end of the terminal set. Restores the old handlers."""
    stop = Stop()

    def handle(number, frame) -> None:
        stop.set()

    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup it is to go on
        numbers.append(signal.SIGHUP)
    over = threading.Event()
    with _told_at_once(numbers, over):
        old = {number: signal.signal(number, handle) for number in numbers}
        try:
            yield stop
        finally:
            over.set()
            for number, handler in old.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _told_at_once(numbers: Collection[int], over: threading.Event) -> Iterator[None]:
    """Another thread hears of the signals while the block runs.

    Python calls a handler only once the main thread is back from C, and SQLite waits there for up to 20 seconds while
    somebody else holds the database. The byte that Python writes to this pipe comes at the signal itself.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    threading.Thread(target=_end_in_time, args=(heard, numbers, over), name="end-in-time", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(told)


def _end_in_time(heard: int, numbers: Collection[int], over: threading.Event) -> None:
    """End the process if its main thread hangs in a call after a signal; every step can be done again."""
    while number := os.read(heard, 1):
        if number[0] in numbers and not over.wait(LONGEST_END_SECONDS):
            end_at_once(0, lambda: log.warning(_HANGS))
    os.close(heard)


def stop_when_input_ends() -> None:
    """Send this process SIGTERM once nobody holds the other end of standard input any more, however that came about."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="input", daemon=True).start()


def run_forever(
    tick: Callable[[], bool], pause: Callable[[], None], stop: Stop, status: Callable[[], str] = lambda: "at work"
) -> None:
    """Call `tick` until it returns False or `stop` is set; `pause` waits between two turns and may be woken.

    The service manager hears of each turn, with what `status` says. A database that is locked, or whose disk is full,
    is waited for. Raises DatabaseReplaced; any other exception of a turn ends the process: the service manager starts
    it anew, and every step can be repeated.
    """
    file, waits, life = _database_file(), False, Life()
    while not stop.is_set():
        close_old_connections()
        reset_queries()  # in development Django keeps the last 9,000
        if _database_file() != file:
            raise DatabaseReplaced(
                f"The database file {connection.settings_dict['NAME']} was moved, deleted or replaced while this "
                "process used it. Put the right file back, then start again."
            )
        try:
            if not tick():
                return
            if waits:
                log.warning("the database answers again")
            waits = False
            life.turned(status())
        except OperationalError as error:
            if not is_passing(error):
                raise
            if not waits:
                log.warning("waiting for the database: %s. See who holds it, or free space on its disk", error)
            waits = True
            life.waits("waiting for the database: see the log")
            if not connection.in_atomic_block:  # a new connection may find the server that has taken over
                connection.close()
        if not stop.is_set():
            pause()
    life.stopping()


def let_go_of_database() -> None:
    """At the end of a thread's work: close its connection; in development also drop the list of its queries."""
    connection.close()
    reset_queries()


def is_passing(error: Exception) -> bool:
    """Whether the database is only held by somebody else, takes no writes now, or has a full disk."""
    if not isinstance(error, OperationalError):
        return False
    return str(error).startswith(_PASSING) or getattr(error.__cause__, "sqlstate", None) in _PASSING_STATES


def _database_file() -> tuple[int, int] | None:
    """Which file SQLite's database is; None for another kind of database, and for a file that is not there."""
    if connection.vendor != "sqlite":
        return None
    try:
        status = Path(connection.settings_dict["NAME"]).stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
