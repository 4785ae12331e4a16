"""Is a text (.txt, .log, .md) plainly a table of people under another name?

Prose and logs may *mention* an identifier, and must: "dropped 3 rows without patient_id". What is refused is an
identifier at the head of a column of figures or before a row of them, and more record-like lines than a CSV may have.
"""

import re
from collections.abc import Iterable, Iterator

from runner.disclosure.csv_files import DELIMITERS
from runner.disclosure.identifier import fold, identifiers, mentioned, named_by_cell
from runner.disclosure.reading import whole_lines
from runner.disclosure.rules import Limits, identifier_refusal, rows_refusal

# Loggers write milliseconds after a comma, which parts no cells.
_TIMESTAMP = re.compile(r"^\W{0,3}\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?")
_DIGIT = re.compile(r"\d")
# A value such as 1001 or "-3", not a name such as age_2020.
_FIGURE = re.compile(r"[\s\"'+\-]*\d")
# R Markdown writes "##" before what R printed; rules such as |---|---| stand between a header and its rows.
_PRINTED_BY_R = re.compile(r"^#+ ")
_RULE_LINE = re.compile(r"[\s|+=:\-]*")
_BLANKS_OR_BORDERS = re.compile(r"[\s|]+")
_COLUMN_NAMES = re.compile(r"[\w.\-\"' ]*")


def check_text(pieces: Iterator[str], limits: Limits) -> None:
    """Raises `Refusal` where the text plainly is a table that a CSV check would refuse. Reads `pieces` once."""
    watch = HeaderWatch(limits)
    records = 0
    for block in whole_lines(pieces):
        lines = block.splitlines()
        watch.look_at(block, lines)
        records += sum(map(reads_as_record, lines))
        # One more than the limit may be the header.
        if records > limits.max_csv_rows + 1:
            found = f"more than {limits.max_csv_rows:,} lines that read as the rows of a table"
            raise rows_refusal(found, limits.max_csv_rows)


def reads_as_record(line: str) -> bool:
    """True for a line made of cells (few words between delimiters) or mostly of words with a digit in them."""
    line = _TIMESTAMP.sub("", line, count=1)
    words = line.split()
    if not words or _RULE_LINE.fullmatch(line):
        return False
    cells = 1 + max(map(line.count, DELIMITERS))
    if cells > 1 and len(words) <= 2 * cells:
        return True
    return _DIGIT.search(line) is not None and 2 * sum(1 for word in words if _DIGIT.search(word)) > len(words)


class HeaderWatch:
    """Looks for an identifier that heads a column of figures or begins a row of them; fed block by block."""

    def __init__(self, limits: Limits):
        self.wanted = identifiers(limits.identifier_columns)
        self.heads: list[tuple[str | None, int, int]] = []  # delimiter (None: blanks), column from the right, cells
        self.name = ""

    def look_at(self, block: str, lines: Iterable[str]) -> None:
        """Raises `Refusal` if a column or row of figures is named so. `lines` are the block's."""
        if self.heads or mentioned(self.wanted, fold(block)):
            for line in lines:
                self._look_at_line(_PRINTED_BY_R.sub("", line.strip()))

    def _look_at_line(self, line: str) -> None:
        if _RULE_LINE.fullmatch(line):
            return
        if any(_has_figure_below(head, line) for head in self.heads):
            raise identifier_refusal(self.name, "at the head of a column of a table")
        self.heads = []
        if mentioned(self.wanted, fold(line)):
            self._remember_heads(line)

    def _remember_heads(self, line: str) -> None:
        for delimiter in (*(mark for mark in DELIMITERS if mark in line), None):
            cells = _cells(line, delimiter)
            names = [named_by_cell(self.wanted, cell) for cell in cells]
            if not any(names):
                continue
            place = next(number for number, name in enumerate(names) if name)
            self.name = names[place] or ""
            figures = cells[place + 1 :]
            if delimiter and len(figures) > 1 and all(map(_FIGURE.match, figures)):
                raise identifier_refusal(self.name, "before a row of figures")
            if delimiter or all(map(_COLUMN_NAMES.fullmatch, cells)):
                self.heads.append((delimiter, len(cells) - place, len(cells)))


def _cells(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return _BLANKS_OR_BORDERS.split(line.strip(" \t|"))
    # A table's border is no cell, but the comma at the end of a line of code is: code has nothing behind it.
    return line.strip("| ").split(delimiter) if delimiter == "|" else line.split(delimiter)


def _has_figure_below(head: tuple[str | None, int, int], line: str) -> bool:
    """Columns are counted from the right, because printed tables number their rows in an unnamed first column."""
    delimiter, from_right, width = head
    cells = _cells(line, delimiter)
    return width <= len(cells) <= width + 1 and _FIGURE.match(cells[-from_right]) is not None
