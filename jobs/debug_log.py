"""A second log with every detail, in files that take turns: for the day on which the usual one is not enough."""

import contextlib
import logging
import logging.handlers
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from jobs.log import JsonFormatter, LineFormatter

FILE_BYTES, FILES = 20_000_000, 5


@contextlib.contextmanager
def debug_log(process: str) -> Iterator[None]:
    """While the block runs everything is also written to DEBUG_LOG_DIR/<process>.log, if that is set: 100 MB at most.

    A folder that cannot be written to is said in the log, and that is all.
    """
    root, handler = logging.getLogger(), _debug_handler(process)
    if handler is None:
        yield
        return
    levels = {each: each.level for each in (root, *root.handlers)}
    for each in root.handlers:
        each.setLevel(max(each.level, root.level))
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for each, level in levels.items():
            each.setLevel(level)
        handler.close()


def _debug_handler(process: str) -> logging.Handler | None:
    if not settings.DEBUG_LOG_DIR:
        return None
    path = Path(settings.DEBUG_LOG_DIR, f"{process}.log")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=FILE_BYTES, backupCount=FILES - 1, encoding="utf-8"
        )
    except OSError as error:
        logging.getLogger(__name__).error("DEBUG_LOG_DIR: %s cannot be written: %s", path, error.strerror or error)
        return None
    handler.setFormatter(JsonFormatter() if settings.LOG_FORMAT == "json" else LineFormatter())
    return handler
