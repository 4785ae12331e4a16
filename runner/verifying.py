"""Does a workspace's storage hold what its manifests and the database say? Looks, and changes nothing.

Three things are held against each other: the files, the manifest beside them, and the rows of current outputs. In
medium privacy storage every file must be one that was released, or a note or log of ours: anything else may be a leak,
and is told first. The runner may publish meanwhile; what looks wrong is therefore looked at once more with the manifest
read anew, and nobody has to wait for a lock.
"""

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jobs import storage
from jobs.levels import MODERATELY_SENSITIVE, PRIVACY_LEVELS
from jobs.models import JobOutput
from jobs.names import ACTION_NAME
from runner import manifest as manifests
from runner.plan import STAGING, note_of
from runner.workspaces.copying import digest
from runner.workspaces.files import NotOrdinary, ShouldStop, open_beneath, opened_folder, read_plain, why_not_opened

HIGH, MEDIUM = "high", "medium"
# Kinds of findings, the worst first.
LEAK, CHANGED, MISSING, MANIFEST, DATABASE, UNKNOWN = "leak", "changed", "missing", "manifest", "database", "unknown"
_MANIFEST = "manifest.json"
KINDS = (LEAK, CHANGED, MISSING, MANIFEST, DATABASE, UNKNOWN)


@dataclass(frozen=True)
class Finding:
    """`path` is relative to the workspace's folder in that storage; `text` says what is so."""

    kind: str
    storage: str
    path: str
    text: str


@dataclass
class Verified:
    """Of one workspace. An `unknown` file in high privacy storage is no fault: people may have put it there."""

    workspace: str
    files: int = 0
    size: int = 0  # bytes that were read
    findings: list[Finding] = field(default_factory=list)
    is_publishing: bool = False

    @property
    def is_sound(self) -> bool:
        return all(finding.kind == UNKNOWN for finding in self.findings)


def verify(
    workspace: str,
    *,
    reads_contents: bool = True,
    should_stop: ShouldStop = lambda: False,
    seen: Callable[[int], None] = lambda size: None,
) -> Verified:
    """Hold everything against each other. `seen` hears of the bytes of each file. Raises Stopped, OSError."""
    result = Verified(workspace, is_publishing=_is_publishing(workspace))
    look = _Look(result, reads_contents, should_stop, seen)
    found = look.everything()
    if found:  # it may have been published meanwhile
        paths = {(finding.storage, finding.path) for finding in found}
        look.seen, counted = (lambda size: None), (result.files, result.size)
        again = look.everything(only=paths)
        result.files, result.size = counted
        found = [finding for finding in again if (finding.storage, finding.path) in paths]
    result.findings = sorted(found, key=lambda finding: (KINDS.index(finding.kind), finding.storage, finding.path))
    return result


def workspaces() -> list[str]:
    """Names of all that have a folder in one of the storages."""
    names: set[str] = set()
    for folder in (storage.high_privacy_workspace("x").parent, storage.medium_privacy_workspace("x").parent):
        if folder.is_dir():
            names |= {entry.name for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)}
    return sorted(name for name in names if _is_name(name))


def strangers() -> list[Finding]:
    """What lies in medium privacy storage beside the folders of workspaces: none of it was ever released."""
    base = storage.medium_privacy_workspace("x").parent
    found = (
        [f"{entry.name}" for entry in _entries(base.parent) if entry.name != base.name] if base.parent.is_dir() else []
    )
    for entry in _entries(base) if base.is_dir() and not base.is_symlink() else ():
        if not (entry.is_dir(follow_symlinks=False) and _is_name(entry.name)):
            found.append(f"{base.name}/{entry.name}")
    return [Finding(LEAK, MEDIUM, path, "is no workspace of ours") for path in sorted(found)]


def _is_name(name: str) -> bool:
    try:
        storage.high_privacy_workspace(name)
    except ValueError:
        return False
    return True


def _is_publishing(workspace: str) -> bool:
    staging = storage.high_privacy_workspace(workspace) / STAGING
    return staging.is_dir() and bool(_entries(staging))


def _entries(folder: Path) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        return list(entries)


class _Look:
    def __init__(self, result: Verified, reads_contents: bool, should_stop: ShouldStop, seen: Callable[[int], None]):
        self.seen = seen
        self._result, self._reads_contents, self._should_stop = result, reads_contents, should_stop

    def everything(self, only: set[tuple[str, str]] | None = None) -> list[Finding]:
        """`only`: storage and path of the files that are to be looked at again."""
        workspace = self._result.workspace
        high = _Storage(HIGH, storage.high_privacy_workspace(workspace))
        medium = _Storage(MEDIUM, storage.medium_privacy_workspace(workspace))
        found = [*high.faults, *medium.faults]
        for side in (high, medium):
            with side.opened() as folder_fd:
                outputs = {path: out for path, out in side.outputs.items() if not only or (side.name, path) in only}
                found += [finding for path, out in outputs.items() if (finding := self._of(side, folder_fd, path, out))]
        found += list(_beside_manifest(high)) + list(_not_released(medium, high))
        return found + list(_beside_database(workspace, high))

    def _of(self, side: "_Storage", folder_fd: int, path: str, output: dict) -> Finding | None:
        if side.name == MEDIUM:
            if output.get("level") != MODERATELY_SENSITIVE:
                return Finding(LEAK, MEDIUM, path, f"the manifest here names an output that is {output.get('level')}")
            if output.get("excluded"):
                return None  # `_not_released` sees whether it is there all the same
        try:
            descriptor = open_beneath(folder_fd, os.fsencode(path), os.O_RDONLY)
        except FileNotFoundError:
            return Finding(MISSING, side.name, path, "is in the manifest and not here")
        except OSError as error:
            return Finding(CHANGED, side.name, path, why_not_opened(error))
        try:
            return self._of_file(side, path, output, descriptor)
        finally:
            os.close(descriptor)

    def _of_file(self, side: "_Storage", path: str, output: dict, descriptor: int) -> Finding | None:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return Finding(CHANGED, side.name, path, "is no plain file")
        self._result.files += 1
        self.seen(status.st_size)
        if status.st_size != output.get("size"):
            text = f"has {status.st_size:,} bytes and not {output.get('size')}"
            return Finding(CHANGED, side.name, path, text)
        if self._reads_contents:
            self._result.size += status.st_size
            if digest(descriptor, self._should_stop) != output.get("content_hash"):
                return Finding(CHANGED, side.name, path, "has another content than when it was stored")
        return None


