"""Copy and hash files of any size in pieces, so that a cancel is heard within one piece."""

import errno
import fcntl
import hashlib
import os

from runner.workspaces.files import ShouldStop, check_stop

_FICLONE = 0x40049409
_KERNEL_PIECE = 64 * 1024 * 1024
_PIECE = 1024 * 1024
_CANNOT_CLONE = (
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.ENOTTY,
    errno.EPERM,
    errno.EBADF,
    errno.ETXTBSY,
)


def copy(source_fd: int, target_fd: int, should_stop: ShouldStop) -> None:
    """Copy a whole file into an empty one, by the cheapest way that the file systems offer. Raises Stopped, OSError."""
    if _cloned(source_fd, target_fd):
        return
    os.lseek(source_fd, 0, os.SEEK_SET)
    try:
        while os.copy_file_range(source_fd, target_fd, _KERNEL_PIECE):
            check_stop(should_stop)
    except OSError as error:
        if error.errno not in _CANNOT_CLONE:
            raise
    # Goes on where the kernel's copy ended: at the end, or at the start where it cannot copy between these files.
    for piece in _pieces(source_fd, should_stop):
        _write_all(target_fd, piece)


def digest(source_fd: int, should_stop: ShouldStop, *, copy_to: int | None = None) -> str:
    """sha256 of a whole file in hexadecimal; copies it on the way when a second descriptor is given. Raises Stopped."""
    os.lseek(source_fd, 0, os.SEEK_SET)
    sha256 = hashlib.sha256()
    for piece in _pieces(source_fd, should_stop):
        sha256.update(piece)
        if copy_to is not None:
            _write_all(copy_to, piece)
    return sha256.hexdigest()


def _cloned(source_fd: int, target_fd: int) -> bool:
    try:
        fcntl.ioctl(target_fd, _FICLONE, source_fd)
    except OSError as error:
        if error.errno not in _CANNOT_CLONE:
            raise
        return False
    return True


def _pieces(source_fd: int, should_stop: ShouldStop):
    """Views of one buffer, each valid until the next is asked for."""
    buffer = memoryview(bytearray(_PIECE))
    while count := os.readv(source_fd, [buffer]):
        yield buffer[:count]
        check_stop(should_stop)


def _write_all(target_fd: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(target_fd, piece) :]
