"""Touch files that a job or a repository made without being led elsewhere, and store our own so that they survive.

Why it exists: everything below a job's folder is hostile. A name may be a link out of the folder, a device, a FIFO that
blocks for ever. Checking a path and then opening it can be raced; only the kernel can open and check in one call.
It knows nothing of jobs, workspaces or Docker.
"""

import ctypes
import errno
import functools
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jobs.errors import JobError, Stopped, Unavailable
from jobs.log import escape
from jobs.text import size_in_words

_OPENAT2 = 437  # the same number on every architecture that Linux gained since 2020
_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x01, 0x02, 0x04, 0x08
_OPEN_SAFELY = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW
_libc = ctypes.CDLL(None, use_errno=True)

# Trouble of a disk, not of a study: the same step succeeds once somebody has seen to it.
_DISK_TROUBLE = {
    errno.ENOSPC: "free space on that disk",
    errno.EDQUOT: "raise the quota or free space",
    errno.EFBIG: "use a file system that holds files of that size",
    errno.EROFS: "make that file system writable again",
    errno.EIO: "check that disk",
    errno.ESTALE: "mount that storage again",
    errno.ENODEV: "mount that storage again",
    errno.ENOTCONN: "mount that storage again",
    errno.ETIMEDOUT: "check the connection to that storage",
    errno.EHOSTDOWN: "check the connection to that storage",
    errno.EHOSTUNREACH: "check the connection to that storage",
    errno.EREMOTEIO: "check that disk",
    errno.EMFILE: "raise the job runner's limit of open files (ulimit -n)",
    errno.ENFILE: "see which process of this host keeps so many files open",
    errno.ENOMEM: "see which process of this host takes so much memory",
    errno.EACCES: "let the job runner's user write there",
    errno.EPERM: "let the job runner's user write there",
}
_KINDS = (
    (stat.S_ISLNK, "is a symbolic link"),
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a named pipe (FIFO)"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)
_OPEN_REFUSALS = {
    errno.ELOOP: "is, or lies behind, a symbolic link",
    errno.EXDEV: "lies on another file system",
    errno.ENXIO: "is a socket or a device",
    errno.EACCES: "cannot be read: permission denied",
    errno.ENOTDIR: "lies behind something that is not a folder",
    errno.ENAMETOOLONG: "has a path that is too long",
    errno.ENOENT: "is no longer there",
}


# What of opening a path says that the file itself is none that may be used; anything else is trouble of disk or host.
OF_THE_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EXDEV, errno.ENAMETOOLONG)
# In its own folder a job may take away permissions, too.
OF_THE_JOBS_FILE = (*OF_THE_FILE, errno.EACCES, errno.EPERM)


ShouldStop = Callable[[], bool]


class NotOrdinary(Exception):
    """What stands at a path is not a plain file of its own; `str()` says what it is, to follow the file's name."""


class StorageUnavailable(Unavailable):
    """A disk is full, read-only or broken; the message names the path and what to do."""


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@contextmanager
def disk_trouble(path: Path) -> Iterator[None]:
    """Turn trouble of the disk that `path` lies on into StorageUnavailable, names no disk can hold into JobError."""
    there = _nearest_folder(path)
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise JobError("A file name is too long to be stored: shorten the names of outputs.") from error
        if trouble := trouble_of_disk(error, path):
            raise trouble from error
        # The storage itself, which was there a moment ago, and not one file of it.
        if error.errno == errno.ENOENT and there is not None and _nearest_folder(there) != there:
            raise StorageUnavailable(
                f"{there} has gone away. Nothing is lost: mount that storage again; the job then continues "
                "automatically."
            ) from error
        raise


def trouble_of_disk(error: OSError, path: Path | None = None) -> StorageUnavailable | None:
    """What an error means for whoever has to see to the disk; None if it is no trouble of a disk.

    `path` is where something was done, and may be told to the job-server. What the error itself names may be a file
    whose name a job has chosen, so that goes into the detail.
    """
    if error.errno not in _DISK_TROUBLE:
        return None
    todo = _DISK_TROUBLE[error.errno]
    named = error.filename if isinstance(error.filename, str) and error.filename.startswith("/") else ""
    if error.errno == errno.ENOSPC and _holds_no_more_files(path or Path(named or "/")):
        todo = "remove files from that disk, which has room but holds as many files as it can (no inode is free)"
    return StorageUnavailable(
        f"Cannot use {path or 'a disk'}: {error.strerror}. Nothing is lost: {todo}; the job then continues "
        "automatically.",
        detail=f"It was {escape(named)}." if named else "",
    )


def _holds_no_more_files(path: Path) -> bool:
    """Whether a disk has run out of inodes, not of bytes; some file systems have no fixed number of them."""
    folder = _nearest_folder(path)
    try:
        disk = os.statvfs(folder) if folder else None
    except OSError:
        return False
    return disk is not None and disk.f_files > 0 and disk.f_favail == 0


def _nearest_folder(path: Path) -> Path | None:
    """The path, or the first folder above it that is there and answers."""
    for folder in (path, *path.parents):
        with suppress(OSError):
            if folder.is_dir():
                return folder
    return None


