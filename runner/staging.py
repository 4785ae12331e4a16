"""Bring a job's outputs onto the storages' own file systems, hashed, checked and durable, and write the plan.

Why it exists: everything that takes time, needs space or may be refused happens here, in a hidden folder that no reader
looks into. Until the plan is written a stop, a full disk or a kill leaves storage as it was. On one file system staging
is a hard link of the very file that was hashed, so an output of any size costs one read.
"""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from jobs import storage
from jobs.errors import JobError, Unavailable
from jobs.levels import MODERATELY_SENSITIVE
from jobs.log import escape
from jobs.models import Job, JobOutput
from jobs.text import size_in_words
from runner.disclosure import Limits, Verdict, check
from runner.matching import Matched, MatchedFile
from runner.plan import Entry, Plan, high_staging, make_staging, medium_staging
from runner.stored_folder import StoredFolder
from runner.workspaces.copying import copy, data_ranges, digest
from runner.workspaces.files import (
    NotOrdinary,
    ShouldStop,
    StorageUnavailable,
    check_stop,
    disk_trouble,
    link_descriptor,
    open_ordinary,
    opened_folder,
    sync_file_system,
)
from runner.workspaces.removal import remove_tree

NOT_STORABLE = "An output cannot be stored under its name: rename it, or ask the operators what is in its way."

# From this size on a file is written back to disk while it is hashed; smaller ones are synced together at the end.
_SYNCED_WHILE_HASHED = 8 * 1024 * 1024
_SYNCED_ONE_BY_ONE = 32

# The process's umask can only be read by setting it; done once, while nothing else runs.
_UMASK = os.umask(0o077)
os.umask(_UMASK)


def stage(job: Job, workspace_folder: Path, matched: Matched, *, should_stop: ShouldStop) -> Plan:
    """Stage the matched files and write the plan, which commits the publication.

    Raises JobError (a name that storage cannot hold), Stopped, StorageUnavailable; then nothing is left behind.
    """
    with disk_trouble(storage.high_privacy_workspace(job.workspace)):
        _check_names(job, matched.files)
        discard(job)
        try:
            entries = _stage_files(job, workspace_folder, matched.files, should_stop)
            check_stop(should_stop)
            last_row = JobOutput.objects.aggregate(last=Max("pk"))["last"] or 0
            plan = Plan(entries, tuple(map(str, matched.refused)), timezone.now(), last_row)
            plan.save(job)
        except BaseException:
            with suppress(StorageUnavailable, OSError):  # what cannot go away now is met by the next try
                discard(job)
            raise
    return plan


def discard(job: Job) -> None:
    """Remove the plan of the job's attempt and what it has staged, in both storages; may be repeated.

    The plan goes first, and for good: killed in the middle, a plan without its files would look like a publication of
    which every output is stored already. Raises StorageUnavailable if something cannot be removed: the next try would
    take it for its own, and after the job's end nobody would look for it.
    """
    Plan.forget(job)
    for staging in (medium_staging(job), high_staging(job)):
        if remove_tree(staging):
            raise StorageUnavailable(
                f"{staging} cannot be removed. Nothing is lost: make that disk writable again, or remove the folder by "
                "hand; the job then continues automatically."
            )
        try:
            staging.parent.rmdir()
        except OSError:
            continue  # other jobs are publishing, or there was nothing


def _check_names(job: Job, files: list[MatchedFile]) -> None:
    with StoredFolder(storage.high_privacy_workspace(job.workspace)) as high:
        for file in files:
            problem = high.why_not_storable(file.stored_name)
            if problem:
                raise JobError(NOT_STORABLE, detail=problem)
    # Escaping may give a file the name of a folder beside it.
    folders = {str(folder) for file in files for folder in PurePosixPath(file.stored_name).parents}
    for file in files:
        if file.stored_name in folders:
            raise JobError(NOT_STORABLE, detail=f"{escape(file.stored_name)} would be both a file and a folder.")


def _stage_files(
    job: Job, workspace_folder: Path, files: list[MatchedFile], should_stop: ShouldStop
) -> tuple[Entry, ...]:
    folders = [high_staging(job)]
    if any(file.level == MODERATELY_SENSITIVE for file in files):
        folders.append(medium_staging(job))
    for folder in folders:
        make_staging(folder)
    with ExitStack() as stack:
        source_fd, *staging_fds = (stack.enter_context(opened_folder(path)) for path in (workspace_folder, *folders))
        stager = _Stager(source_fd, staging_fds, stack.enter_context(ThreadPoolExecutor(1)), should_stop)
        entries = tuple(stager.stage(str(number), file) for number, file in enumerate(files))
    for folder in folders:
        _sync(folder, len(files))
    return entries


def _sync(folder: Path, count: int) -> None:
    """Make a staging folder and its files durable. Above a few files one call for the file system is far cheaper."""
    with opened_folder(folder) as folder_fd:
        if count > _SYNCED_ONE_BY_ONE:
            sync_file_system(folder_fd)
            return
        for name in os.listdir(folder_fd):
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder_fd)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        os.fsync(folder_fd)
    # Up to the storage's base: the workspace's own folder may be new.
    for parent in list(folder.parents)[:4]:
        with opened_folder(parent) as parent_fd:
            os.fsync(parent_fd)