class _Storage:
    """One side's folder, manifest and files. A workspace may well have nothing in medium privacy storage."""

    def __init__(self, name: str, folder: Path):
        self.name, self.folder = name, folder
        self.faults: list[Finding] = []
        self.outputs: dict[str, dict] = {}
        self.files: dict[str, dict] = {}
        if folder.is_dir():
            self._read()

    def _read(self) -> None:
        where = f"metadata/{_MANIFEST}"
        try:
            found = manifests.checked(json.loads(read_plain(storage.manifest(self.folder), manifests.MOST_BYTES)))
        except FileNotFoundError:
            if any(True for _ in self.there()):
                self.faults.append(Finding(MANIFEST, self.name, where, "is missing"))
            return
        except (NotOrdinary, ValueError, TypeError, RecursionError) as error:
            self.faults.append(Finding(MANIFEST, self.name, where, f"cannot be read: {error}"))
            return
        self.outputs, self.files = found["outputs"], found["files"]

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The folder's descriptor; -1 where there is none, and nothing in it to be opened."""
        if not self.folder.is_dir():
            yield -1
            return
        with opened_folder(self.folder) as folder_fd:
            yield folder_fd

    def beside_manifest(self) -> Iterator[str]:
        """Paths in `metadata` that nothing of ours has there."""
        folder = self.folder / "metadata"
        for entry in _entries(folder) if folder.is_dir() else ():
            action, _, kind = entry.name.rpartition(".")
            is_log = kind == "log" and ACTION_NAME.fullmatch(action)
            is_manifest = entry.name == _MANIFEST or entry.name.startswith(f"{_MANIFEST}.corrupt-")
            if not ((is_log or is_manifest) and entry.is_file(follow_symlinks=False)):
                yield f"metadata/{entry.name}"

    def there(self) -> Iterator[str]:
        """Paths of all that is no folder, besides our own: metadata and what is being published."""
        folders = [""]
        while folders:
            above = folders.pop()
            for entry in _entries(self.folder / above):
                path = f"{above}/{entry.name}" if above else entry.name
                if path in ("metadata", STAGING):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                else:
                    yield path


def _beside_manifest(high: _Storage) -> Iterator[Finding]:
    if not high.folder.is_dir() or high.faults:
        return
    for path in high.there():
        if path not in high.outputs and path not in high.files:
            yield Finding(UNKNOWN, HIGH, path, "is in no manifest: nobody knows who made it")


def _not_released(medium: _Storage, high: _Storage) -> Iterator[Finding]:
    """Files in medium privacy storage that were not released: the manifest of either side has to allow each."""
    if not medium.folder.is_dir():
        return
    for path in medium.beside_manifest():
        yield Finding(LEAK, MEDIUM, path, "is no manifest and no action's log")
    for path in medium.there():
        output = medium.outputs.get(path)
        noted = medium.outputs.get(path.removesuffix(".txt"), {}) if path.endswith(".txt") else {}
        inside = high.outputs.get(path)
        if output is not None and output.get("excluded"):
            yield Finding(LEAK, MEDIUM, path, "did not pass the disclosure checks, and is here")
        elif inside is not None and inside.get("level") != MODERATELY_SENSITIVE:
            yield Finding(LEAK, MEDIUM, path, f"is {inside.get('level')} by the other storage's manifest, and is here")
        elif output is None and noted.get("excluded"):
            if not _is_note(medium.folder / path, path.removesuffix(".txt"), noted):
                yield Finding(LEAK, MEDIUM, path, "has the name of a note of ours, and holds something else")
        elif output is None and path not in medium.files:
            yield Finding(LEAK, MEDIUM, path, "is in no manifest: nothing says that it was released")
        elif output is None and not high.faults and path not in high.files:
            yield Finding(LEAK, MEDIUM, path, "is in the manifest beside it only, not in the other storage's")


def _is_note(path: Path, about: str, output: dict) -> bool:
    """Whether it says what we write in place of an output that is withheld, and nothing more."""
    expected = note_of(about, str(output.get("message", "")))
    try:
        return read_plain(path, len(expected)) == expected
    except (OSError, NotOrdinary):
        return False


def _beside_database(workspace: str, high: _Storage) -> Iterator[Finding]:
    """The rows of current outputs, which later jobs are given as inputs."""
    if high.faults:
        return
    rows = JobOutput.objects.current().filter(job__workspace=workspace, level__in=PRIVACY_LEVELS)
    for path, level, content_hash in rows.values_list("path", "level", "content_hash").iterator(chunk_size=1000):
        output = high.outputs.get(path)
        if output is None:
            yield Finding(DATABASE, HIGH, path, "is an output by the database, and in no manifest")
        elif (output.get("level"), output.get("content_hash")) != (level, content_hash):
            yield Finding(DATABASE, HIGH, path, "is another version, or of another level, by the database")
