"""Unpack a study's code, as git's archive gives it, into a job's folder.

The archive comes from a repository that anybody may have written: only plain files and folders are made from it. A
symbolic link becomes a small plain file that holds the link's target (what git does with `core.symlinks=false`), so
nothing in the folder ever points out of it.
"""

import os
import tarfile
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


def unpack(code: BinaryIO, into: Path, owner: Owner, should_stop: ShouldStop) -> list[str]:
    """Unpack a tar stream into a folder that is empty and ours. Returns the paths of links that became plain files.

    Raises JobError for an archive that reaches out of the folder, CodeUnreadable for a broken one, Stopped, OSError.
    """
    links = []
    try:
        with tarfile.open(fileobj=code, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                check_stop(should_stop)
                if member.issym():
                    links.append(member.name)
                _unpack_member(archive, member, into, owner, should_stop)
    except tarfile.TarError as error:
        raise CodeUnreadable(f"The study's code could not be read to its end: {error}.") from error
    while code.read(_PIECE):
        check_stop(should_stop)
    return links


def _unpack_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, into: Path, owner: Owner, should_stop: ShouldStop
) -> None:
    name = member.name.rstrip("/")
    if name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/")):
        raise JobError(f"The repository holds the path {escape(repr(member.name))}, which lies outside its folder.")
    parent, _, _ = name.rpartition("/")
    try:
        owner.make_folders(into, name if member.isdir() else parent)
        if member.isdir():
            return
        if member.issym():
            _write(into / name, [os.fsencode(member.linkname)], 0o644, owner)
        elif member.isreg():
            mode = 0o755 if member.mode & 0o111 else 0o644
            _write(into / name, _content(archive, member, should_stop), mode, owner)
        else:
            raise JobError(f"The repository holds {escape(name)}, which is neither a file nor a folder.")
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise JobError(f"The repository holds {escape(name)} both as a file and as a folder.") from error


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, should_stop: ShouldStop):
    content = archive.extractfile(member)
    while piece := content.read(_PIECE):
        check_stop(should_stop)
        yield piece


def _write(path: Path, pieces, mode: int, owner: Owner) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.writelines(pieces)
        file.flush()
        owner.take(descriptor, mode)
