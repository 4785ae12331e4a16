"""Logs of jobs that ended long ago are compressed, and exports that nobody fetched are removed.

A compressed log is complete, was read back and is on the disk before the plain one goes; killed in between, both are
there and the next time removes the plain one. Spared: logs of active jobs, and of those that may be finalised again.
"""

import contextlib
import gzip
import hashlib
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from jobs.chores import ChoreFailed, Done
from jobs.logs.archived import MOST_BYTES, packed_path
from jobs.models import ChoreRun, Job
from jobs.text import counted, listed, size_in_words
from runner.exporting import remove_old_exports
from runner.workspaces.files import NotOrdinary, open_ordinary, opened_folder

SECONDS = 420.0
# Smaller ones take a block of the disk either way.
LEAST_BYTES = 8 * 1024
_AT_ONCE = 200
_BLOCK_BYTES = 1024**2
_MONTH = re.compile(r"\d{4}-\d\d")
_FOLDER = re.compile(r"jobrunner-([a-z2-7]{16})-\d{1,6}")
_LOG = "logs.txt"
MOST_FAILURES = 20


def tidy_old_files(run: ChoreRun) -> Done:
    try:
        removed = remove_old_exports()
        number, saved, is_done, failures = compress_old_logs(time.monotonic() + SECONDS)
    except OSError as error:
        raise ChoreFailed(
            f"Old files cannot be tidied up now: {error.strerror or error} ({error.filename})."
        ) from error
    said = f"{counted(number, 'log')} compressed, {size_in_words(saved)} freed" if number else "no log was old enough"
    said += f"; {counted(removed, 'export')} removed" if removed else ""
    if failures:
        raise ChoreFailed(f"{said}; could not be compressed: {listed(failures, most=3)}")
    return Done(said if is_done else f"{said}; the rest follows", {"logs": number, "saved": saved})


def compress_old_logs(deadline: float) -> tuple[int, int, bool, list[str]]:
    """How many were compressed, how many bytes that saved, whether all are done, and what could not be.

    One that cannot be compressed holds up no other; after MOST_FAILURES the disk is more likely at fault.
    Raises OSError if the folders cannot be listed.
    """
    number, saved, failures = 0, 0, []
    before = timezone.now() - timedelta(days=settings.LOGS_COMPRESSED_AFTER_DAYS)
    for folder in _folders_to_do(before):
        if time.monotonic() > deadline or len(failures) >= MOST_FAILURES:
            return number, saved, False, failures
        try:
            gain = _compress(folder)
        except OSError as error:
            failures.append(f"{folder.name}: {error.strerror or error}")
            continue
        if gain is not None:
            number, saved = number + 1, saved + gain
    return number, saved, True, failures


def _folders_to_do(before: datetime) -> Iterator[Path]:
    """Those with a plain log of a job that ended before then, or that this database does not know."""
    for month in _months(before):
        names = [entry.name for entry in os.scandir(month) if entry.is_dir(follow_symlinks=False)]
        found = [(name, match[1]) for name in sorted(names) if (match := _FOLDER.fullmatch(name))]
        for start in range(0, len(found), _AT_ONCE):
            chunk = found[start : start + _AT_ONCE]
            spared = Job.objects.with_a_log_still_needed([job for _, job in chunk], before)
            yield from (month / name for name, job in chunk if job not in spared and _is_worth_it(month / name, before))


def _months(before: datetime) -> list[Path]:
    root = settings.HIGH_PRIVACY_STORAGE_BASE / "logs"
    if not root.is_dir():
        return []
    last = f"{before.astimezone(UTC):%Y-%m}"
    months = [entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)]
    return [root / name for name in sorted(months) if _MONTH.fullmatch(name) and name <= last]


def _is_worth_it(folder: Path, before: datetime) -> bool:
    """Large enough, not larger than what readers unpack, and nobody has written to it lately, whoever's it is."""
    try:
        status = (folder / _LOG).lstat()
    except OSError:
        return False
    return LEAST_BYTES <= status.st_size <= MOST_BYTES and status.st_mtime < before.timestamp()


def _compress(folder: Path) -> int | None:
    """How many bytes it saved; None for what is no plain file."""
    target = packed_path(folder / _LOG)
    unfinished = target.with_name(f".{target.name}.new")
    with opened_folder(folder) as folder_fd:
        try:
            source = open_ordinary(folder_fd, _LOG.encode())
        except (NotOrdinary, FileNotFoundError):
            return None
        try:
            status = os.fstat(source)
            try:
                digest = _write(source, unfinished)
            except OSError:
                with contextlib.suppress(OSError):
                    unfinished.unlink()
                raise
            unfinished.chmod(status.st_mode & 0o777)
            os.utime(unfinished, ns=(status.st_atime_ns, status.st_mtime_ns))
            if _digest(unfinished) != digest or _has_changed(status, os.fstat(source)):
                unfinished.unlink()
                raise OSError(0, "what was compressed reads back as something else", str(unfinished))
            unfinished.rename(target)
            os.fsync(folder_fd)
            os.unlink(_LOG, dir_fd=folder_fd)
            os.fsync(folder_fd)
        finally:
            os.close(source)
    return status.st_size - target.stat().st_size


def _has_changed(before: os.stat_result, now: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) != (now.st_size, now.st_mtime_ns)


def _write(source: int, unfinished: Path) -> str:
    """Of the plain text its sha256."""
    sha256 = hashlib.sha256()
    with (
        open(source, "rb", closefd=False) as plain,
        unfinished.open("wb") as raw,
    ):
        with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as packed:
            while block := plain.read(_BLOCK_BYTES):
                sha256.update(block)
                packed.write(block)
        raw.flush()
        os.fsync(raw.fileno())
    return sha256.hexdigest()


def _digest(path: Path) -> str:
    sha256 = hashlib.sha256()
    with gzip.open(path, "rb") as packed:
        while block := packed.read(_BLOCK_BYTES):
            sha256.update(block)
    return sha256.hexdigest()
