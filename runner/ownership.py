"""After an interruption: whose is the file that stands where an output of the plan was to be stored?

A job chooses the size and the time of its files, so they prove nothing. The inode does, for renaming keeps it; where it
has changed (storage that was moved, network file systems without lasting numbers) the content decides.
"""

import logging
import os
import stat
from collections import defaultdict
from collections.abc import Container, Iterable

from jobs.log import escape
from jobs.models import Job, JobOutput
from runner.plan import Entry, Plan, half_published
from runner.stored_folder import StoredFolder
from runner.workspaces.copying import digest
from runner.workspaces.files import ShouldStop, open_beneath

logger = logging.getLogger(__name__)

_ROWS_AT_ONCE = 500


def with_superseded_marked(
    job: Job, plan: Plan, staged: Container[int], folder: StoredFolder, should_stop: ShouldStop
) -> tuple[Entry, ...]:
    """The plan's entries; those are marked over which another job has published. `staged` are numbers of entries.

    A file is still staged, or published already, or another job's is there. What is none of the three is lost, and must
    never be told as a success: RuntimeError, so that everything is kept. Raises Stopped.
    """
    entries = list(plan.entries)
    doubtful: dict[str, int] = {}
    for number, entry in enumerate(entries):
        if number not in staged and not _is_surely_own(entry, _standing(folder, entry.path)):
            doubtful[entry.path] = number
    claims = _claims_of_others(job, plan, doubtful)
    lost = []
    for path, number in doubtful.items():
        content = _hash(folder, path, entries[number], claims[path], should_stop)
        if content in claims[path]:
            logger.warning("%s: %s was published over by another job", job, escape(path))
            entries[number] = entries[number].superseded()
        elif content != entries[number].content_hash:
            lost.append(path)
    if lost:
        raise RuntimeError(f"{len(lost)} outputs of {job} are neither staged nor stored: {escape(min(lost))} …")
    return tuple(entries)


def _standing(folder: StoredFolder, path: str) -> os.stat_result | None:
    """The plain file that stands at a path. Raises StorageUnavailable if a link or a mount hides what does."""
    if folder.why_not_storable(path):
        return None
    status = folder.status(path)
    return status if status and stat.S_ISREG(status.st_mode) else None


def _is_surely_own(entry: Entry, status: os.stat_result | None) -> bool:
    known = (entry.inode, entry.size, entry.modified_ns)
    return status is not None and (status.st_ino, status.st_size, status.st_mtime_ns) == known


def _claims_of_others(job: Job, plan: Plan, paths: Iterable[str]) -> dict[str, set[str]]:
    """Path -> hashes of what other jobs may have put there since the plan was made: by their rows or their plans."""
    paths, claims = list(paths), defaultdict(set)
    if not paths:
        return claims
    # By the rows' own order, which no clock can change.
    others = JobOutput.objects.filter(pk__gt=plan.last_row, job__workspace=job.workspace).exclude(job=job)
    for start in range(0, len(paths), _ROWS_AT_ONCE):
        rows = others.filter(path__in=paths[start : start + _ROWS_AT_ONCE])
        for path, content_hash in rows.values_list("path", "content_hash"):
            claims[path].add(content_hash)
    # One that was killed before it wrote its rows.
    wanted = set(paths)
    for entry in half_published(job.workspace, besides=job):
        if entry.path in wanted:
            claims[entry.path].add(entry.content_hash)
    return claims


def _hash(folder: StoredFolder, path: str, entry: Entry, claims: set[str], should_stop: ShouldStop) -> str:
    """Of the file that stands at a path; empty if there is none, or if it could be nobody's that is known."""
    status = _standing(folder, path)
    if status is None or not (claims or status.st_size == entry.size):
        return ""
    descriptor = open_beneath(folder.fd, os.fsencode(path), os.O_RDONLY)
    try:
        return digest(descriptor, should_stop)
    finally:
        os.close(descriptor)
