"""Copy and hash files of any size in pieces, so that a cancel is heard within one piece.

Holes stay holes: a file that claims a terabyte and holds a few bytes takes a few bytes on the other disk too. Where a
file system cannot tell its holes, they are read and written as the zeros that they stand for.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator

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
    os.ftruncate(target_fd, os.fstat(source_fd).st_size)
    for start, end in data_ranges(source_fd):
        start = _copied_by_kernel(source_fd, target_fd, start, end, should_stop)
        for position, piece in _pieces(source_fd, start, end, should_stop):
            _write_all(target_fd, piece, position)


def digest(source_fd: int, should_stop: ShouldStop, *, copy_to: int | None = None) -> str:
    """sha256 of a whole file in hexadecimal; copies it on the way when a second descriptor is given. Raises Stopped."""
    size = os.fstat(source_fd).st_size
    if copy_to is not None:
        os.ftruncate(copy_to, size)
    sha256 = hashlib.sha256()
    hashed = 0
    for start, end in data_ranges(source_fd):
        _hash_hole(sha256, start - hashed, should_stop)
        for position, piece in _pieces(source_fd, start, end, should_stop):
            sha256.update(piece)
            if copy_to is not None:
                _write_all(copy_to, piece, position)
        hashed = end
    _hash_hole(sha256, size - hashed, should_stop)
    return sha256.hexdigest()


def pieces_of(source_fd: int, size: int, should_stop: ShouldStop) -> Iterator[memoryview]:
    """The first `size` bytes of a file, each piece valid until the next is asked for. Raises Stopped, OSError."""
    if size:
        for _, piece in _pieces(source_fd, 0, size, should_stop):
            yield piece


def data_ranges(descriptor: int) -> Iterator[tuple[int, int]]:
    """Where a file holds data, as (start, end) in bytes; what lies between are holes. All of it, if it has none."""
    status = os.fstat(descriptor)
    if status.st_blocks * 512 >= status.st_size:
        if status.st_size:
            yield 0, status.st_size
        return
    os.fsync(descriptor)  # file systems were known to take data for a hole while it was not written back
    position = 0
    while position < status.st_size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
            position = min(os.lseek(descriptor, start, os.SEEK_HOLE), status.st_size)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        yield start, position


def _hash_hole(sha256, size: int, should_stop: ShouldStop) -> None:
    zeros = bytes(min(size, _PIECE))
    while size > 0:
        sha256.update(zeros[:size])
        size -= _PIECE
        check_stop(should_stop)


def _cloned(source_fd: int, target_fd: int) -> bool:
    try:
        fcntl.ioctl(target_fd, _FICLONE, source_fd)
    except OSError as error:
        if error.errno not in _CANNOT_CLONE:
            raise
        return False
    return True


def _copied_by_kernel(source_fd: int, target_fd: int, start: int, end: int, should_stop: ShouldStop) -> int:
    """How far it came: to the end, or nowhere where it cannot copy between these files."""
    try:
        while start < end:
            copied = os.copy_file_range(source_fd, target_fd, min(_KERNEL_PIECE, end - start), start, start)
            if not copied:
                break
            start += copied
            check_stop(should_stop)
    except OSError as error:
        if error.errno not in _CANNOT_CLONE:
            raise
    return start


def _pieces(source_fd: int, start: int, end: int, should_stop: ShouldStop) -> Iterator[tuple[int, memoryview]]:
    """Position and content, as views of one buffer, each valid until the next is asked for."""
    buffer = memoryview(bytearray(min(_PIECE, end - start)))
    while start < end:
        count = os.preadv(source_fd, [buffer[: end - start]], start)
        if not count:
            return  # it has become shorter; whoever asked compares the times
        yield start, buffer[:count]
        start += count
        check_stop(should_stop)


def _write_all(target_fd: int, piece: memoryview, position: int) -> None:
    while piece:
        written = os.pwrite(target_fd, piece, position)
        piece, position = piece[written:], position + written
