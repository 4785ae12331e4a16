"""Is a CSV a summary, or one row per person?

Three questions, none of which trusts the file's own idea of its shape: how many physical lines has it (a quoted line
end hides no row), how many cells has a line under any usual delimiter (a table turned on its side hides no row either),
and does any cell or word name an identifier. The CSV parser only counts columns and refuses what a reviewer's program
could not read. Cells that begin with `=` are no matter of disclosure and are not looked for.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from runner.disclosure.encoded import refuse_encoded
from runner.disclosure.identifier import fold, identifiers, named_anywhere
from runner.disclosure.reading import LINE_CHARACTERS, whole_lines, wrong_content
from runner.disclosure.rules import Limits, Refusal, Rule, identifier_refusal, rows_refusal

DELIMITERS = (",", ";", "\t", "|")
# So many lines show which delimiter a file uses, title lines before the header included.
_LINES_TO_JUDGE = 50
_DIGIT = re.compile(r"\d")
_MARKUP = re.compile(r"\s*<[!?a-z]", re.IGNORECASE)


def check_csv(pieces: Iterator[str], limits: Limits) -> tuple[int, int]:
    """Rows (without the header) and columns of an allowed CSV; raises `Refusal`. Reads `pieces` once."""
    blocks = whole_lines(pieces)
    first = next(blocks, "")
    if _MARKUP.match(first):
        raise wrong_content("CSV", "HTML or XML")
    scan = _Scan(limits)
    columns = _widest_row(scan.lines(chain([first], blocks)), _delimiter(first))
    rows = max(0, scan.filled_lines - 1)
    if scan.identifier:
        raise identifier_refusal(*scan.identifier, rows, columns)
    if rows > limits.max_csv_rows:
        raise rows_refusal(f"{rows:,} rows", limits.max_csv_rows, rows, columns)
    widest = max(columns, scan.cells)
    if widest > limits.max_csv_rows:
        raise _columns_refusal(widest, limits.max_csv_rows, rows)
    return rows, columns


class _Scan:
    """Counts and looks at the lines on their way to the parser."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.wanted = identifiers(limits.identifier_columns)
        self.filled_lines = 0
        self.all_lines = 0
        self.cells = 1  # of the widest line, whichever delimiter makes it widest
        self.identifier: tuple[str, str] | None = None  # its name, and where it was first seen

    def lines(self, blocks: Iterable[str]) -> Iterator[str]:
        for block in blocks:
            if self.identifier is None:
                self._look_for_identifier(block)
            lines = block.splitlines(keepends=True)
            refuse_encoded(block, lines)
            self._measure(lines)
            yield from lines

    def _look_for_identifier(self, block: str) -> None:
        folded = fold(block)
        if found := named_anywhere(self.wanted, folded):
            name, end = found
            self.identifier = (name, f"in line {self.all_lines + len(folded[:end].splitlines()):,}")

    def _measure(self, lines: list[str]) -> None:
        self.all_lines += len(lines)
        self.filled_lines += len(lines) - sum(map(str.isspace, lines))
        # Only a line with more characters than that can have too many cells.
        longest = max(map(len, lines), default=0)
        if longest > LINE_CHARACTERS:
            raise Refusal(Rule.UNREADABLE, "The file has a line of over a million characters: that is no summary.")
        if longest > self.limits.max_csv_rows:
            self.cells = max(self.cells, *(1 + line.count(mark) for line in lines for mark in DELIMITERS))
            # Cells that only blanks part: words with a digit, for a cell may hold a long note.
            self.cells = max(self.cells, *(sum(map(_has_digit, line.split())) for line in lines))


def _has_digit(word: str) -> bool:
    return _DIGIT.search(word) is not None


def _delimiter(text: str) -> str:
    """The one under which most of the first lines have the same number of cells, and more than one."""
    lines = text.splitlines(keepends=True)[:_LINES_TO_JUDGE]
    return max(DELIMITERS, key=lambda mark: _agreement(lines, mark))


def _agreement(lines: list[str], delimiter: str) -> tuple[int, int]:
    try:
        widths = Counter(map(len, csv.reader(lines, delimiter=delimiter)))
    except csv.Error:
        return (0, 0)
    return max(((count, width) for width, count in widths.items() if width > 1), default=(0, 0))


def _widest_row(lines: Iterator[str], delimiter: str) -> int:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        return max(map(len, reader), default=0)
    except csv.Error as error:
        raise Refusal(
            Rule.UNREADABLE,
            f"The file cannot be read as CSV from line {reader.line_num:,} on: a quote that is not closed or not "
            "doubled, or a cell of over 131,072 characters. Write it with a CSV writer (in R: write.csv).",
        ) from error


def _columns_refusal(columns: int, limit: int, rows: int) -> Refusal:
    return Refusal(
        Rule.COLUMNS,
        f"The file has a line of {columns:,} cells; at most {limit:,} are allowed, because a table with people as "
        "columns is as detailed as one with people as rows. Summarise the data, or mark the output highly_sensitive.",
        rows,
        columns,
    )
