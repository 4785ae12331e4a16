"""Delete outputs that their action no longer makes: they stay in storage, marked in the manifest, until somebody asks.

Only what the manifest marks as out of date and no row of the database calls current. Released copies go first, so that
nothing stays where researchers see it that is gone inside. May be killed at any line: a manifest names a file until the
file is gone, and asking again completes it.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from jobs import asking, storage
from jobs.levels import MODERATELY_SENSITIVE, PRIVACY_LEVELS
from jobs.models import JobOutput, Who
from jobs.reasons import cleaned_reason
from runner import manifest as manifests
from runner.mounted import require_storage
from runner.plan import is_any_on_disk
from runner.stored_folder import StoredFolder
from runner.workspaces.files import NotOrdinary, read_plain, write_atomically
from runner.workspaces.lock import publishing_lock

_ROWS_AT_ONCE = 500


class Busy(Exception):
    """Outputs of the workspace are being stored, or were left half stored; the message says what to do."""


@dataclass(frozen=True)
class Outdated:
    path: str
    action: str
    level: str
    size: int
    at: datetime | None


def outdated(workspace: str) -> list[Outdated]:
    """What may be deleted, as the manifest of high privacy storage says now. Makes nothing, not even a manifest."""
    folder = storage.high_privacy_workspace(workspace)
    if not storage.manifest(folder).is_file():
        return []
    try:
        outputs = manifests.checked(json.loads(read_plain(storage.manifest(folder), manifests.MOST_BYTES)))["outputs"]
    except (NotOrdinary, ValueError, TypeError, RecursionError) as error:
        raise Busy(
            f"The manifest of {workspace} cannot be read ({error}), so nobody can say what is out of date. See "
            f"`manage.py verify_workspace {workspace}`; the next job that stores outputs makes it anew."
        ) from error
    return [_outdated(path, outputs[path]) for path in _paths(workspace, outputs)]


def prune(workspace: str, paths: Collection[str], who: Who, reason: str) -> list[Outdated]:
    """Delete those of the paths that are still out of date; returns them. Raises NoReason, Busy, StorageUnavailable."""
    reason = cleaned_reason(reason)
    with publishing_lock(workspace, lambda: False):
        require_storage(workspace)  # a released copy must not stay behind on a storage that is not mounted now
        if is_any_on_disk(workspace):
            raise Busy(
                f"Outputs of {workspace} are half stored: a job of it is being finalised, or was cut off. Finalise it "
                "again (`manage.py retry_job`), or see `manage.py reconcile`; then ask again."
            )
        found = [each for each in outdated(workspace) if each.path in paths]
        if found:
            _remove_released(workspace, found)
            _remove(workspace, found)
            size = sum(each.size for each in found)
            asking.note_removal("outputs", workspace, f"{len(found)} out of date, {size} bytes", who, reason)
    return found


def _paths(workspace: str, outputs: dict) -> list[str]:
    marked = sorted(path for path, output in outputs.items() if output.get("out_of_date_output"))
    current: set[str] = set()
    rows = JobOutput.objects.current().filter(job__workspace=workspace)
    for start in range(0, len(marked), _ROWS_AT_ONCE):
        chunk = marked[start : start + _ROWS_AT_ONCE]
        current |= set(rows.filter(path__in=chunk).values_list("path", flat=True))
    return [path for path in marked if path not in current]


def _outdated(path: str, output: dict) -> Outdated:
    at, size = output.get("timestamp"), output.get("size")
    return Outdated(
        path=path,
        action=str(output.get("action", "")),
        level=str(output.get("level", "")),
        size=size if isinstance(size, int) else 0,
        at=datetime.fromtimestamp(at, UTC) if isinstance(at, int | float) and 0 <= at < 10**11 else None,
    )


def _remove_released(workspace: str, found: Collection[Outdated]) -> None:
    """From medium privacy storage: files, notes of why they are not there, and what its manifest says."""
    folder = storage.medium_privacy_workspace(workspace)
    if not folder.is_dir():
        return
    before = manifests.load(workspace, folder, levels=(MODERATELY_SENSITIVE,))
    with StoredFolder(folder) as stored:
        for each in found:
            stored.remove(each.path)
            note = f"{each.path}.txt"
            if before["outputs"].get(each.path, {}).get("excluded") and note not in before["outputs"]:
                stored.remove(note)
        stored.sync()
    _write(workspace, folder, before, found)


def _remove(workspace: str, found: Collection[Outdated]) -> None:
    folder = storage.high_privacy_workspace(workspace)
    before = manifests.load(workspace, folder, levels=PRIVACY_LEVELS)
    with StoredFolder(folder) as stored:
        for each in found:
            stored.remove(each.path)
        stored.sync()
    _write(workspace, folder, before, found)


def _write(workspace: str, folder, before: dict, found: Collection[Outdated]) -> None:
    after = manifests.without(before, {each.path for each in found})
    if after != before:
        write_atomically(storage.manifest(folder), manifests.as_json(after), writer="prune")
