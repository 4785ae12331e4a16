"""Something done in another thread, with a connection of its own, as another process would do it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import connections


def in_another_thread(action: Callable[[], object]) -> object:
    """What it returns; what it raises is raised here."""
    (found,) = at_once(action)
    return found


def at_once(*actions: Callable[[], object], seconds: float = 60) -> list:
    """What each returns, all having begun together."""
    begin = threading.Barrier(len(actions))

    def do(action: Callable[[], object]) -> object:
        try:
            begin.wait(seconds)
            return action()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(actions)) as threads:
        return [future.result(seconds) for future in [threads.submit(do, action) for action in actions]]
