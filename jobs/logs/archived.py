"""Logs of long ago are kept compressed (`logs.txt.gz`); whoever reads one gets a plain file again, without a name.

What is unpacked lies in WORK_DIR, which nobody else may read, or where that cannot be written in memory; it is gone
with its descriptor. A file that unpacks to more than any log may have is not a log.
"""

import gzip
import os
import tempfile
import zlib
from pathlib import Path

from django.conf import settings

SUFFIX = ".gz"
MOST_BYTES = 2 * 1024**3
_BLOCK_BYTES = 1024**2


class Damaged(Exception):
    """It cannot be unpacked."""


def packed_path(path: Path) -> Path:
    """Where the log of that name lies once it is compressed."""
    return path.with_name(path.name + SUFFIX)


def unpacked(packed: int) -> int:
    """A descriptor of the plain text. Takes over `packed`, and closes it. Raises Damaged, OSError."""
    target = _nameless()
    try:
        with os.fdopen(packed, "rb") as file, gzip.GzipFile(fileobj=file) as source:
            size = 0
            while block := source.read(_BLOCK_BYTES):
                size += len(block)
                if size > MOST_BYTES:
                    raise Damaged("it unpacks to more than any log may have")
                _write(target, block)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        os.close(target)
        raise Damaged(f"it cannot be unpacked: {error}") from error
    except BaseException:
        os.close(target)
        raise
    return target


def _nameless() -> int:
    try:
        with tempfile.TemporaryFile(dir=settings.WORK_DIR, prefix="log-") as file:
            return os.dup(file.fileno())
    except OSError:
        return os.memfd_create("log", os.MFD_CLOEXEC)


def _write(descriptor: int, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
