"""Is a JSON file well formed, and a summary rather than records?

A reader of our own instead of `json.load`, because that one builds the whole document: a hostile 16 MiB file takes
several hundred MiB. This one keeps only the open brackets, so its memory does not grow with the number of values.
"""

import json
import re
from collections.abc import Iterator

from runner.disclosure.chart_points import ChartPoints
from runner.disclosure.data_shape import MAX_DEPTH, DataShape
from runner.disclosure.encoded_numbers import EncodedNumbers
from runner.disclosure.identifier import fold, identifiers, mentioned, named_by_cell
from runner.disclosure.reading import CHUNK_BYTES, whole_lines, wrong_content
from runner.disclosure.rules import Limits, Refusal, Rule, identifier_refusal
from runner.disclosure.table_markup import TableMarkup
from runner.disclosure.text_files import TextWatch, header_naming

_MAX_TEXTS_IN_TEXTS = 3  # JSON in a string of JSON, in a string of that
# Possessive quantifiers: a string without end is given up at once instead of being tried in all ways.
_TOKEN = re.compile(
    r"[ \t\r\n]*+(?:(?P<mark>[{}\[\],:])"
    r'|(?P<string>"(?:[^"\\\x00-\x1f]++|\\.)*+")'
    r"|(?P<scalar>(?:-?(?:0|[1-9]\d*+)(?:\.\d++)?(?:[eE][-+]?\d++)?|true|false|null|NaN|-?Infinity)(?![\w.+-])))",
    re.ASCII,
)
_LONGEST_WORD = 100  # characters; in longer strings without an end of line there may be a table too
_TAG = re.compile(r"<[a-zA-Z/][^<>]*+>")  # the courses of curves in it are no values
_MOST_MENTIONS = 3000
_BLANK = re.compile(r"[ \t\r\n]*")
_LINE_ENDS = ("\n", "\r")


def check_json(pieces: Iterator[str], limits: Limits) -> None:
    """Raises `Refusal` for what is no JSON, names an identifier, or has more rows in any form than a CSV may have."""
    reader = JsonReader(limits)
    for piece in pieces:
        reader.feed(piece)
    reader.close()


class JsonReader:
    """One JSON document, fed piece by piece; raises `Refusal` as soon as a rule is broken."""

    def __init__(self, limits: Limits, depth: int = 0):
        self.grammar = _Grammar(limits, depth)
        self.held: list[str] = []  # read, and waiting until there is enough to go on
        self.held_length = 0
        self.wanted_length = 0

    def feed(self, piece: str) -> None:
        self.held.append(piece)
        self.held_length += len(piece)
        if self.held_length > self.wanted_length:
            self._read(more=True)

    def close(self) -> None:
        self._read(more=False)
        self.grammar.numbers.end()
        if not self.grammar.finished:
            raise wrong_content("JSON", "not well-formed JSON (it is empty or ends too early)")

    def _read(self, *, more: bool) -> None:
        """Reads the tokens of what is held. A token that touches its end is read again with more text."""
        text, position = "".join(self.held), 0
        while (match := _TOKEN.match(text, position)) and (match.end() < len(text) or not more):
            position = match.end()
            self.grammar.take(match.lastgroup or "", match[match.lastgroup or 0])
        if not more and not _BLANK.fullmatch(text, position):
            raise wrong_content("JSON", "not well-formed JSON")
        rest = text[position:]
        self.held, self.held_length = [rest], len(rest)
        # Twice as much, so that a long string is not read again for each piece; what is wrong at once is told at once.
        self.wanted_length = 2 * len(rest)


