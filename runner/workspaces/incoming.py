"""Bring what a job's patterns may mean from a volume into a folder, as it is streamed, and nothing else.

It decides nothing: the folder holds what the patterns reach just as the volume did, links as links and pipes as pipes,
so that `matching` and `staging` say the same of it as of a job's own folder. The folder lies beside the staged files,
so what arrives is not copied again.

A part of a path without a wildcard is looked at alone, before what is below it: the engine follows links on the way to
a path, and nothing that a job made is ever followed. Where a wildcard stands the engine can only send that whole
folder; what no pattern reaches is read past. Files that are links of one another are known as such only within one such
folder; they can be nothing but files of the volume itself.
"""

import os
import stat
import tarfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from jobs.errors import Unavailable
from runner.matching import Node
from runner.workspaces.files import ShouldStop, check_stop

_PIECE = 256 * 1024
# An archive ends with two blocks of zeros at least, and may be filled up with more.
_LEAST_END, _LONGEST_END = 2 * tarfile.BLOCKSIZE, 64 * 1024
_ZEROS = bytes(_PIECE)
_LATEST = 2**33  # seconds since 1970; a job may write any time, and not every file system holds it
_DEVICE_OF_NOBODY = os.makedev(0, 0)


class ArrivalBroken(Unavailable):
    """The stream from the engine broke off or is none that a volume can give; everything is fetched again."""


class _NotAskedFor(ArrivalBroken):
    """A name that does not begin with the last part of what was asked for, or leads elsewhere."""


class Stream(Protocol):
    """Blocks of a tar stream, to be closed when no more of it is wanted."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class Look(Protocol):
    """What stands at a path: "file", "folder", "link", "device", "fifo" or "socket"; a link's target."""

    kind: str
    target: str


class Source(Protocol):
    """An open volume. Paths are relative to the workspace; "" is all of it."""

    def look(self, path: bytes) -> Look | None: ...

    def read(self, path: bytes) -> Stream: ...


def fetch(source: Source, patterns: Node, into: Path, should_stop: ShouldStop) -> None:
    """Fill the folder `into`, which is empty and ours; the folder that it is in is used as well.

    Raises ArrivalBroken, ExecutorUnavailable, Stopped, OSError."""
    try:
        _Fetch(source, into, should_stop).folder(b"", [patterns])
    except (FileExistsError, ValueError, OverflowError) as error:  # a name twice, a NUL in one, no size or time at all
        raise ArrivalBroken("The engine sent what no volume can hold.", detail=repr(error)) from error


def listed(source: Source, is_enough: Callable[[int], bool]) -> Iterator[tuple[bytes, int]]:
    """Path and time of modification (seconds since 1970) of the volume's plain files, until `is_enough`.

    `is_enough` is asked after each with the bytes that would have been read before the next. Raises what `fetch` does.
    """
    with closing(_Members(source.read(b""), b"")) as members:
        read = 0
        for member, path in members:
            if member.isreg():
                yield path, int(member.mtime)
            read += member.size
            if is_enough(read):  # before it is read past
                return


