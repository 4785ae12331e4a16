"""What a job finds at /workspace as one tar stream, made as it is sent: code, inputs, folders for the outputs.

It is what `folder` makes on a disk, in the same order of precedence: inputs over code, and no link, device or path that
leads elsewhere. Nothing is stored on the way, and no more than a piece of a file is in memory; only the names are
remembered, to tell a file from a folder.
"""

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jobs.models import JobOutput
from runner.workspaces.code import Member, no_file_for_folder
from runner.workspaces.copying import pieces_of
from runner.workspaces.files import ShouldStop

_SENT_AT_ONCE = 256 * 1024
_BLOCK = tarfile.BLOCKSIZE


class Shrunk(Exception):
    """A file gave fewer bytes than its header promised."""


@dataclass
class Outgoing:
    """One stream. `links` and `replaced` are complete when all of it has been read: paths for the job's notes.

    `given_at`: the time of modification of all that is in it, in seconds since 1970.
    """

    uid: int
    gid: int
    given_at: int
    links: list[str] = field(default_factory=list)
    replaced: set[str] = field(default_factory=set)
    _folders: set[str] = field(default_factory=set)
    _files: set[str] = field(default_factory=set)

    def pieces(
        self,
        code: Iterable[Member],
        rows: list[JobOutput],
        opened: Iterable[tuple[JobOutput, int]],
        output_folders: Iterable[str],
        should_stop: ShouldStop,
    ) -> Iterator[bytes]:
        """`opened` gives the rows' files, one after another. Raises what reading either does, and Shrunk."""
        return _in_large_pieces(self._all(code, rows, opened, output_folders, should_stop))

    def _all(self, code, rows, opened, output_folders, should_stop) -> Iterator[bytes]:
        inputs = _Places([row.path for row in rows])
        for member in code:
            if member.is_link:
                self.links.append(member.path)
            if taken := inputs.in_the_way(member.path, member.is_folder):
                self.replaced.add(taken)
                continue
            with no_file_for_folder(member.path):
                yield from self._member(member)
        for row, descriptor in opened:
            yield from self._parents(row.path)
            yield from self._file(row.path, 0o644, row.size, pieces_of(descriptor, row.size, should_stop))
        for folder in output_folders:
            try:
                yield from self._folder(folder)
            except (FileExistsError, NotADirectoryError):
                continue  # the code has a file of that name; the script will say so itself
        yield bytes(2 * _BLOCK)

    def _member(self, member: Member) -> Iterator[bytes]:
        if member.is_folder:
            yield from self._folder(member.path)
            return
        yield from self._parents(member.path)
        yield from self._file(member.path, member.mode, member.size, member.pieces)

    def _parents(self, path: str) -> Iterator[bytes]:
        parent, _, _ = path.rpartition("/")
        yield from self._folder(parent)

    def _folder(self, path: str) -> Iterator[bytes]:
        parts = path.split("/") if path else []
        for end in range(1, len(parts) + 1):
            current = "/".join(parts[:end])
            if current in self._files:
                raise FileExistsError(current)
            if current not in self._folders:
                self._folders.add(current)
                yield self._header(current, is_folder=True)

    def _file(self, path: str, mode: int, size: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
        if path in self._folders:
            raise IsADirectoryError(path)
        self._files.add(path)
        yield self._header(path, is_folder=False, mode=mode, size=size)
        left = size
        for piece in pieces:
            left -= len(piece)
            yield bytes(piece)
        if left:
            raise Shrunk
        yield bytes(-size % _BLOCK)

    def _header(self, path: str, *, is_folder: bool, mode: int = 0o755, size: int = 0) -> bytes:
        info = tarfile.TarInfo(path)
        info.type = tarfile.DIRTYPE if is_folder else tarfile.REGTYPE
        info.mode, info.size, info.mtime = mode, size, self.given_at
        info.uid, info.gid = self.uid, self.gid
        # GNU's form writes a name's bytes as they are, whatever they are.
        return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


class _Places:
    """Where inputs go, and so which of the code's files and folders have to make way."""

    def __init__(self, paths: list[str]):
        self._paths = set(paths)
        self._below: dict[str, str] = {}  # folder -> the first input below it
        for path in paths:
            for parent in _parents_of(path):
                self._below.setdefault(parent, path)

    def in_the_way(self, path: str, is_folder: bool) -> str:
        """The input whose place it is; empty if it may stay."""
        for place in (path, *_parents_of(path)):
            if place in self._paths:
                return place
        return "" if is_folder else self._below.get(path, "")


def _parents_of(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts)))


def _in_large_pieces(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Each piece is a chunk of its own on the wire: headers and small files go together."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= _SENT_AT_ONCE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
