"""What does a page of HTML say, to somebody who reads its lines, its tables, its charts and its attributes?

Told of each text and tag in turn. Builds the lines of the page, with a tab between the cells of a table, and has them
judged like the lines of a text file.
"""

import html
import re

from runner.disclosure.html_attributes import AttributeWatch
from runner.disclosure.html_tokens import Token
from runner.disclosure.identifier import identifiers, named_by_cell
from runner.disclosure.marks import Marks
from runner.disclosure.reading import LINE_CHARACTERS
from runner.disclosure.rules import Limits, identifier_refusal, rows_refusal
from runner.disclosure.text_files import HeaderWatch, TextWatch

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
_LONGEST_CELL = 200
_SEPARATE_LINES = re.compile(r"\r\n?|\n")

_CHARACTERS_AT_ONCE = 64 * 1024
_TAGS_PER_ROW = 100


class Page:
    """Raises `Refusal` as soon as a rule is broken."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.wanted = identifiers(limits.identifier_columns)
        self.words = TextWatch(limits)  # of lines in which inline tags part no words
        self.cells = HeaderWatch(limits)  # of the same lines, cut into cells by these tags
        self.attributes = AttributeWatch(limits)
        self.lines: list[str] = []
        self.line: list[str] = []
        self.line_length = self.length = 0
        self.cell: list[str] | None = None  # what stands in the cell or <div> that was opened last
        self.in_row = self.keeps_lines = False
        self.charts_open = 0  # charts inside each other
        self.marks = Marks(limits)  # of the outermost
        self.tags = self.rows = self.charts = 0

    def text(self, text: str) -> None:
        text = html.unescape(text)
        if self.charts_open:
            self.marks.text(text)
        elif self.in_row and not self.keeps_lines:
            self._add(_SEPARATE_LINES.sub(" ", text))
        else:
            *whole, rest = _SEPARATE_LINES.split(text)
            for line in whole:
                if line:
                    self._add(line)
                self._end_line()
            self._add(rest)

    def tag(self, token: Token) -> None:
        self._count(token)
        if self.charts_open or token.name == "svg":
            self._take_chart(token)
        else:
            self.attributes.look_at(token)
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
        self._end_chart()
        self.in_row = self.keeps_lines = False

    def count_tag(self) -> None:
        self.tags += 1
        limit = self.limits.max_csv_rows * _TAGS_PER_ROW
        if self.tags > limit:
            raise rows_refusal(f"more than {limit:,} tags", limit)

    def _count(self, token: Token) -> None:
        self.count_tag()
        if token.kind == "tag":
            self.rows += token.name == "tr"
            self.charts += token.name == "svg" and not self.charts_open
        limit = self.limits.max_csv_rows
        # One more than the limit may be the header.
        if self.rows > limit + 1:
            raise rows_refusal(f"more than {limit:,} table rows", limit)
        if self.charts > limit:
            raise rows_refusal(f"more than {limit:,} charts", limit)

    def _take_chart(self, token: Token) -> None:
        """A chart within a page is judged like an SVG file; one within a chart is a part of it."""
        self.marks.look_at_text(self.marks.text_before(token.name))
        self.attributes.look_at_chart(token, self.marks)
        if token.name != "svg":
            return
        if token.kind == "tag":
            self.charts_open += not token.text.rstrip().endswith("/")
        elif self.charts_open == 1:
            self._end_chart()
        elif self.charts_open:
            self.charts_open -= 1

    def _end_chart(self) -> None:
        self.marks.look_at_text(self.marks.text_before("svg"))
        self.charts_open, self.marks = 0, Marks(self.limits)

    def _remember(self, name: str, *, opens: bool) -> None:
        if opens and (name in _CELLS or (name == "div" and not self.in_row)):
            self.cell = []
        elif name in _TABLE_PARTS:
            self.in_row = opens and name == "tr"
        elif name in _KEEP_LINES:
            self.keeps_lines = opens

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