class _Fetch:
    def __init__(self, source: Source, into: Path, should_stop: ShouldStop):
        self._source, self._into, self._should_stop = source, os.fsencode(into), should_stop
        self._other_names = 0
        self._made = {b""}

    def folder(self, path: bytes, nodes: list[Node]) -> None:
        """What is reached in one folder of the volume, which is known to be one."""
        check_stop(self._should_stop)
        if any(node.wildcards for node in nodes):
            self._whole_folder(path, nodes)
            return
        for name in dict.fromkeys(name for node in nodes for name in node.children):
            self._one(path + b"/" + name if path else name, [child for node in nodes for child in node.matching(name)])

    def _one(self, path: bytes, reached: list[Node]) -> None:
        found = self._source.look(path)
        if found is None:
            return
        if found.kind == "folder":
            self._make_folder(path)
            self.folder(path, [node for node in reached if node.children])
        elif found.kind == "file" and any(node.ends for node in reached):
            with closing(_Members(self._source.read(path), path)) as members:
                try:
                    for member, _ in members:
                        self._arrive(member, path, members)
                except _NotAskedFor:  # Podman sends, under its own name, what is behind a link
                    self._special(path, "link")
        elif found.kind != "file":
            self._special(path, found.kind, found.target)

    def _whole_folder(self, path: bytes, nodes: list[Node]) -> None:
        """Everything below comes, in the engine's order: a folder before what is in it."""
        reached_in = {path: nodes}
        with closing(_Members(self._source.read(path), path)) as members:
            for member, at in members:
                check_stop(self._should_stop)
                if at == path:
                    continue
                parent, _, name = at.rpartition(b"/")
                reached = [child for node in reached_in.get(parent, ()) for child in node.matching(name)]
                if not reached:
                    continue
                if member.isdir():
                    self._make_folder(at)
                    reached_in[at] = [node for node in reached if node.children]
                elif any(node.ends for node in reached) or member.issym():
                    self._arrive(member, at, members)

    def _arrive(self, member: tarfile.TarInfo, path: bytes, members: "_Members") -> None:
        if member.isreg():
            self._file(path, member, members)
        elif member.islnk():
            self._same_file(path, members.path_of(member.linkname))
        elif member.issym():
            self._special(path, "link", member.linkname)
        elif member.isdir():
            self._make_folder(path)
        else:
            self._special(path, "fifo" if member.isfifo() else "device")

    def _file(self, path: bytes, member: tarfile.TarInfo, members: "_Members") -> None:
        if member.size < 0 or member.issparse():  # a few bytes of a sparse one stand for petabytes of zeros
            raise ArrivalBroken("The engine sent a file of no size.", detail=repr(path))
        descriptor = os.open(self._at(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            for piece in members.content(member):
                check_stop(self._should_stop)
                _write_or_skip(descriptor, piece)
            os.ftruncate(descriptor, member.size)
            changed_at = min(max(member.mtime, 0), _LATEST)
            os.utime(descriptor, (changed_at, changed_at))
        finally:
            os.close(descriptor)

    def _same_file(self, path: bytes, other: bytes) -> None:
        """Two names of one file: so that both are known as such, whether the other is reached by a pattern or not."""
        target = self._at(other) if other.rpartition(b"/")[0] in self._made else b""
        if not target or not os.path.lexists(target):
            self._other_names += 1
            target = os.path.join(os.path.dirname(self._into), b"name-%d" % self._other_names)
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        if stat.S_ISDIR(os.lstat(target).st_mode):
            raise ArrivalBroken("The engine sent a folder under two names.", detail=repr(path))
        os.link(target, self._at(path), follow_symlinks=False)

    def _special(self, path: bytes, kind: str, target: str = "") -> None:
        at = self._at(path)
        if kind == "link":
            os.symlink(os.fsencode(target) or b"?", at)
        elif kind == "device":
            try:
                os.mknod(at, stat.S_IFCHR | 0o600, _DEVICE_OF_NOBODY)
            except PermissionError:  # kernels before 5.8
                os.mkfifo(at, 0o600)
        else:
            os.mknod(at, (stat.S_IFSOCK if kind == "socket" else stat.S_IFIFO) | 0o600)

    def _make_folder(self, path: bytes) -> None:
        if path in self._made:
            return
        at = self._at(path)
        os.mkdir(at, 0o700)
        self._made.add(path)

    def _at(self, path: bytes) -> bytes:
        """Only in folders that were made here: so nothing on the way is a link."""
        parent = path.rpartition(b"/")[0]
        if parent not in self._made:
            raise ArrivalBroken("The engine sent a file that lies in no folder.", detail=repr(path))
        return self._into + b"/" + path


class _Members:
    """The members of one stream with their paths in the workspace; `at` is what was asked for. Close it."""

    def __init__(self, stream: Stream, at: bytes):
        self._stream, self._at, self._blocks = stream, at, _Blocks(stream)
        # Names begin with the last part of what was asked for; Podman leaves it out.
        self._prefix = at.rpartition(b"/")[2] or b"workspace"
        self._archive: tarfile.TarFile | None = None

    def close(self) -> None:
        self._stream.close()
        self._blocks.close()

    def __iter__(self) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        how = {"mode": "r|", "encoding": "utf-8", "errors": "surrogateescape"}
        with _understood(), tarfile.open(fileobj=self._blocks, **how) as self._archive:
            for member in self._archive:
                self._archive.members = []  # it would keep all of them
                yield member, self.path_of(member.name)
            self._blocks.require_end_at(self._archive.offset)

    def content(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        with _understood():
            content = self._archive.extractfile(member)
            while piece := content.read(_PIECE):
                yield piece

    def path_of(self, name: str) -> bytes:
        """Raises ArrivalBroken if the name is none of what was asked for."""
        first, *parts = os.fsencode(name).rstrip(b"/").split(b"/")
        if first not in (self._prefix, b"") or any(part in (b"", b".", b"..") for part in parts):
            raise _NotAskedFor("The engine sent a file that was not asked for.", detail=repr(name))
        return b"/".join([*([self._at] if self._at else []), *parts])


class _Blocks:
    """A stream of blocks as tarfile reads one. Blocks may have any length."""

    def __init__(self, stream: Iterable[bytes]):
        self._blocks = iter(stream)
        self._read, self._last = 0, b""

    def read(self, _: int) -> bytes:
        block = next(self._blocks, b"")
        self._read += len(block)
        self._last = (self._last + block)[-_LONGEST_END:]
        return block

    def require_end_at(self, offset: int) -> None:
        """Raises ArrivalBroken unless nothing but an archive's end, zeros, stands from there on.

        tarfile takes whatever is no header for the end, also a stream that stops between two files or an engine's words
        about why it did: files would be missing, and nobody would know.
        """
        while self.read(0):
            pass
        rest = self._read - offset
        if not _LEAST_END <= rest <= _LONGEST_END or self._last[-rest:].strip(b"\0"):
            raise ArrivalBroken("The files of the volume were not sent to their end.")

    def close(self) -> None:
        """A generator that is given up in the middle lets go of its connection only when it is closed."""
        if isinstance(self._blocks, Generator):
            self._blocks.close()


@contextmanager
def _understood() -> Iterator[None]:
    """A stream that is no archive, or ends in the middle of one. Raises ArrivalBroken."""
    try:
        yield
    except (tarfile.TarError, MemoryError, RecursionError) as error:  # headers without end are none of a volume's
        raise ArrivalBroken(f"The files of the volume could not be read to their end: {error}.") from error


def _write_or_skip(descriptor: int, piece: bytes) -> None:
    """Zeros become a hole: a file that claims a terabyte and holds a few bytes takes a few bytes here, too."""
    if len(piece) == _PIECE and piece == _ZEROS:
        os.lseek(descriptor, _PIECE, os.SEEK_CUR)
        return
    while piece:
        piece = piece[os.write(descriptor, piece) :]