class _Grammar:
    """JSON's grammar (RFC 8259) as a table of what may come next, with a stack of the open lists and objects."""

    def __init__(self, limits: Limits, depth: int):
        self.limits = limits
        self.depth = depth
        self.wanted = identifiers(limits.identifier_columns)
        self.shape, self.points = DataShape(limits), ChartPoints(limits)
        self.texts, self.tables = TextWatch(limits), TableMarkup(limits)
        self.mentions = 0  # strings with the name of an identifier in them
        self.key = ""
        self.numbers = EncodedNumbers(limits)
        self.open: list[str] = []
        self.expects = "value"

    @property
    def finished(self) -> bool:
        return self.expects == "nothing"

    def take(self, kind: str, token: str) -> None:
        is_key = self.expects in ("key", "key or }")
        if kind == "string":
            self._look_at_string(token, is_key=is_key)
        if kind != "mark" and self.expects in ("value", "value or ]"):
            self.shape.value()
            self._after_value()
        elif kind == "string" and is_key:
            self.expects = ":"
        elif kind != "mark" or not self._take_mark(token):
            raise wrong_content("JSON", "not well-formed JSON")

    def _take_mark(self, mark: str) -> bool:
        """False if the mark may not stand here."""
        if mark in "[{" and self.expects in ("value", "value or ]"):
            self._enter(mark)
        elif mark in "]}" and self.expects.endswith(mark):
            self.open.pop()
            self.points.leave(self.shape.leave())
            self._after_value()
        elif mark == ":" and self.expects == ":":
            self.expects = "value"
        elif mark == "," and self.expects.startswith(","):
            self.shape.comma()
            self.expects = "value" if self.open[-1] == "[" else "key"
        else:
            return False
        return True

    def _enter(self, bracket: str) -> None:
        if len(self.open) == MAX_DEPTH:
            raise wrong_content("JSON", f"JSON with more than {MAX_DEPTH} lists or objects inside each other")
        self.open.append(bracket)
        self.shape.enter(bracket)
        self.points.enter(bracket, self.key)
        self.expects = "value or ]" if bracket == "[" else "key or }"

    def _after_value(self) -> None:
        self.expects = "nothing" if not self.open else ", or ]" if self.open[-1] == "[" else ", or }"

    def _look_at_string(self, token: str, *, is_key: bool) -> None:
        content = token[1:-1]
        if "\\" in token:
            try:
                content = json.loads(token)
            except ValueError as error:
                raise wrong_content("JSON", "not well-formed JSON (a wrong escape in a string)") from error
        has_name = mentioned(self.wanted, fold(content))
        if has_name:
            self._refuse_name(content)
        if is_key:
            self.key = content
        elif self.numbers.take(self.key, content):
            self.points.encoded(self.numbers.counted)
            return
        else:
            self.points.text(self.key, content)
        self._look_inside(content, has_name=has_name)

    def _refuse_name(self, content: str) -> None:
        self.mentions += 1
        name = named_by_cell(self.wanted, content) or header_naming(self.wanted, content)
        if self.mentions > _MOST_MENTIONS:
            name = self.wanted[0].name
        if name:
            raise identifier_refusal(name, "as the name of a value")

    def _look_inside(self, content: str, *, has_name: bool) -> None:
        """A string may be a table, of one line or several or in HTML, or JSON itself."""
        is_long = len(content) > min(_LONGEST_WORD, 2 * self.limits.max_csv_rows)
        if "<" in content:
            self.tables.look_at(fold(content))
        if is_long or any(mark in content for mark in _LINE_ENDS):
            text = _TAG.sub(" ", content) if "<" in content else content
            for block in whole_lines(text[at : at + CHUNK_BYTES] for at in range(0, len(text), CHUNK_BYTES)):
                self.texts.look_at(block)
        may_be_json = content.lstrip()[:1] in ("[", "{") and (is_long or has_name)
        if may_be_json and self.depth < _MAX_TEXTS_IN_TEXTS:
            inner = JsonReader(self.limits, self.depth + 1)
            try:
                inner.feed(content)
                inner.close()
            except Refusal as refusal:
                if refusal.rule != Rule.CONTENT_TYPE:
                    raise
