"""Give a job the outputs that it needs: a consistent set of files, copied so that the container cannot touch storage.

Another job may publish into the same workspace at any time. So the files are hard-linked into a folder of the job that
the container never sees, under the workspace's lock, which takes no time; publishing replaces names and never changes a
file, so what the links hold stays as it was while it is copied at leisure.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jobs import storage
from jobs.errors import JobError, Unavailable
from jobs.log import escape
from jobs.models import JobOutput
from runner import plan
from runner.workspaces.code import Owner
from runner.workspaces.copying import copy
from runner.workspaces.files import (
    NotOrdinary,
    ShouldStop,
    check_stop,
    link_descriptor,
    open_beneath,
    opened_folder,
    why_not_opened,
)
from runner.workspaces.lock import publishing_lock
from runner.workspaces.removal import remove_tree


class InputChanged(Unavailable):
    """Storage and database disagree because a publication was interrupted; both agree once it has been finished."""


@dataclass(frozen=True)
class _Held:
    """One input, held under a number in the job's own folder; `is_copy` if no hard link could be made."""

    path: str
    held_as: str
    is_copy: bool


def place(
    workspace: str, inputs: Iterable[JobOutput], job_folder: Path, into: Path, owner: Owner, should_stop: ShouldStop
) -> list[str]:
    """Copy the inputs over the code in `into`. Returns the paths of code files that an input has replaced.

    `inputs` is read under the lock: give a queryset that has not been read yet, so that rows and files agree.
    Raises JobError (an input was changed or removed by hand), InputChanged, Stopped, OSError.
    """
    holding = job_folder / "inputs"
    holding.mkdir()
    replaced = []
    with publishing_lock(workspace):
        held = _hold(workspace, list(inputs), holding, should_stop)
    for item in held:
        check_stop(should_stop)
        if _make_way(into, item.path, owner):
            replaced.append(item.path)
        _put(holding / item.held_as, into / item.path, item.is_copy, owner, should_stop)
    remove_tree(holding)
    return replaced


def _hold(workspace: str, inputs: list[JobOutput], holding: Path, should_stop: ShouldStop) -> list[_Held]:
    if not inputs:
        return []
    root = storage.high_privacy_workspace(workspace)
    if not root.is_dir():
        raise _changed(workspace, inputs[0], "is no longer there")
    held = []
    with opened_folder(root) as root_fd, opened_folder(holding) as holding_fd:
        for number, row in enumerate(inputs):
            source_fd = _open_unchanged(workspace, row, root_fd)
            try:
                is_copy = not link_descriptor(source_fd, str(number), holding_fd)
                if is_copy:
                    _copy_to(source_fd, holding / str(number), should_stop)
            finally:
                os.close(source_fd)
            held.append(_Held(row.path, str(number), is_copy))
    return held


def _open_unchanged(workspace: str, row: JobOutput, root_fd: int) -> int:
    """Open the stored file if it is the one that the row tells of."""
    try:
        descriptor = open_beneath(root_fd, os.fsencode(row.path), os.O_RDONLY)
    except OSError as error:
        raise _changed(workspace, row, why_not_opened(error)) from NotOrdinary(row.path)
    status = os.fstat(descriptor)
    if (status.st_size, status.st_mtime_ns) != (row.size, row.modified_ns):
        os.close(descriptor)
        raise _changed(workspace, row, "has been changed")
    return descriptor


def _changed(workspace: str, row: JobOutput, how: str) -> Exception:
    detail = f"The input is {escape(row.path)}."
    if plan.is_any_unfinished(workspace):
        return InputChanged(f"An input {how}: an interrupted publication is still to be finished.", detail=detail)
    return JobError(
        f"An input {how}; the action {row.job.action} made it. Run {row.job.action} again.",
        detail=detail,
    )


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


def _put(source: Path, target: Path, is_copy: bool, owner: Owner, should_stop: ShouldStop) -> None:
    if is_copy:
        os.rename(source, target)
        with target.open("rb") as file:
            owner.take(file.fileno(), 0o644)
        return
    with source.open("rb") as file:
        target.unlink(missing_ok=True)
        _copy_to(file.fileno(), target, should_stop, owner)


def _copy_to(source_fd: int, target: Path, should_stop: ShouldStop, owner: Owner | None = None) -> None:
    target_fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        copy(source_fd, target_fd, should_stop)
        if owner:
            owner.take(target_fd, 0o644)
    finally:
        os.close(target_fd)