def check_stop(should_stop: ShouldStop) -> None:
    """Raises Stopped if a stop was asked for."""
    if should_stop():
        raise Stopped


def open_beneath(root_fd: int, relative: bytes, flags: int) -> int:
    """Open a path below a folder; no link, mount or `..` on the way is followed. Returns a descriptor.

    Never blocks (O_NONBLOCK) and makes nothing. Raises OSError: ELOOP or ENOTDIR for a link, EXDEV for a mount.
    """
    if kernel_resolves_beneath():
        return open_by_kernel(root_fd, relative, flags)
    return open_by_walking(root_fd, relative, flags)


@functools.cache
def kernel_resolves_beneath() -> bool:
    """Whether openat2 works here: kernels before 5.6 and some sandboxes have none."""
    try:
        os.close(open_by_kernel(-100, b".", os.O_RDONLY | os.O_DIRECTORY))
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):
            return False
        raise
    return True


def open_by_kernel(root_fd: int, relative: bytes, flags: int) -> int:
    """`open_beneath` in one system call."""
    how = _OpenHow(flags | _OPEN_SAFELY, 0, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS | _NO_XDEV)
    arguments = (ctypes.c_char_p(relative or b"."), ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))
    while True:
        descriptor = _libc.syscall(ctypes.c_long(_OPENAT2), ctypes.c_int(root_fd), *arguments)
        if descriptor >= 0:
            return descriptor
        code = ctypes.get_errno()
        if code not in (errno.EAGAIN, errno.EINTR):
            raise OSError(code, os.strerror(code), relative)


def open_by_walking(root_fd: int, relative: bytes, flags: int) -> int:
    """`open_beneath` one component at a time, for kernels without openat2."""
    *folders, last = (relative or b".").split(b"/")
    if any(part in (b"", b"..") for part in (*folders, last)):
        raise OSError(errno.EXDEV, "the path leaves the folder", relative)
    device = os.fstat(root_fd).st_dev
    current = os.dup(root_fd)
    try:
        for part, how in [(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in folders] + [(last, flags)]:
            current, previous = (os.open(part, how | _OPEN_SAFELY, dir_fd=current), current)
            os.close(previous)
            if os.fstat(current).st_dev != device:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), relative)
    except OSError:
        os.close(current)
        raise
    return current


def why_not_ordinary(status: os.stat_result) -> str:
    """Empty for a plain file under one name only; else what it is, as the end of a sentence about its name."""
    for is_kind, words in _KINDS:
        if is_kind(status.st_mode):
            return words
    if status.st_nlink > 1:
        return "is a hard link: the same file exists under another name"
    return ""


def why_not_opened(error: OSError) -> str:
    """What an OSError of `open_beneath` says about the file, as the end of a sentence about its name."""
    return _OPEN_REFUSALS.get(error.errno, f"cannot be opened: {error.strerror}")


def open_ordinary(root_fd: int, relative: bytes) -> int:
    """Open a plain file of a job, and nothing else, for reading. Raises NotOrdinary; OSError (disk, host)."""
    try:
        descriptor = open_beneath(root_fd, relative, os.O_RDONLY)
    except OSError as error:
        if error.errno not in OF_THE_JOBS_FILE:
            raise
        raise NotOrdinary(why_not_opened(error)) from error
    reason = why_not_ordinary(os.fstat(descriptor))
    if reason:
        os.close(descriptor)
        raise NotOrdinary(reason)
    return descriptor


def read_plain(path: Path, most_bytes: int) -> bytes:
    """The content of a file of ours, which may have other names. Raises NotOrdinary for anything else, OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _OPEN_SAFELY)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        raise NotOrdinary(why_not_opened(error)) from error
    try:
        status = os.fstat(descriptor)
        for is_kind, words in _KINDS:
            if is_kind(status.st_mode):
                raise NotOrdinary(words)
        if status.st_size > most_bytes:
            raise NotOrdinary(f"is larger than {size_in_words(most_bytes)}")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


@contextmanager
def opened_folder(path: Path) -> Iterator[int]:
    """The descriptor of a folder of ours; its own path may contain links, operators mount storage as they like."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def link_descriptor(descriptor: int, name: str, folder_fd: int) -> bool:
    """Give the very file that is open a second name in a folder; False where the file systems do not allow it."""
    try:
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=folder_fd, follow_symlinks=True)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOENT, errno.EOPNOTSUPP):
            return False
        raise
    return True


def write_atomically(path: Path, content: bytes | Iterable[bytes], *, writer: str = "new") -> None:
    """Replace a file so that readers, and a power cut, see the old or the new content and never a part of it.

    `writer` tells apart writers that may replace the same file at the same time; what a killed one leaves under its
    temporary name is overwritten by its next try.
    """
    temporary = path.with_name(f".{path.name}.{writer}")
    with temporary.open("wb") as file:
        for chunk in [content] if isinstance(content, bytes) else content:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    with opened_folder(path.parent) as folder_fd:
        os.fsync(folder_fd)


def sync_file_system(descriptor: int) -> None:
    """Write back the whole file system that the descriptor lies on; for many files far cheaper than one by one."""
    if _libc.syncfs(ctypes.c_int(descriptor)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
