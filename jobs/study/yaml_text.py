"""YAML text -> plain data that remembers its lines, within limits of size, depth and work. Whatever the input.

The parser is libyaml's, through PyYAML: 10,000 actions in a fraction of a second, where parsers in Python take ten.
Only its *events* are used, which it makes without recursion; data is built here, on a stack of our own. So the depth is
known before anything deep exists, and an alias is weighed before anybody walks through what it stands for: nothing can
end the process, and "billion laughs" is refused at once.
"""

import re
from typing import NoReturn

import yaml
from yaml import CBaseLoader

from jobs.study.errors import ProjectError, shown
from jobs.study.scalars import plain_value, tagged_value

MOST_BYTES = 5_000_000
MOST_DEPTH = 50
# Keys and values, aliases counted as often as they are used.
MOST_NODES = 500_000
# Their characters, again as often as they are used.
MOST_CHARACTERS = 20_000_000

_NOTHING = object()
_MERGE = object()
# What YAML calls printable, and the marks that begin a file; the rest has no place in a text file.
_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COLLECTION_TAGS = {None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Mapping(dict):
    """A dictionary that knows at which line of the file it and each of its keys stand, counted from 1."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int):
        super().__init__()
        self.line = line
        self.lines: dict[object, int] = {}


def read_yaml(text: str | bytes, *, filename: str) -> object:
    """The one document of the text: Mapping, list, str, int, float, bool, Timestamp or None.

    Raises ProjectError, which names file and line, for what is not YAML, has a key twice, an unsupported tag, or is
    beyond the limits above.
    """
    builder = _Builder(filename)
    decoded = _decoded(text, filename)
    if found := _UNPRINTABLE.search(decoded):
        line = 1 + decoded.count("\n", 0, found.start())
        raise ProjectError(f"{filename} line {line}: holds the control character U+{ord(found[0]):04X}: remove it.")
    loader = CBaseLoader(decoded)
    try:
        while not isinstance(event := loader.get_event(), yaml.StreamEndEvent):
            builder.take(event)
    except yaml.YAMLError as error:
        raise ProjectError(_explained(error, filename)) from error
    finally:
        loader.dispose()
    return builder.document


def _decoded(text: str | bytes, filename: str) -> str:
    if not isinstance(text, str | bytes):
        raise ProjectError(f"{filename}: must be text, not {type(text).__name__}.")
    if len(text) > MOST_BYTES:
        raise ProjectError(f"{filename}: is longer than the limit of {MOST_BYTES:,} bytes.")
    try:
        if isinstance(text, bytes):
            encoding = "utf-16" if text.startswith(_UTF_16_MARKS) else "utf-8"
            return text.decode(encoding).removeprefix("\ufeff")
        text.encode()
        return text.removeprefix("\ufeff")
    except UnicodeError as error:
        before = text[: error.start]
        line = 1 + before.count("\n" if isinstance(before, str) else b"\n")
        raise ProjectError(
            f"{filename} line {line}: holds what is not text in UTF-8: save the file as UTF-8."
        ) from None


class _Frame:
    """A list or dictionary that is being read."""

    __slots__ = ("anchor", "characters", "holder", "key", "key_line", "line", "merge_line", "merged", "nodes")

    def __init__(self, holder: list | Mapping, line: int, anchor: str | None):
        self.holder, self.line, self.anchor = holder, line, anchor
        self.key, self.key_line = _NOTHING, line
        self.merged: list[Mapping] = []
        self.merge_line: int | None = None
        self.nodes, self.characters = 1, 0


class _Builder:
    """Takes the parser's events, one by one, and builds the document."""

    def __init__(self, filename: str):
        self.filename = filename
        self.document: object = None
        self._documents = 0
        self._frames: list[_Frame] = []
        self._nodes = self._characters = 0
        # Name -> value, nodes, characters; None while the value is still being read.
        self._anchors: dict[str, tuple[object, int, int] | None] = {}
        self._handlers = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._open_mapping,
            yaml.SequenceStartEvent: self._open_sequence,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceEndEvent: self._close,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._start_document,
        }

    def take(self, event: yaml.Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _start_document(self, event: yaml.Event) -> None:
        self._documents += 1
        if self._documents > 1:
            self._refuse(_line(event), "a second document begins here: only one is allowed, so remove the '---'.")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        text, is_plain = event.value, event.implicit[0]
        line = _line(event)
        try:
            value = plain_value(text) if is_plain else text
            if event.tag is not None:
                value = tagged_value(event.tag, text)
        except ValueError as error:
            self._refuse(line, f"{error}.")
        if is_plain and text == "<<" and self._awaits_key():
            value = _MERGE
        self._weigh(line, 1, len(text))
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1, len(text))
        self._put(value, line, 1, len(text))

    def _awaits_key(self) -> bool:
        return bool(self._frames) and self._frames[-1].key is _NOTHING and isinstance(self._frames[-1].holder, Mapping)

    def _open_mapping(self, event: yaml.MappingStartEvent) -> None:
        self._open(event, Mapping(_line(event)))

    def _open_sequence(self, event: yaml.SequenceStartEvent) -> None:
        self._open(event, [])

    def _open(self, event: yaml.CollectionStartEvent, holder: list | Mapping) -> None:
        line = _line(event)
        if len(self._frames) >= MOST_DEPTH:
            self._refuse(line, f"is nested more than {MOST_DEPTH} levels deep.")
        if event.tag not in _COLLECTION_TAGS:
            self._refuse(line, f"the tag {event.tag} is not supported: remove it.")
        if self._awaits_key():
            self._refuse(line, "a key must be a single word or text, not a list or dictionary.")
        self._weigh(line, 1, 0)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._frames.append(_Frame(holder, line, event.anchor))

    def _close(self, event: yaml.Event) -> None:
        frame = self._frames.pop()
        for mapping in frame.merged:
            for key, value in mapping.items():
                if key not in frame.holder:
                    frame.holder[key] = value
                    frame.holder.lines[key] = mapping.lines[key]
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (frame.holder, frame.nodes, frame.characters)
        self._put(frame.holder, frame.line, frame.nodes, frame.characters)

    def _alias(self, event: yaml.AliasEvent) -> None:
        line, name = _line(event), event.anchor
        if name not in self._anchors:
            self._refuse(line, f"the alias {shown('*' + name)} has no anchor {shown('&' + name)} before it.")
        if self._anchors[name] is None:
            self._refuse(line, f"the anchor {shown('&' + name)} contains itself.")
        value, nodes, characters = self._anchors[name]
        self._weigh(line, nodes, characters)
        if self._awaits_key() and isinstance(value, list | dict):
            self._refuse(line, "a key must be a single word or text, not a list or dictionary.")
        self._put(value, line, nodes, characters)

    def _weigh(self, line: int, nodes: int, characters: int) -> None:
        self._nodes += nodes
        self._characters += characters
        if self._nodes > MOST_NODES or self._characters > MOST_CHARACTERS:
            self._refuse(
                line, f"holds more than {MOST_NODES:,} values or {MOST_CHARACTERS:,} characters, aliases counted."
            )

    def _put(self, value: object, line: int, nodes: int, characters: int) -> None:
        if not self._frames:
            self.document = value
            return
        frame = self._frames[-1]
        frame.nodes += nodes
        frame.characters += characters
        if isinstance(frame.holder, list):
            frame.holder.append(value)
        elif frame.key is _NOTHING:
            self._take_key(frame, value, line)
        else:
            self._take_value(frame, value, line)

    def _take_key(self, frame: _Frame, key: object, line: int) -> None:
        first = frame.merge_line if key is _MERGE else frame.holder.lines.get(key)
        if first is not None:
            name = "<<" if key is _MERGE else key
            self._refuse(line, f"the key {shown(name)} is there twice: it stands at line {first} too. Remove one.")
        if key is _MERGE:
            frame.merge_line = line
        frame.key, frame.key_line = key, line

    def _take_value(self, frame: _Frame, value: object, line: int) -> None:
        key, frame.key = frame.key, _NOTHING
        if key is not _MERGE:
            frame.holder[key] = value
            frame.holder.lines[key] = frame.key_line
            return
        merged = value if isinstance(value, list) else [value]
        if not all(isinstance(each, Mapping) for each in merged):
            self._refuse(line, "'<<' must be followed by an alias of a dictionary, or a list of such aliases.")
        frame.merged += merged

    def _refuse(self, line: int, problem: str) -> NoReturn:
        raise ProjectError(f"{self.filename} line {line}: {problem}")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1


def _explained(error: yaml.YAMLError, filename: str) -> str:
    """libyaml's problem with its line, and what it most often means."""
    parts = [getattr(error, name, None) for name in ("context", "problem", "reason")]
    problem = " ".join(str(part) for part in parts if part) or "it cannot be read"
    mark = getattr(error, "problem_mark", None)
    place = f"{filename} line {mark.line + 1}" if mark else filename
    return f"{place}: is not valid YAML: {problem}.{_hint(problem)}"


def _hint(problem: str) -> str:
    if "tab" in problem or "cannot start any token" in problem:
        return " Indent with spaces, not tabs, and put text that begins with a special character in quotes."
    if "mapping values are not allowed" in problem:
        return " Put text that contains ': ' in quotes, and check the indentation."
    return " Check the indentation, colons and quotes there and in the lines before."
