"""Give a job the outputs that it needs: files of one moment, copied so that the container cannot touch storage.

Another job may publish into the same workspace while gigabytes are copied, and must not wait for that. So nothing is
locked: the rows are read once, and each file is copied only if it is the very one that its row tells of. Publishing
replaces names and never changes a file, so a file that is open stays right. Where one is no longer what its row says,
the lock is taken for a moment to tell a publication of meanwhile from a file that somebody changed by hand.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from jobs import storage
from jobs.errors import JobError, Unavailable
from jobs.log import escape
from jobs.models import JobOutput
from runner import plan
from runner.mounted import require_storage
from runner.workspaces.code import Owner
from runner.workspaces.copying import copy
from runner.workspaces.files import (
    OF_THE_FILE,
    ShouldStop,
    check_stop,
    open_beneath,
    opened_folder,
    trouble_of_disk,
    why_not_opened,
)
from runner.workspaces.lock import publishing_lock
from runner.workspaces.removal import remove_tree


class InputChanged(Unavailable):
    """Storage and database do not agree now because of a publication; the preparation is to begin again."""


class _NotAsPublished(Exception):
    """What stands in storage is not what the row tells of; `how` follows the words "the input"."""

    def __init__(self, row: JobOutput, how: str):
        super().__init__(how)
        self.row, self.how = row, how


def place(workspace: str, inputs: Iterable[JobOutput], into: Path, owner: Owner, should_stop: ShouldStop) -> list[str]:
    """Copy the inputs over the code in `into`. Returns the paths of code files that an input has replaced.

    `inputs` is read once: give a queryset that has not been read yet. Raises what `opened_inputs` does.
    """
    replaced = []
    for row, source_fd in opened_inputs(workspace, list(inputs), should_stop):
        if _make_way(into, row.path, owner):
            replaced.append(row.path)
        _copy_to(source_fd, into / row.path, owner, should_stop)
    return replaced


def opened_inputs(workspace: str, rows: list[JobOutput], should_stop: ShouldStop) -> Iterator[tuple[JobOutput, int]]:
    """Each input with its stored file, open until the next is asked for, if it is the very one that its row tells of.

    Raises JobError (an input was changed or removed by hand), InputChanged, StorageUnavailable, Stopped, OSError.
    """
    if not rows:
        return
    require_storage(workspace)
    with opened_folder(storage.high_privacy_workspace(workspace)) as root_fd:
        for row in rows:
            check_stop(should_stop)
            try:
                source_fd = _open_unchanged(row, root_fd)
            except _NotAsPublished as error:
                raise _what_happened(workspace, error, should_stop) from error
            try:
                yield row, source_fd
            finally:
                os.close(source_fd)


def _open_unchanged(row: JobOutput, root_fd: int) -> int:
    """Open the stored file if it is the one that the row tells of."""
    try:
        descriptor = open_beneath(root_fd, os.fsencode(row.path), os.O_RDONLY)
    except OSError as error:
        if error.errno not in OF_THE_FILE:
            # The caller would name the job's own disk.
            if trouble := trouble_of_disk(error, Path(os.readlink(f"/proc/self/fd/{root_fd}"))):
                raise trouble from error
            raise
        raise _NotAsPublished(row, why_not_opened(error)) from error
    status = os.fstat(descriptor)
    if (status.st_size, status.st_mtime_ns) != (row.size, row.modified_ns):
        os.close(descriptor)
        raise _NotAsPublished(row, "has been changed")
    return descriptor


def _what_happened(workspace: str, error: _NotAsPublished, should_stop: ShouldStop) -> Exception:
    detail = f"The input is {escape(error.row.path)}."
    # A publication that is under way has given its files their names already, and writes its rows before it lets go.
    with publishing_lock(workspace, should_stop):
        is_replaced = not JobOutput.objects.current().filter(pk=error.row.pk).exists()
        is_interrupted = plan.is_any_unfinished(workspace)
    if is_replaced:
        return InputChanged(
            "An input was replaced while it was being copied; the preparation starts again.", detail=detail
        )
    if is_interrupted:
        return InputChanged(f"An input {error.how}: an interrupted publication is still to be finished.", detail=detail)
    action = error.row.job.action
    return JobError(f"An input {error.how}; the action {action} made it. Run {action} again.", detail=detail)


def _make_way(into: Path, path: str, owner: Owner) -> bool:
    """Make the folders above an input and remove what the code has in its place; whether there was anything."""
    replaced = False
    current = into
    *folders, name = path.split("/")
    for part in folders:
        current = current / part
        if not current.is_dir():
            if current.exists():
                current.unlink()
                replaced = True
            owner.make_folder(current)
    target = current / name
    if target.is_dir():
        remove_tree(target)
        return True
    return replaced or target.exists()


def _copy_to(source_fd: int, target: Path, owner: Owner, should_stop: ShouldStop) -> None:
    target.unlink(missing_ok=True)
    target_fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        copy(source_fd, target_fd, should_stop)
        owner.take(target_fd, 0o644)
    finally:
        os.close(target_fd)
