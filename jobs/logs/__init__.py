"""A job's log as people read it: pieces of a file that may be large, hostile and still growing.

The file is the runner's (`runner.log_file`); here it is only opened, read and never followed. Everything is read by
byte offset in bounded amounts, so a page costs the same for a log of a kilobyte and of a gigabyte. Knows files and
text, nothing of requests and pages.
"""

import copy
from pathlib import Path

from jobs import storage
from jobs.logs.archived import packed_path
from jobs.logs.lines import Line
from jobs.logs.reading import LogReader, LogTrouble, opened, opened_plainly

__all__ = ["Line", "LogReader", "LogTrouble", "error_stamps", "opened", "opened_plainly", "path_of", "place_of", "tail"]

_MOST_STAMPS_BYTES = 2 * 1024**2


def path_of(job, attempt: int | None = None) -> Path:
    """Of the current attempt, or of an earlier one."""
    return storage.job_log(_in_attempt(job, attempt))


def place_of(job) -> Path:
    """Where the current attempt's log lies now: as it was written, or compressed."""
    path = path_of(job)
    packed = packed_path(path)
    return packed if packed.exists() and not path.exists() else path


def _in_attempt(job, attempt: int | None):
    if attempt is not None and attempt != job.attempt:
        job = copy.copy(job)
        job.attempt = attempt
    return job


def error_stamps(job, attempt: int | None = None) -> frozenset[str]:
    """The timestamps of lines that came from standard error, as far as they were kept. Never raises."""
    try:
        with opened_plainly(storage.job_error_stamps(_in_attempt(job, attempt))) as file:
            return frozenset(file.read(_MOST_STAMPS_BYTES).decode("ascii", "replace").split())
    except LogTrouble:
        return frozenset()


def tail(job, lines: int = 20) -> list[Line]:
    """The last lines of the current attempt's log; none if there is no log or it cannot be read. Never raises.

    `line.number` counts from 1 (None in a log so long that its lines are not counted yet), `line.text` is harmless
    plain text, and `line.is_error` tells what looks like an error.
    """
    try:
        with opened(path_of(job), is_complete=job.is_finished) as reader:
            return reader.last(lines).lines
    except LogTrouble:
        return []
