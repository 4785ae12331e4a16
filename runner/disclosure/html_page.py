"""What does a page of HTML say, to somebody who reads its lines, its tables, its charts and its attributes?

Told of each text and tag in turn. Builds the lines of the page, with a tab between the cells of a table, and has them
judged like the lines of a text file.
"""

import html
import re
from collections.abc import Iterator
from urllib.parse import unquote

from runner.disclosure.code_text import CodeWatch
from runner.disclosure.html_tokens import Token
from runner.disclosure.identifier import fold, identifiers, mentioned, named_anywhere, named_by_cell
from runner.disclosure.reading import LINE_CHARACTERS
from runner.disclosure.rules import Limits, Refusal, Rule, identifier_refusal, rows_refusal
from runner.disclosure.text_files import HeaderWatch, TextWatch, header_naming

# These part no words: "patient<b>_</b>id" reads as one. All other tags end a line, but for those in a row of a table.
_INLINE = {
    "a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins", "kbd",
    "label", "mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tspan", "tt", "u",
    "var", "wbr",
}  # fmt: skip
_INLINE_TAG = "\0"  # stands for one in a line; no text has this character
_CELLS = {"td", "th"}
_TABLE_PARTS = {"tr", "table", "thead", "tbody", "tfoot"}
_KEEP_LINES = {"pre", "textarea", "xmp", "listing"}
_FRAMES_OF_A_CHART = {"svg", "g", "defs", "clippath", "symbol", "style", "title", "desc", "lineargradient", "stop"}

# A name begins where none is going on: a long one without a value is looked at once.
_ATTRIBUTE = re.compile(r"(?<![^\s\"'/])([^\s=>\"'/]++)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>\"']++))")
# They name parts of the page: a heading "patient_id" has an anchor of that name.
_NAMES_OF_PARTS = {"id", "class", "href", "name", "for", "headers", "src", "rel", "style", "d"}
_MOST_ATTRIBUTES = 1000  # of one tag; a browser may take more, a report has 20
_LONG_VALUE = 1000
_LONGEST_CELL = 200
_SEPARATE_LINES = re.compile(r"\r\n?|\n")

_CHARACTERS_AT_ONCE = 64 * 1024
_TAGS_PER_ROW = 100


def attributes(source: str) -> Iterator[tuple[str, str]]:
    """The attributes of a tag as it is written: names in lower case, values as a browser reads them."""
    for number, found in enumerate(_ATTRIBUTE.finditer(source)):
        if number == _MOST_ATTRIBUTES:
            raise Refusal(
                Rule.UNREADABLE,
                f"The file has a tag of more than {_MOST_ATTRIBUTES:,} attributes, so it cannot be examined. "
                "Write the report with R Markdown, Quarto or Jupyter.",
            )
        name, quoted, single, bare = found.groups("")
        yield name.lower(), html.unescape(quoted or single or bare)


def attribute(source: str, name: str) -> str:
    """The value that a browser takes: the first."""
    return next((value for each, value in attributes(source) if each == name), "")


