"""Is a JSON file well formed, and a summary rather than records?

A reader of our own instead of `json.load`, because that one builds the whole document: a hostile 16 MiB file takes
several hundred MiB. This one keeps only the open brackets, so its memory does not grow with the number of values.
"""

import json
import re
from collections.abc import Iterator

from runner.disclosure.identifier import identifiers, named_by_cell
from runner.disclosure.reading import wrong_content
from runner.disclosure.rules import Limits, Refusal, identifier_refusal, rows_refusal

_MAX_DEPTH = 200
# A table of as many rows as allowed with so many columns; more cannot be a summary and costs too much to look at.
_VALUES_PER_ROW = 100
# Possessive quantifiers: a string without end is given up at once instead of being tried in all ways.
_TOKEN = re.compile(
    r"[ \t\r\n]*+(?:(?P<mark>[{}\[\],:])"
    r'|(?P<string>"(?:[^"\\\x00-\x1f]++|\\.)*+")'
    r"|(?P<scalar>(?:-?(?:0|[1-9]\d*+)(?:\.\d++)?(?:[eE][-+]?\d++)?|true|false|null|NaN|-?Infinity)(?![\w.+-])))",
    re.ASCII,
)
_BLANK = re.compile(r"[ \t\r\n]*")


def check_json(pieces: Iterator[str], limits: Limits) -> None:
    """Raises `Refusal` for what is no JSON, names an identifier, or has a list or object longer than a CSV may be."""
    reader = _Reader(limits)
    for kind, token in _tokens(pieces):
        reader.take(kind, token)
    if not reader.finished:
        raise wrong_content("JSON", "not well-formed JSON (it is empty or ends too early)")


def _tokens(pieces: Iterator[str]) -> Iterator[tuple[str, str]]:
    """(kind, text) of each token. A token that touches the end of what was read is read again with more text."""
    text, position, more = "", 0, True
    while True:
        match = _TOKEN.match(text, position)
        if more and (match is None or match.end() == len(text)):
            text, more = _lengthened(text[position:], pieces)
            position = 0
        elif match:
            position = match.end()
            yield match.lastgroup or "", match[match.lastgroup or 0]
        elif _BLANK.fullmatch(text, position):
            return
        else:
            raise wrong_content("JSON", "not well-formed JSON")


def _lengthened(text: str, pieces: Iterator[str]) -> tuple[str, bool]:
    """At least twice as long, so that a long string is not read again for each piece; and whether more may come."""
    parts, wanted = [text], 2 * len(text) + 1
    length = len(text)
    for piece in pieces:
        parts.append(piece)
        length += len(piece)
        if length >= wanted:
            return "".join(parts), True
    return "".join(parts), False


class _Reader:
    """JSON's grammar (RFC 8259) as a table of what may come next, with a stack of the open lists and objects."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.wanted = identifiers(limits.identifier_columns)
        self.open: list[str] = []
        self.members: list[int] = []  # so far, of each open list or object
        self.expects = "value"
        self.values = 0

    @property
    def finished(self) -> bool:
        return self.expects == "nothing"

    def take(self, kind: str, token: str) -> None:
        if kind == "string":
            self._check_string(token)
        if kind != "mark" and self.expects in ("value", "value or ]"):
            self._after_value()
        elif kind == "string" and self.expects in ("key", "key or }"):
            self.expects = ":"
        elif kind != "mark" or not self._take_mark(token):
            raise wrong_content("JSON", "not well-formed JSON")

    def _take_mark(self, mark: str) -> bool:
        """False if the mark may not stand here."""
        if mark in "[{" and self.expects in ("value", "value or ]"):
            self._enter(mark)
        elif mark in "]}" and self.expects.endswith(mark):
            self.open.pop()
            self.members.pop()
            self._after_value()
        elif mark == ":" and self.expects == ":":
            self.expects = "value"
        elif mark == "," and self.expects.startswith(","):
            self._count_member()
            self.expects = "value" if self.open[-1] == "[" else "key"
        else:
            return False
        return True

    def _enter(self, bracket: str) -> None:
        if len(self.open) == _MAX_DEPTH:
            raise wrong_content("JSON", f"JSON with more than {_MAX_DEPTH} lists or objects inside each other")
        self.open.append(bracket)
        self.members.append(1)
        self.expects = "value or ]" if bracket == "[" else "key or }"

    def _after_value(self) -> None:
        self.values += 1
        if self.values > self.limits.max_csv_rows * _VALUES_PER_ROW:
            raise self._too_many("values", self.limits.max_csv_rows * _VALUES_PER_ROW)
        self.expects = "nothing" if not self.open else ", or ]" if self.open[-1] == "[" else ", or }"

    def _count_member(self) -> None:
        self.members[-1] += 1
        if self.members[-1] > self.limits.max_csv_rows:
            raise self._too_many("members in one list or object", self.limits.max_csv_rows)

    def _too_many(self, what: str, limit: int) -> Refusal:
        return rows_refusal(f"more than {limit:,} {what}", limit)

    def _check_string(self, token: str) -> None:
        content = token[1:-1]
        if "\\" in token:
            try:
                content = json.loads(token)
            except ValueError as error:
                raise wrong_content("JSON", "not well-formed JSON (a wrong escape in a string)") from error
        if name := named_by_cell(self.wanted, content):
            raise identifier_refusal(name, "as the name of a value")
