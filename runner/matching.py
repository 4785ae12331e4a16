"""Which files of a job's folder the patterns of its action promise. Nothing is followed and nothing is changed.

Only `*` is a wildcard; it stands for any characters, a leading dot too, within one part of a path (as pathlib's glob
has it). All patterns are matched in one walk that reads each folder once, and only folders that a pattern can reach.
Knows nothing of the database, storage or Docker.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from jobs.levels import PRIVACY_LEVELS
from jobs.log import escape
from jobs.study.patterns import RESERVED_FOLDERS
from jobs.text import UNSAFE_CHARACTERS
from runner.workspaces.files import OF_THE_JOBS_FILE, open_beneath, opened_folder, why_not_opened, why_not_ordinary

# Ours, or git's: an output must never replace them in storage.
RESERVED = tuple(map(os.fsencode, RESERVED_FOLDERS))
# Bytes. PostgreSQL has an index on it, whose rows hold 2,704 at most.
_LONGEST_STORED_PATH = 1024


@dataclass(frozen=True)
class MatchedFile:
    """A plain file that a pattern promises: its bytes on disk, the name it is stored under, the level it gets."""

    path: bytes
    stored_name: str
    level: str


@dataclass(frozen=True)
class Refused:
    """Something that a pattern matched and that is not stored; `reason` follows the name in a sentence."""

    shown_name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.shown_name} {self.reason}"


@dataclass(frozen=True)
class Matched:
    """What was found; `unmatched` are patterns without a file, `near` what their author may have meant."""

    files: list[MatchedFile]
    unmatched: list[str]
    refused: list[Refused]
    near: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Node:
    """One part of the patterns, as a tree: what may come next, and the patterns that end here.

    `wildcards` are those of the children whose name holds a wildcard; `matching` all that a name reaches.
    """

    children: dict[bytes, "Node"] = field(default_factory=dict)
    ends: list[tuple[str, str]] = field(default_factory=list)  # pattern, level

    @cached_property
    def wildcards(self) -> list[tuple[re.Pattern, "Node"]]:
        return [(_as_regex(part), child) for part, child in self.children.items() if b"*" in part]

    def matching(self, name: bytes) -> Iterator["Node"]:
        literal = self.children.get(name)
        if literal is not None:
            yield literal
        yield from (child for regex, child in self.wildcards if regex.fullmatch(name))


def match(workspace_folder: Path, output_spec: Mapping[str, Mapping[str, str]]) -> Matched:
    """Find the files that `output_spec` (level -> name -> pattern) promises.

    A file that patterns of two levels match gets the more sensitive one. `near` is left empty: see `runner.near`.
    Raises OSError if the folder itself cannot be read.
    """
    walk = _Walk(pattern_tree(output_spec))
    with opened_folder(workspace_folder) as root_fd:
        walk.run(root_fd)
    files, refused = _stored(walk.found)
    patterns = dict.fromkeys(pattern for spec in output_spec.values() for pattern in spec.values())
    stored_paths = {file.path for file in files}
    matched = {pattern for path in stored_paths for pattern, _ in walk.found[path]}
    unmatched = [pattern for pattern in patterns if pattern not in matched]
    return Matched(files, unmatched, sorted(walk.refused + refused, key=str))


def shown(path: bytes) -> str:
    """A path for people: whatever bytes it has, on one line."""
    return escape(os.fsdecode(path))


def stored_name(path: bytes) -> str:
    """The path as storage, database, manifest and log know it: bytes that no text should hold are written %XX."""
    text = path.decode("utf-8", "surrogateescape")
    if text.isprintable():
        return text
    return UNSAFE_CHARACTERS.sub(lambda found: _percent(found[0]), text)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def pattern_tree(output_spec: Mapping[str, Mapping[str, str]]) -> Node:
    """The root of all patterns of an action: level -> name -> pattern."""
    root = Node()
    for level, patterns in output_spec.items():
        for pattern in patterns.values():
            node = root
            for part in os.fsencode(pattern).split(b"/"):
                node = node.children.setdefault(part, Node())
            node.ends.append((pattern, level))
    return root


def _as_regex(part: bytes) -> re.Pattern:
    return re.compile(b"[^/]*".join(map(re.escape, re.split(rb"\*+", part))))


class _Walk:
    """One pass over the folders that the patterns reach."""

    def __init__(self, root: Node):
        self.waiting: list[tuple[bytes, list[Node]]] = [(b"", [root])]
        self.found: dict[bytes, list[tuple[str, str]]] = {}  # path -> (pattern, level)
        self.refused: list[Refused] = []

    def run(self, root_fd: int) -> None:
        while self.waiting:
            folder, nodes = self.waiting.pop()
            try:
                folder_fd = open_beneath(root_fd, folder, os.O_RDONLY | os.O_DIRECTORY)
            except OSError as error:
                if error.errno not in OF_THE_JOBS_FILE:
                    raise
                self._refuse(folder, why_not_opened(error))
                continue
            try:
                self._read(folder, folder_fd, nodes)
            finally:
                os.close(folder_fd)

    def _read(self, folder: bytes, folder_fd: int, nodes: list[Node]) -> None:
        with os.scandir(folder_fd) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                reached = [child for node in nodes for child in node.matching(name)]
                if reached:
                    path = folder + b"/" + name if folder else name
                    self._look_at(path, entry.stat(follow_symlinks=False), reached)

    def _look_at(self, path: bytes, status: os.stat_result, reached: list[Node]) -> None:
        if path in RESERVED:
            self._refuse(path, "is reserved for the job runner and git")
            return
        ends = [end for node in reached for end in node.ends]
        inner = [node for node in reached if node.children]
        if stat.S_ISDIR(status.st_mode):
            if inner:
                self.waiting.append((path, inner))
            if any("*" not in pattern for pattern, _ in ends):
                self._refuse(path, "is a folder; only files can be outputs")
        elif ends or stat.S_ISLNK(status.st_mode):
            reason = why_not_ordinary(status)
            if reason:
                self._refuse(path, reason)
            else:
                self.found[path] = ends

    def _refuse(self, path: bytes, reason: str) -> None:
        self.refused.append(Refused(shown(path), reason))


def _stored(found: dict[bytes, list[tuple[str, str]]]) -> tuple[list[MatchedFile], list[Refused]]:
    """Names and levels; of two files that would be stored under one name only the one that needs no escape stays."""
    files: dict[str, MatchedFile] = {}
    refused = []
    # A name that stays as it is comes before one that has to be changed.
    names = {path: stored_name(path) for path in found}
    for path in sorted(names, key=lambda path: (names[path] != os.fsdecode(path), path)):
        name = names[path]
        level = min((level for _, level in found[path]), key=PRIVACY_LEVELS.index)
        if name in files:
            refused.append(Refused(shown(path), f"would be stored as {name}, a name that another output has"))
        elif len(name.encode()) > _LONGEST_STORED_PATH:
            refused.append(Refused(shown(path), f"has a path of over {_LONGEST_STORED_PATH:,} bytes; shorten it"))
        else:
            files[name] = MatchedFile(path, name, level)
    return [files[name] for name in sorted(files)], refused