class _Stager:
    """Stages files one after another; `staging_fds` are the folders in high and, if it is needed, medium storage."""

    def __init__(self, source_fd: int, staging_fds: list[int], flusher: ThreadPoolExecutor, should_stop: ShouldStop):
        self.source_fd, self.staging_fds, self.flusher, self.should_stop = source_fd, staging_fds, flusher, should_stop
        self.limits = Limits(
            max_file_size=settings.LEVEL4_MAX_FILESIZE,
            max_csv_rows=settings.LEVEL4_MAX_CSV_ROWS,
            identifier_columns=settings.LEVEL4_IDENTIFIER_COLUMNS,
            file_types=settings.LEVEL4_FILE_TYPES,
        )

    def stage(self, name: str, file: MatchedFile) -> Entry:
        check_stop(self.should_stop)
        try:
            descriptor = open_ordinary(self.source_fd, file.path)
        except NotOrdinary as error:
            raise JobError("An output cannot be stored.", detail=f"{escape(file.stored_name)} {error}.") from error
        try:
            return self._stage_open_file(name, file, descriptor)
        finally:
            os.close(descriptor)

    def _stage_open_file(self, name: str, file: MatchedFile, descriptor: int) -> Entry:
        before = os.fstat(descriptor)
        high_fd, *medium_fd = self.staging_fds
        if link_descriptor(descriptor, name, high_fd):
            content_hash = self._hash_in_place(descriptor, before.st_size, high_fd)
        else:
            content_hash = self._copy(descriptor, before, high_fd, name, with_hash=True)
        inode = os.stat(name, dir_fd=high_fd, follow_symlinks=False).st_ino
        verdict = None
        if file.level == MODERATELY_SENSITIVE:
            verdict = self._verdict(descriptor, file, before.st_size)
            if verdict.allowed:
                self._copy(descriptor, before, medium_fd[0], name, with_hash=False)
        after = os.fstat(descriptor)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise Unavailable("An output was changed while it was being stored.", detail=escape(file.stored_name))
        return _entry(file, before, content_hash, inode, verdict)

    def _hash_in_place(self, descriptor: int, size: int, folder_fd: int) -> str:
        """The staged name leads to the same file, which becomes ours. Reading and writing back go on at once."""
        _take_over(descriptor, folder_fd)
        if size < _SYNCED_WHILE_HASHED:
            return digest(descriptor, self.should_stop)
        try:
            flushed = self.flusher.submit(os.fsync, descriptor)
        except RuntimeError:  # the host starts no more threads
            os.fsync(descriptor)
            return digest(descriptor, self.should_stop)
        try:
            return digest(descriptor, self.should_stop)
        finally:
            flushed.result()

    def _copy(self, descriptor: int, status: os.stat_result, folder_fd: int, name: str, *, with_hash: bool) -> str:
        """Copy to another file system, keeping the time of modification; in one pass with the hash if it is wanted."""
        folder = Path(os.readlink(f"/proc/self/fd/{folder_fd}"))
        needed = sum(end - start for start, end in data_ranges(descriptor))
        room = os.fstatvfs(folder_fd)
        if room.f_bavail * room.f_frsize < needed:
            raise StorageUnavailable(
                f"No room for {size_in_words(needed)} in {folder}. Nothing is lost: free space on that disk; "
                "the job then continues automatically."
            )
        with disk_trouble(folder):
            target_fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder_fd)
            try:
                content_hash = ""
                if with_hash:
                    content_hash = digest(descriptor, self.should_stop, copy_to=target_fd)
                else:
                    copy(descriptor, target_fd, self.should_stop)
                os.utime(target_fd, ns=(status.st_atime_ns, status.st_mtime_ns))
                _take_over(target_fd, folder_fd)
            finally:
                os.close(target_fd)
        return content_hash

    def _verdict(self, descriptor: int, file: MatchedFile, size: int) -> Verdict:
        os.lseek(descriptor, 0, os.SEEK_SET)
        with open(descriptor, "rb", closefd=False) as opened:
            return check(opened, file.stored_name, size, self.limits, should_stop=self.should_stop)


def _take_over(descriptor: int, folder_fd: int) -> None:
    """The file becomes ours: our owner, the group that the storage folder hands down, no executable or setuid bit."""
    folder = os.fstat(folder_fd)
    group = folder.st_gid if folder.st_mode & stat.S_ISGID else os.getegid()
    status = os.fstat(descriptor)
    if (status.st_uid, status.st_gid) != (os.geteuid(), group):
        os.fchown(descriptor, os.geteuid(), group)
    os.fchmod(descriptor, 0o666 & ~_UMASK)


def _entry(file: MatchedFile, status: os.stat_result, content_hash: str, inode: int, verdict: Verdict | None) -> Entry:
    entry = {
        "path": file.stored_name,
        "level": file.level,
        "size": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "content_hash": content_hash,
        "inode": inode,
    }
    if verdict is not None:
        entry |= {
            "row_count": verdict.row_count,
            "col_count": verdict.col_count,
            "excluded": not verdict.allowed,
            "rule": str(verdict.rule),
            "message": verdict.message,
        }
    return Entry(**entry)
