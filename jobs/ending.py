"""The end of a process that must not live on, also where nobody takes what it says.

A line of the log may hang for ever: on a pipe whose reader stands still (a full disk behind journald or Docker, a
pager), or on a lock that another thread holds in such a call. So the end is on its way before the last words are said.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable

# Enough for a line to a disk that works.
LAST_WORDS_SECONDS = 1.0


def end_at_once(code: int, say: Callable[[], None]) -> None:
    """End this process with `code`, whatever its threads do, within LAST_WORDS_SECONDS; `say` writes to the log."""
    try:
        threading.Thread(target=_end, args=(code,), name="end", daemon=True).start()
    except RuntimeError:  # the machine starts no more threads: then without a word
        os._exit(code)
    try:
        say()
        logging.shutdown()
        sys.stdout.flush()
    finally:
        os._exit(code)


def _end(code: int) -> None:
    time.sleep(LAST_WORDS_SECONDS)
    os._exit(code)
