"""Read a study's code, as git's archive gives it, and unpack it into a job's folder.

The archive comes from a repository that anybody may have written: only plain files and folders are made from it. A
symbolic link becomes a small plain file that holds the link's target (what git does with `core.symlinks=false`), so
nothing in the folder ever points out of it.
"""

import contextlib
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from jobs.errors import JobError, Unavailable
from jobs.log import escape
from runner.workspaces.files import ShouldStop, check_stop

_PIECE = 1024 * 1024


class CodeUnreadable(Unavailable):
    """The stream of code broke off or was no archive; it is fetched again with the next try."""


class Owner:
    """Whom everything in a job's folder belongs to; only root can give files to somebody else."""

    def __init__(self, uid: int, gid: int):
        self.uid, self.gid = uid, gid
        self._must_give = (uid, gid) != (os.geteuid(), os.getegid())

    def take(self, descriptor: int, mode: int) -> None:
        """Give an open file or folder to the owner, with exactly this mode."""
        if self._must_give:
            os.fchown(descriptor, self.uid, self.gid)
        os.fchmod(descriptor, mode)

    def make_folder(self, path: Path) -> None:
        """Make one folder of the owner's. Raises FileExistsError."""
        path.mkdir(mode=0o755)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            self.take(descriptor, 0o755)
        finally:
            os.close(descriptor)

    def make_folders(self, root: Path, relative: str) -> None:
        """Make a folder below root and those above it, where missing. Raises OSError where a file stands."""
        current = root
        for part in relative.split("/") if relative else []:
            current = current / part
            if not current.is_dir():
                self.make_folder(current)


@dataclass(frozen=True)
class Member:
    """One file or folder of the code: what may be made of it. The path is relative and leads nowhere else."""

    path: str  # parts that are no text keep their bytes as surrogates
    is_folder: bool
    mode: int = 0o755
    size: int = 0  # bytes
    pieces: Iterable[bytes] = ()  # to be read before the next member
    is_link: bool = False  # a plain file that holds a link's target


def read_code(code: BinaryIO, should_stop: ShouldStop) -> Iterator[Member]:
    """The members of a tar stream, in its order, and the stream to its end.

    Raises JobError for an archive that reaches out of its folder, CodeUnreadable for a broken one, Stopped, OSError.
    """
    with (
        _whole(),
        tarfile.open(fileobj=code, mode="r|", encoding="utf-8", errors="surrogateescape") as archive,
    ):
        for member in archive:
            check_stop(should_stop)
            yield _as_member(archive, member, should_stop)
    while code.read(_PIECE):
        check_stop(should_stop)


def unpack(code: BinaryIO, into: Path, owner: Owner, should_stop: ShouldStop) -> list[str]:
    """Unpack a tar stream into a folder that is empty and ours. Returns the paths of links that became plain files.

    Raises what `read_code` does.
    """
    links = []
    for member in read_code(code, should_stop):
        if member.is_link:
            links.append(member.path)
        with no_file_for_folder(member.path):
            parent, _, _ = member.path.rpartition("/")
            owner.make_folders(into, member.path if member.is_folder else parent)
            if not member.is_folder:
                _write(into / member.path, member.pieces, member.mode, owner)
    return links


@contextlib.contextmanager
def no_file_for_folder(path: str) -> Iterator[None]:
    """What a repository cannot hold, but an archive can. Raises JobError."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise JobError(f"The repository holds {escape(path)} both as a file and as a folder.") from error


@contextlib.contextmanager
def _whole() -> Iterator[None]:
    try:
        yield
    except tarfile.TarError as error:
        raise CodeUnreadable(f"The study's code could not be read to its end: {error}.") from error


def _as_member(archive: tarfile.TarFile, member: tarfile.TarInfo, should_stop: ShouldStop) -> Member:
    path = member.name.rstrip("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
        raise JobError(f"The repository holds the path {escape(repr(member.name))}, which lies outside its folder.")
    if member.isdir():
        return Member(path, is_folder=True)
    if member.issym():
        target = os.fsencode(member.linkname)
        return Member(path, False, 0o644, len(target), [target], is_link=True)
    if member.isreg():
        mode = 0o755 if member.mode & 0o111 else 0o644
        return Member(path, False, mode, member.size, _content(archive, member, should_stop))
    raise JobError(f"The repository holds {escape(path)}, which is neither a file nor a folder.")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, should_stop: ShouldStop) -> Iterator[bytes]:
    with _whole():
        content = archive.extractfile(member)
        while piece := content.read(_PIECE):
            check_stop(should_stop)
            yield piece


def _write(path: Path, pieces: Iterable[bytes], mode: int, owner: Owner) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.writelines(pieces)
        file.flush()
        owner.take(descriptor, mode)
