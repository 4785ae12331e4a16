"""Remove whatever a job left: thousands of folders deep, folders without permissions, names of any bytes.

Why it exists: the standard library's ways recurse, and give up at the first surprise. Here a sub-folder that is not
empty is first moved up beside the others, so nothing is ever deeper than one level below the root. Links are removed,
never followed; mounts are left alone.
"""

import os
import stat
from pathlib import Path

from runner.workspaces.files import open_beneath


def remove_tree(root: Path) -> list[Path]:
    """Remove the folder and all in it. Returns what could not be removed, by where it lies now; never raises."""
    try:
        root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return []
    except OSError:
        return [root]
    try:
        left = _Removal(root_fd).run()
    except OSError:  # the disk tells nothing of the folder itself
        return [root]
    finally:
        os.close(root_fd)
    try:
        root.rmdir()
    except OSError:
        left = left or [b"."]
    return [root / os.fsdecode(name) for name in left]


class _Removal:
    """One removal: which folders directly below the root are still to be emptied, and what has resisted."""

    def __init__(self, root_fd: int):
        self.root_fd = root_fd
        self.device = os.fstat(root_fd).st_dev
        self.waiting: list[bytes] = []
        self.left: list[bytes] = []
        self.moved = 0

    def run(self) -> list[bytes]:
        self._empty(b"", self.root_fd)
        while self.waiting:
            name = self.waiting.pop()
            if self._empty_below_root(name):
                self._remove_emptied(name)
        return self.left

    def _remove_emptied(self, name: bytes) -> None:
        try:
            os.rmdir(name, dir_fd=self.root_fd)
        except OSError:
            if not any(path == name or path.startswith(name + b"/") for path in self.left):
                self.left.append(name)

    def _empty_below_root(self, name: bytes) -> bool:
        try:
            folder_fd = open_beneath(self.root_fd, name, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            self.left.append(name)
            return False
        try:
            self._empty(name, folder_fd)
        finally:
            os.close(folder_fd)
        return True

    def _empty(self, folder: bytes, folder_fd: int) -> None:
        """Remove the files of one folder; move its sub-folders to the root and queue them."""
        try:
            names = _names(folder_fd)
        except OSError:
            self.left.append(folder or b".")
            return
        for name in names:
            path = folder + b"/" + name if folder else name
            try:
                status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):
                    os.unlink(name, dir_fd=folder_fd)
                elif status.st_dev != self.device:
                    self.left.append(path)
                else:
                    self._queue(name, folder_fd, at_root=not folder)
            except OSError:
                self.left.append(path)

    def _queue(self, name: bytes, folder_fd: int, *, at_root: bool) -> None:
        if not at_root:
            try:
                os.rmdir(name, dir_fd=folder_fd)
                return
            except OSError:
                pass
        # Moving a folder and reading it both need permissions on it that its owner may have taken away.
        _allow_owner(name, folder_fd)
        if at_root:
            self.waiting.append(name)
            return
        self.moved += 1
        new_name = b".removing-%d-%d" % (os.getpid(), self.moved)
        while _exists(new_name, self.root_fd):
            self.moved += 1
            new_name = b".removing-%d-%d" % (os.getpid(), self.moved)
        os.rename(name, new_name, src_dir_fd=folder_fd, dst_dir_fd=self.root_fd)
        self.waiting.append(new_name)


def _names(folder_fd: int) -> list[bytes]:
    """Listed before anything is removed: a folder that changes while it is read may hide entries."""
    return [os.fsencode(name) for name in os.listdir(folder_fd)]


def _allow_owner(name: bytes, folder_fd: int) -> None:
    """Mode 700 for exactly this folder, never for what a link points to."""
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=folder_fd)
    try:
        if os.fstat(descriptor).st_mode & 0o700 != 0o700:
            os.chmod(f"/proc/self/fd/{descriptor}", 0o700)
    finally:
        os.close(descriptor)


def _exists(name: bytes, folder_fd: int) -> bool:
    try:
        os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
