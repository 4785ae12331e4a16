"""A commit as a tar stream, after a look at how large its tree is.

A few kilobytes of nested trees can unfold to 10^9 files, and one small blob to gigabytes, so the tree is listed with
caps before git unfolds it. A stream that git could not finish ends in an exception, never as a short archive.
"""

import contextlib
import io
from collections.abc import Iterator
from typing import BinaryIO

from django.conf import settings

from jobs.git.copies import Copy
from jobs.git.deadline import Deadline, ShouldStop, never
from jobs.git.errors import GitError, GitFailed, GitUnavailable, explain
from jobs.git.names import check_commit, check_repo
from jobs.git.process import GitProcess

_BUFFER = 1 << 18


@contextlib.contextmanager
def export(repo: str, commit: str, *, should_stop: ShouldStop = never) -> Iterator[BinaryIO]:
    """The files of a commit (full id) as an uncompressed tar stream, exactly as committed.

    Attributes of the study (export-ignore, eol, filters) are without effect. Symbolic links are in the stream as links,
    submodules as empty folders: whoever unpacks it decides about links. GIT_MAX_FILES and GIT_MAX_BYTES are checked
    first. `should_stop` is asked several times a second, during a fetch too; git is then killed. Raises GitError,
    UnknownRevision, GitUnavailable and Stopped; also from `read` and at the end of the `with` block.
    """
    copy = Copy(check_repo(repo))
    deadline = Deadline.of_settings(should_stop)
    copy.read(check_commit(commit), lambda: _check_size(copy, commit, deadline), deadline)
    generation = copy.generation()
    with GitProcess(copy.git("archive", "--format=tar", commit)) as process:
        stream = _ArchiveStream(process, copy, generation, should_stop)
        # A buffer, since tar is read in pieces of 512 bytes.
        yield io.BufferedReader(stream, _BUFFER)
        stream.read_to_end()


class _ArchiveStream(io.RawIOBase):
    """What `git archive` writes. Each piece has a deadline of its own: the reader may take its time between two."""

    def __init__(self, process: GitProcess, copy: Copy, generation: tuple[int, int] | None, should_stop: ShouldStop):
        self._process = process
        self._copy = copy
        self._generation = generation
        self._should_stop = should_stop
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        if not self._rest:
            self._rest = self._next_chunk()
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def read_to_end(self) -> None:
        """Whoever stops at tar's end mark has not seen whether git ended well; this looks."""
        while self._next_chunk():
            pass

    def _next_chunk(self) -> bytes:
        try:
            return self._process.read_chunk(Deadline.of_settings(self._should_stop))
        except GitFailed as failed:
            if failed.is_passing:
                raise explain(failed, self._copy.remote.name) from None
            self._copy.throw_away(self._generation, failed.stderr, Deadline.of_settings(self._should_stop))
            raise GitUnavailable(
                f"The runner's copy of {self._copy.remote.name} was damaged. It will be fetched again."
            ) from None


def _check_size(copy: Copy, commit: str, deadline: Deadline) -> None:
    """Refuse a tree with too many entries or bytes, or with names that no honest git writes."""
    total = 0
    paths: set[bytes] = set()
    # -t lists folders too, so that endless empty ones count.
    with GitProcess(copy.git("ls-tree", "-r", "-t", "-l", "-z", "--full-tree", commit)) as process:
        for entry in process.records(deadline, b"\0"):
            description, _, path = entry.partition(b"\t")
            size = description.rpartition(b" ")[2]
            total += int(size) if size.isdigit() else 0
            _check_name(copy, path, paths)
            paths.add(path)
            _check_caps(copy, len(paths), total)


def _check_caps(copy: Copy, entries: int, total: int) -> None:
    if entries > settings.GIT_MAX_FILES:
        raise GitError(
            f"{copy.remote.name} has more than {settings.GIT_MAX_FILES} files and folders, which this site does not "
            "accept (GIT_MAX_FILES): remove what the study does not need."
        )
    if total > settings.GIT_MAX_BYTES:
        raise GitError(
            f"The files of {copy.remote.name} are together larger than {settings.GIT_MAX_BYTES} bytes, which this site "
            "does not accept (GIT_MAX_BYTES): remove large files."
        )


def _check_name(copy: Copy, path: bytes, seen: set[bytes]) -> None:
    if path in seen:
        # A link and a folder of the same name: what is unpacked into the folder would go where the link points.
        raise GitError(f"{copy.remote.name} has two files named {path!r}; such a repository cannot be unpacked safely.")
    for step in path.split(b"/"):
        if step in (b"", b".", b"..") or step.lower() == b".git":
            raise GitError(f"{copy.remote.name} has a file whose name {path!r} is not allowed in a git repository.")
