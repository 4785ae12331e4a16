"""How a long-running command lives: turn after turn until a signal says stop.

A signal only sets a mark; the turn that is under way ends first. Nothing here knows what a turn does.
"""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator

from django.core.management import CommandError
from django.db import close_old_connections, connection
from django.db.migrations.executor import MigrationExecutor

log = logging.getLogger(__name__)

# A stop must not hang on an engine or a database that does not answer: the process is gone within ten seconds.
LONGEST_END_SECONDS = 8.5
_LOOK_EVERY_SECONDS = 0.5


def check_database() -> None:
    """Raises CommandError, with what to do, if the database lacks tables that this version of the code needs."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError(
            f"The database {connection.settings_dict['NAME']} is not set up for this version: run `manage.py migrate`."
        )


class Stop:
    """Whether somebody has asked for the end.

    Not a `threading.Event`: a signal handler runs between any two instructions of the main thread, so a lock that it
    takes may be one that this very thread holds, and then the process would hang for ever.
    """

    def __init__(self) -> None:
        self._asked = False

    def set(self) -> None:
        self._asked = True

    def is_set(self) -> bool:
        return self._asked


@contextlib.contextmanager
def stopped_by_signals(on_stop: Callable[[], None]) -> Iterator[Stop]:
    """A `Stop` that SIGTERM and SIGINT set; `on_stop` wakes whatever the loop waits for. Restores the old handlers.

    `on_stop` is called inside the signal handler: it must not take a lock.
    """
    stop = Stop()

    def handle(number, frame) -> None:
        stop.set()
        on_stop()

    numbers = (signal.SIGTERM, signal.SIGINT)
    old = {number: signal.signal(number, handle) for number in numbers}
    over = threading.Event()
    threading.Thread(target=_end_in_time, args=(stop, over), name="end-in-time", daemon=True).start()
    try:
        yield stop
    finally:
        over.set()
        for number, handler in old.items():
            signal.signal(number, handler)


def _end_in_time(stop: Stop, over: threading.Event) -> None:
    """End the process if its main thread hangs in a call after a stop; every step can be done again."""
    while not over.wait(_LOOK_EVERY_SECONDS):
        if stop.is_set() and not over.wait(LONGEST_END_SECONDS):
            log.warning("ending in the middle of a call that does not return; the next start goes on from there")
            os._exit(0)


def stop_when_input_ends() -> None:
    """Send this process SIGTERM once nobody holds the other end of standard input any more, however that came about."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="input", daemon=True).start()


def run_forever(tick: Callable[[], bool], pause: Callable[[], None], stop: Stop) -> None:
    """Call `tick` until it returns False or `stop` is set; `pause` waits between two turns and may be woken.

    An exception ends the process: the service manager starts it anew, and every step can be repeated.
    """
    while not stop.is_set():
        close_old_connections()
        if not tick():
            return
        if not stop.is_set():
            pause()