class Page:
    """Raises `Refusal` as soon as a rule is broken."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.wanted = identifiers(limits.identifier_columns)
        self.words = TextWatch(limits)  # of lines in which inline tags part no words
        self.cells = HeaderWatch(limits)  # of the same lines, cut into cells by these tags
        self.values, self.data = TextWatch(limits), CodeWatch(limits)  # of attributes
        self.lines: list[str] = []
        self.line: list[str] = []
        self.line_length = self.length = 0
        self.cell: list[str] | None = None  # what stands in the cell or <div> that was opened last
        self.in_row = self.keeps_lines = self.in_chart = False
        self.tags = self.rows = self.marks = 0

    def text(self, text: str) -> None:
        text = html.unescape(text)
        if self.in_chart:
            self._look_at_chart(text)
        elif self.in_row and not self.keeps_lines:
            self._add(_SEPARATE_LINES.sub(" ", text))
        else:
            *whole, rest = _SEPARATE_LINES.split(text)
            for line in whole:
                self._add(line)
                self._end_line()
            self._add(rest)

    def tag(self, token: Token) -> None:
        self._count(token)
        if token.text:
            self._look_at_attributes(token.text)
        if token.name in _INLINE:
            self.line.append(_INLINE_TAG)
            return
        ends_cell = token.name in _CELLS or token.name in _TABLE_PARTS
        if not self.in_row or ends_cell:
            self._end_cell()
        if not self.in_row or token.name in _TABLE_PARTS:
            self._end_line()
        else:
            self._add("\t" if ends_cell else " ")
        self._remember(token.name, opens=token.kind == "tag")

    def close(self) -> None:
        self._end_cell()
        self._end_line()
        self._look_at_lines()
        self.in_row = self.keeps_lines = self.in_chart = False

    def count_tag(self) -> None:
        self.tags += 1
        limit = self.limits.max_csv_rows * _TAGS_PER_ROW
        if self.tags > limit:
            raise rows_refusal(f"more than {limit:,} tags", limit)

    def _count(self, token: Token) -> None:
        self.count_tag()
        if token.kind == "tag":
            self.rows += token.name == "tr"
            self.marks += self.in_chart and token.name not in _FRAMES_OF_A_CHART
        limit = self.limits.max_csv_rows
        # One more than the limit may be the header.
        if self.rows > limit + 1:
            raise rows_refusal(f"more than {limit:,} table rows", limit)
        if self.marks > limit:
            raise rows_refusal(f"a chart of more than {limit:,} marks (embed it as PNG)", limit)

    def _remember(self, name: str, *, opens: bool) -> None:
        if opens and (name in _CELLS or (name == "div" and not self.in_row)):
            self.cell = []
        elif name in _TABLE_PARTS:
            self.in_row = opens and name == "tr"
        elif name in _KEEP_LINES:
            self.keeps_lines = opens
        elif name == "svg":
            self.in_chart, self.marks = opens, 0

    def _add(self, text: str) -> None:
        self.line.append(text)
        self.line_length += len(text)
        if self.cell is not None:
            self.cell.append(text)
        if self.line_length > LINE_CHARACTERS:
            self._end_line()

    def _end_cell(self) -> None:
        if self.cell is not None:
            content = "".join(self.cell).strip()
            self.cell = None
            if len(content) <= _LONGEST_CELL and (name := named_by_cell(self.wanted, content)):
                raise identifier_refusal(name, "in a cell of a table")

    def _end_line(self) -> None:
        if self.line:
            self.lines.append("".join(self.line))
            self.length += len(self.lines[-1])
            self.line, self.line_length = [], 0
        if self.length > _CHARACTERS_AT_ONCE:
            self._look_at_lines()

    def _look_at_lines(self) -> None:
        block = "\n".join(self.lines)
        self.lines, self.length = [], 0
        self.words.look_at(block.replace(_INLINE_TAG, ""))
        tabbed = re.sub(f"{_INLINE_TAG}+", "\t", block)
        self.cells.look_at(tabbed, (line.strip("\t ") for line in tabbed.split("\n")))

    def _look_at_chart(self, text: str) -> None:
        """A chart's text; each of several lines is one more mark."""
        self.marks += text.strip().count("\n")
        if found := named_anywhere(self.wanted, fold(text)):
            raise identifier_refusal(found[0], "in a text of a chart")

    def _look_at_attributes(self, source: str) -> None:
        if len(source) <= _LONG_VALUE and not mentioned(self.wanted, fold(source)):
            return
        for name, value in attributes(source):
            if name in _NAMES_OF_PARTS and not value.startswith("data:"):
                continue
            value = unquote(value) if value.startswith("data:") else value
            if found := named_by_cell(self.wanted, value) or header_naming(self.wanted, value):
                raise identifier_refusal(found, "in an attribute")
            if not value.startswith("data:"):
                self.values.look_at(value)
                self.data.feed(value)
                self.data.end_of_script()
