"""Whether the two storages are there: a storage that is not mounted looks like one that nobody has used yet.

Publishing into the empty folder below a missing mount would lose outputs from sight; and leaving medium privacy storage
out because it seems unused would leave an earlier version there that is no longer to be released. So whoever is about
to make or skip a folder in storage asks here first. It knows what ought to be there from the database and, for what an
older system has left, from the manifest; it makes nothing.
"""

import json
from pathlib import Path

from django.db.models import QuerySet

from jobs import storage
from jobs.levels import MODERATELY_SENSITIVE
from jobs.models import JobOutput
from runner.manifest import MOST_BYTES
from runner.workspaces.files import NotOrdinary, StorageUnavailable, disk_trouble, read_plain


def require_storage(workspace: str) -> None:
    """Raises StorageUnavailable if a folder is missing that holds earlier outputs of the workspace, or of any."""
    high, medium = storage.high_privacy_workspace(workspace), storage.medium_privacy_workspace(workspace)
    released = JobOutput.objects.filter(level=MODERATELY_SENSITIVE, excluded=False)
    _require("high", high, workspace, JobOutput.objects.all())
    _require("medium", medium, workspace, released)
    if not _is_there(medium) and _has_released(storage.manifest(high)):
        raise _missing("medium", medium)


def _require(which: str, folder: Path, workspace: str, rows: QuerySet) -> None:
    if _is_there(folder):
        return
    if rows.filter(job__workspace=workspace).exists():
        raise _missing(which, folder)
    if not _is_there(folder.parent) and rows.exists():
        raise _missing(which, folder.parent)


def _is_there(folder: Path) -> bool:
    with disk_trouble(folder):
        return folder.is_dir()


def _missing(which: str, folder: Path) -> StorageUnavailable:
    return StorageUnavailable(
        f"{folder} is missing although earlier outputs were stored there. Mount {which} privacy storage again; if it "
        "was emptied on purpose, create that folder again. The job then continues automatically."
    )


def _has_released(manifest: Path) -> bool:
    """Whether the manifest of high privacy storage names files that stand in medium privacy storage too."""
    try:
        text = read_plain(manifest, MOST_BYTES)
    except (FileNotFoundError, NotOrdinary):
        return False  # of what is no manifest `manifest.load` takes care
    if f'"{MODERATELY_SENSITIVE}"'.encode() not in text:  # far cheaper than reading 100,000 entries each time
        return False
    try:
        content = json.loads(text)
        outputs = content.get("outputs", {})
        levels = {path: file.get("privacy_level") for path, file in content.get("files", {}).items()}
        levels |= {path: "" if output.get("excluded") else output.get("level") for path, output in outputs.items()}
    except (ValueError, AttributeError, RecursionError):
        return False  # damaged: `manifest.load` sees to it, from the same rows that were asked above
    return MODERATELY_SENSITIVE in levels.values()
