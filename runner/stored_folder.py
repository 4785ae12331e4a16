"""A workspace's folder in one storage while it is changed: renames, removals, and what must be synced after them.

Storage is ours, but its names come from studies, so nothing below the workspace's folder is reached through a link.
"""

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from jobs.log import escape
from runner.workspaces.files import StorageUnavailable, open_beneath, opened_folder, sync_file_system

LONGEST_NAME = 255  # bytes; of the file systems in use
_LONGEST_PATH = 4095
_FOLDERS_SYNCED_ONE_BY_ONE = 32
# Giving a gigabyte back to the file system takes 0.2 s, which a rename over it would wait for.
_FREED_LATER = 64 * 1024 * 1024  # bytes; from this size on
_MOST_FREED_LATER = 64
_FREED_AFTER_SECONDS = 2.0


class StoredFolder:
    """One workspace's folder, made if missing. Paths are stored names: text, relative, parts divided by `/`."""

    def __init__(self, path: Path):
        self.path = path
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            for parent in (path.parent, path.parent.parent):
                with opened_folder(parent) as parent_fd:
                    os.fsync(parent_fd)
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self._changed: set[str] = set()
        self._open: tuple[str, int] | None = None
        self._replaced: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception) -> None:
        self._close_last()
        os.close(self.fd)
        if self._replaced:
            timer = threading.Timer(_FREED_AFTER_SECONDS, _close_all, (self._replaced,))
            timer.daemon = True  # if the process ends first, the kernel frees them
            try:
                timer.start()
            except RuntimeError:  # the host starts no more threads: freed now, which only takes longer
                _close_all(self._replaced)

    def why_not_storable(self, relative: str) -> str:
        """Empty if a file can get this name; else what stands in its way and what to do, for the study's author.

        Raises StorageUnavailable for what no study can have put there: a link or a mount above the name.
        """
        if len(os.fsencode(self.path / relative)) > _LONGEST_PATH or any(
            len(part.encode()) > LONGEST_NAME for part in relative.split("/")
        ):
            return f"The output {escape(relative)} has a name that is too long to be stored; shorten it."
        try:
            status = self.status(relative)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP, errno.EXDEV):
                raise
            return self._refusal(relative, "a part of its path is a file", self._file_above(relative))
        if status and stat.S_ISDIR(status.st_mode):
            return self._refusal(relative, "it is a folder", relative)
        return ""

    def _refusal(self, relative: str, why: str, in_the_way: str) -> str:
        return (
            f"The output {escape(relative)} cannot be stored: {why} in this workspace's storage. Rename the output, "
            f"or ask the operators to remove {escape(str(self.path / in_the_way))} if nobody needs it any more."
        )

    def _file_above(self, relative: str) -> str:
        """The first part of a path that is a file where a folder would have to be. Raises StorageUnavailable."""
        parts = relative.split("/")
        for count in range(1, len(parts)):
            part = "/".join(parts[:count])
            status = self.status(part)
            if status is None or stat.S_ISREG(status.st_mode):
                return part
            self._require_folder(part, status)
        return relative

    def _require_folder(self, relative: str, status: os.stat_result) -> None:
        """Raises StorageUnavailable. The path goes into the detail, since folders are named by studies too."""
        if not stat.S_ISDIR(status.st_mode) or status.st_dev != os.fstat(self.fd).st_dev:
            raise StorageUnavailable(
                "A folder in the workspace's storage is a link, a mount or no folder at all, so nothing is stored "
                "there. Nothing is lost: make it a plain folder; the job then continues automatically.",
                detail=f"It is {escape(str(self.path / relative))}.",
            )

    def status(self, relative: str) -> os.stat_result | None:
        """What stands at a path, links not followed; None if nothing. Raises OSError."""
        try:
            return os.stat(self._name(relative), dir_fd=self._parent(relative), follow_symlinks=False)
        except FileNotFoundError:
            return None

    def make_room(self, relative: str) -> None:
        """Make the folders above a path, one by one, as far as they are missing. Raises StorageUnavailable."""
        made: list[str] = []
        for part in relative.split("/")[:-1]:
            folder, child = "/".join(made), "/".join([*made, part])
            status = self.status(child)
            if status is not None:
                self._require_folder(child, status)
            else:
                self._close_last()
                with self._opened(folder) as folder_fd, suppress(FileExistsError):
                    os.mkdir(part, dir_fd=folder_fd)
                    self._changed.add(folder)
            made.append(part)

    def take(self, staging_fd: int, staged: str, relative: str) -> None:
        """Move a staged file to its final name, over whatever file has it now."""
        self._keep_from_being_freed(relative)
        os.rename(staged, self._name(relative), src_dir_fd=staging_fd, dst_dir_fd=self._parent(relative))
        self._note(relative)

    def remove(self, relative: str) -> None:
        """Remove a file if it is there; a folder of that name, or a file in place of one above, is none."""
        try:
            os.unlink(self._name(relative), dir_fd=self._parent(relative))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        self._note(relative)

    def sync(self) -> None:
        """Make every change durable. Raises OSError."""
        if len(self._changed) > _FOLDERS_SYNCED_ONE_BY_ONE:
            sync_file_system(self.fd)
        else:
            for folder in sorted(self._changed):
                with self._opened(folder) as folder_fd:
                    os.fsync(folder_fd)
        self._changed.clear()

    def _keep_from_being_freed(self, relative: str) -> None:
        """A large file that is about to lose its name stays for a moment, by a descriptor that can only be closed."""
        status = self.status(relative)
        if status and status.st_size >= _FREED_LATER and len(self._replaced) < _MOST_FREED_LATER:
            how = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
            self._replaced.append(os.open(self._name(relative), how, dir_fd=self._parent(relative)))

    def _note(self, relative: str) -> None:
        self._changed.add(relative.rpartition("/")[0])

    def _name(self, relative: str) -> str:
        return relative.rpartition("/")[2]

    def _parent(self, relative: str) -> int:
        """The descriptor of the folder above; the last one stays open, since sorted paths ask for it again."""
        folder = relative.rpartition("/")[0]
        if self._open is None or self._open[0] != folder:
            self._close_last()
            self._open = (folder, self._open_folder(folder))
        return self._open[1]

    def _open_folder(self, folder: str) -> int:
        return open_beneath(self.fd, os.fsencode(folder), os.O_RDONLY | os.O_DIRECTORY)

    @contextmanager
    def _opened(self, folder: str) -> Iterator[int]:
        descriptor = self._open_folder(folder)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _close_last(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
