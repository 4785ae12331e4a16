"""What a workspace has released, as one archive: to hand it on, or to keep it, without a hand in the storage.

Only from medium privacy storage, and of that only what its manifest names, what passed the disclosure checks, and what
reads exactly as it was released; one file that does not stops the whole export. The archive appears under its name
when it is complete and on the disk. Nobody but the service may read it.
"""

import hashlib
import json
import os
import re
import shutil
import stat
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from jobs import storage
from jobs.levels import MODERATELY_SENSITIVE
from jobs.text import size_in_words
from runner import manifest as manifests
from runner.verifying import LEAK, MANIFEST, verify
from runner.workspaces.files import NotOrdinary, ShouldStop, check_stop, open_ordinary, opened_folder, read_plain

_UNFINISHED = ".unfinished"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}-\d{8}T\d{6}Z\.zip(\.unfinished)?")
_BLOCK_BYTES = 1024**2
_MANIFEST = "metadata/manifest.json"
# It may be published to meanwhile; then all is read once more.
_TRIES = 3


class NoExport(Exception):
    """None was made; the message says why and what to do."""


class _Changed(NoExport):
    """A file is not the one that the manifest names."""


@dataclass(frozen=True)
class Export:
    path: Path
    files: int
    size: int  # of the archive, in bytes


def export(
    workspace: str, *, should_stop: ShouldStop = lambda: False, seen: Callable[[int], None] = lambda size: None
) -> Export:
    """Make one. `seen` hears of the bytes of each file. Raises NoExport, Stopped, OSError."""
    folder = storage.medium_privacy_workspace(workspace)
    if not folder.is_dir():
        raise NoExport(f"Nothing of {workspace} has been released: there is no {folder}.")
    for last in range(_TRIES):
        try:
            _require_sound(workspace)
            outputs = _released(folder)
            _require_both_sides(workspace, outputs)
            return _write(workspace, folder, outputs, should_stop, seen)
        except _Changed:
            if last == _TRIES - 1:
                raise
            time.sleep(1)
    raise AssertionError


def remove_old_exports() -> int:
    """Those older than EXPORTS_KEPT_DAYS, and what a killed export has left. Returns how many."""
    before, removed = timezone.now() - timedelta(days=settings.EXPORTS_KEPT_DAYS), 0
    for entry in os.scandir(settings.EXPORT_DIR) if settings.EXPORT_DIR.is_dir() else ():
        is_ours = _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        if is_ours and datetime.fromtimestamp(entry.stat().st_mtime, UTC) < before:
            Path(entry.path).unlink(missing_ok=True)
            removed += 1
    return removed


def _require_sound(workspace: str) -> None:
    for finding in verify(workspace, reads_contents=False).findings:
        if finding.kind in (LEAK, MANIFEST):
            raise NoExport(
                f"Nothing of {workspace} is exported: in {finding.storage} privacy storage {finding.path} "
                f"{finding.text}. See `manage.py verify_workspace {workspace}`."
            )


def _released(folder: Path) -> dict[str, dict]:
    outputs = _manifest(folder)["outputs"].items()
    return {
        path: output
        for path, output in outputs
        if output.get("level") == MODERATELY_SENSITIVE and not output.get("excluded")
    }


def _manifest(folder: Path) -> dict:
    """Raises NoExport."""
    try:
        return manifests.checked(json.loads(read_plain(storage.manifest(folder), manifests.MOST_BYTES)))
    except FileNotFoundError as error:
        raise NoExport(f"Nothing can be released: {folder} has no manifest.") from error
    except (NotOrdinary, ValueError, TypeError, RecursionError) as error:
        raise NoExport(f"The manifest in {folder} cannot be read: {error}.") from error


def _require_both_sides(workspace: str, outputs: dict[str, dict]) -> None:
    """What the manifest here releases the other storage's manifest has to know as the same; nobody writes to both."""
    inside = _manifest(storage.high_privacy_workspace(workspace))["outputs"]
    for path, output in outputs.items():
        other = inside.get(path, {})
        is_same = (other.get("level"), other.get("content_hash")) == (MODERATELY_SENSITIVE, output.get("content_hash"))
        if not is_same or other.get("excluded"):
            raise _Changed(_not_as_released(path, "is not what the manifest in high privacy storage says"))


def _write(
    workspace: str, folder: Path, outputs: dict[str, dict], should_stop: ShouldStop, seen: Callable[[int], None]
) -> Export:
    target = settings.EXPORT_DIR
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    _require_room(target, outputs)
    path = target / f"{workspace}-{timezone.now().astimezone(UTC):%Y%m%dT%H%M%S}Z.zip"
    unfinished = path.with_name(path.name + _UNFINISHED)
    try:
        descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        raise NoExport(f"{path.name} is being made already: look there in a moment.") from error
    try:
        with os.fdopen(descriptor, "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
                with opened_folder(folder) as folder_fd:
                    for name, output in sorted(outputs.items()):
                        _add(archive, folder_fd, name, output, should_stop)
                        seen(output.get("size", 0))
                told = {"workspace": workspace, "outputs": outputs}
                archive.writestr(_MANIFEST, json.dumps(told, indent=2, sort_keys=True))
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
        with opened_folder(target) as target_fd:
            os.fsync(target_fd)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return Export(path, len(outputs), path.stat().st_size)


def _add(archive: zipfile.ZipFile, folder_fd: int, name: str, output: dict, should_stop: ShouldStop) -> None:
    """Raises _Changed, Stopped, OSError."""
    try:
        source = open_ordinary(folder_fd, os.fsencode(name))
    except NotOrdinary as error:
        raise _Changed(_not_as_released(name, str(error))) from error
    except FileNotFoundError as error:
        raise _Changed(_not_as_released(name, "is not there")) from error
    with os.fdopen(source, "rb") as file:
        status = os.fstat(file.fileno())
        entry = zipfile.ZipInfo(name, time.gmtime(max(status.st_mtime, 315532800))[:6])
        entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, (stat.S_IFREG | 0o644) << 16
        sha256 = hashlib.sha256()
        with archive.open(entry, "w", force_zip64=status.st_size > 2**30) as packed:
            while block := file.read(_BLOCK_BYTES):
                check_stop(should_stop)
                sha256.update(block)
                packed.write(block)
    if sha256.hexdigest() != output.get("content_hash"):
        raise _Changed(_not_as_released(name, "has another content than when it was released"))


def _not_as_released(name: str, why: str) -> str:
    return f"Nothing is exported: {name} {why}. See `manage.py verify_workspace`."


def _require_room(target: Path, outputs: dict[str, dict]) -> None:
    size = sum(output.get("size", 0) for output in outputs.values())
    free = shutil.disk_usage(target).free
    if free < size + settings.MIN_FREE_DISK_BYTES:
        raise NoExport(
            f"Only {size_in_words(free)} is free in {target}; the outputs take {size_in_words(size)}, and "
            f"{size_in_words(settings.MIN_FREE_DISK_BYTES)} have to stay free. Free space, or set EXPORT_DIR."
        )
