"""A job's log as people read it: pieces of a file that may be large, hostile and still growing.

The file is the runner's (`runner.log_file`); here it is only opened, read and never followed. Everything is read by
byte offset in bounded amounts, so a page costs the same for a log of a kilobyte and of a gigabyte. Knows files and
text, nothing of requests and pages.
"""

import copy
from pathlib import Path

from jobs import storage
from jobs.logs.lines import Line
from jobs.logs.reading import LogReader, LogTrouble, opened, opened_plainly

__all__ = ["Line", "LogReader", "LogTrouble", "opened", "opened_plainly", "path_of", "tail"]


def path_of(job, attempt: int | None = None) -> Path:
    """Of the current attempt, or of an earlier one."""
    if attempt is not None and attempt != job.attempt:
        job = copy.copy(job)
        job.attempt = attempt
    return storage.job_log(job)


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
