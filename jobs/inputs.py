"""Which files a job was given, each with its hash and the job that made it: written when they were, read by pages.

The rows of outputs alone cannot tell it later: an output loses its place to another job's at any time after. So the
runner writes down what it copied, once the copying has ended, as one line of JSON for each file beside the attempt's
log. For attempts without such a record (made by an earlier version, or removed with old logs) and before the copying,
it is worked out from the rows, and that is said.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from jobs import storage
from jobs.logs import LogTrouble, opened_plainly
from jobs.models import Job, JobOutput
from jobs.models.line import likely_inputs
from jobs.states import State

_LONGEST_LINE_BYTES = 64 * 1024
_IDENTIFIER = re.compile(r"[0-9a-z]+")


@dataclass(frozen=True)
class Input:
    """`path` in the workspace; `sha256` hexadecimal; `rows` of a table, if it is one; `action` and `job` made it."""

    path: str
    sha256: str
    rows: int | None
    action: str
    job: str


@dataclass(frozen=True)
class Inputs:
    """`is_recorded`: these were copied, and not only worked out. `is_cut`: there are more."""

    files: list[Input]
    is_recorded: bool
    is_cut: bool


def record(outputs: Iterable[JobOutput]) -> Iterator[bytes]:
    """The content of `storage.job_inputs`, in the order of the paths. Their jobs have been loaded."""
    for each in sorted(outputs, key=lambda output: output.path):
        facts = [each.path, each.content_hash, each.row_count, each.job.action, each.job.identifier]
        yield json.dumps(facts).encode() + b"\n"


def inputs_of(job: Job, most: int) -> Inputs:
    """What the job was given, at most so many files; while it waits, what it would be given. Two queries at most."""
    if not job.needs or (job.is_finished and job.started_at is None):
        return Inputs([], is_recorded=True, is_cut=False)
    files = None if job.state == State.PENDING else _recorded(job, most + 1)
    is_recorded = files is not None
    if files is None:
        files = [_from_row(each) for each in likely_inputs(job, most + 1)]
    return Inputs(files[:most], is_recorded, len(files) > most)


def _from_row(row: JobOutput) -> Input:
    return Input(row.path, row.content_hash, row.row_count, row.job.action, row.job.identifier)


def _recorded(job: Job, most: int) -> list[Input] | None:
    """None if there is no record, or none that can be read: never a part of one."""
    try:
        with opened_plainly(storage.job_inputs(job)) as file:
            return list(_lines(file, most))
    except (LogTrouble, ValueError, TypeError, RecursionError):
        return None


def _lines(file: BinaryIO, most: int) -> Iterator[Input]:
    """Raises ValueError or TypeError for anything that `record` would not have written."""
    for _ in range(most):
        line = file.readline(_LONGEST_LINE_BYTES)
        if not line:
            return
        path, sha256, rows, action, job = json.loads(line)
        is_text = all(isinstance(each, str) for each in (path, sha256, action, job))
        if not is_text or not isinstance(rows, int | None) or not _IDENTIFIER.fullmatch(job):
            raise ValueError("no line of a record of inputs")
        yield Input(path, sha256, rows, action, job)
