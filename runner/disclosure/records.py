"""How many lines of a text read as the rows of a table, however they are printed?

A table needs no delimiter: R, pandas and loggers part its cells with blanks, write `person=1001 sex=M`, or a sentence
for each person. What they have in common is that line after line has the same shape and other figures. A log may do
that too, as often as a CSV may have rows; one that does it more often cannot be told from a table of people.
"""

import re
from collections.abc import Iterable

from runner.disclosure.csv_files import DELIMITERS
from runner.disclosure.rules import Limits, Refusal, rows_refusal
from runner.disclosure.word_rows import WordRows

# Loggers write milliseconds after a comma, which parts no cells.
_TIMESTAMP = re.compile(r"^\W{0,3}\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?")
_DIGIT = re.compile(r"\d")
_MAY_BE_ROW = re.compile(r"[\d,;\t|]|  ")
# Rules such as |---|---| stand between a header and its rows.
RULE_LINE = re.compile(r"[\s|+=:\-]*")
_WIDE_BLANK = re.compile(r"\s{2,}")
# R writes the place of the line's first value before it: "[11] 1001 1002".
PLACE_IN_R = re.compile(r"\s*\[\s*\d+\]\s")
_PARTS_COLUMNS = re.compile(r"[\t;|]")
_MOST_FIGURES_OF_A_ROW = 4  # in figures without header or mark; a list that was wrapped has more in a line
_LONGEST_START = 100  # characters


class RecordWatch:
    """Fed line by line; raises `Refusal` for more rows, or longer lists, than a CSV may have rows."""

    def __init__(self, limits: Limits):
        self.limit = limits.max_csv_rows
        self.records = 0
        self.words = WordRows()
        self.last_line = ""  # the last that had a figure
        self.last_shape = (0, "")  # its number of words, and what stands before its first figure
        self.header_width = 0  # of the last line that was not only figures
        self.listed = 0  # values of a list over several lines
        self.in_brackets = False  # since a "[" that was not closed

    def look_at(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._look_at_line(line)
            # Only a line with more characters than that can have too many values.
            if len(line) > self.limit and values_in(line) > self.limit:
                raise rows_refusal(f"a line of more than {self.limit:,} values", self.limit)
        # One more than the limit may be the header.
        if self.records > self.limit + 1:
            raise self._too_many_records()

    def _too_many_records(self) -> Refusal:
        refusal = rows_refusal(f"more than {self.limit:,} lines that read as the rows of a table", self.limit)
        refusal.message += " A log may have as many lines of one shape with other figures: log each step, not each row."
        return refusal

    def _look_at_line(self, line: str) -> None:
        has_time = False
        if ":" in line:
            line, has_time = _TIMESTAMP.subn("", line, count=1)
        words = line.split()
        if not words or RULE_LINE.fullmatch(line):
            return
        # Most lines are prose, and a close look costs as much as ten of these.
        if not _MAY_BE_ROW.search(line):
            self._end_list(line, len(words))
            if not has_time:
                self.records += self.words.rows_with(line, len(words))
            return
        digit = _DIGIT.search(line)
        figures = sum(1 for word in words if _DIGIT.search(word)) if digit else 0
        cells = _cells_in(line)
        is_like_the_last = digit is not None and self._is_like_the_last(line, len(words), line[: digit.start()])
        are_cells = cells > 1 and len(words) <= 2 * cells
        self.records += are_cells or is_like_the_last or 0 < len(words) <= 2 * figures
        # "[" may stand alone before a place or a value.
        values = values_of_list(line) if digit and figures >= len(words) - 1 else 0
        if values:
            self._count_list(line, values)
        else:
            self._end_list(line, max(len(words), cells))

    def _is_like_the_last(self, line: str, words: int, start: str) -> bool:
        """Other figures in the same shape. The same line again is no row: it only says how often."""
        start = start[:_LONGEST_START]
        last_line, self.last_line = self.last_line, line
        (last_words, last_start), self.last_shape = self.last_shape, (words, start)
        # A word more or less may be "North East" below "London".
        return line != last_line and (abs(words - last_words) <= 1 or start == last_start) and last_words > 0

    def _end_list(self, line: str, width: int) -> None:
        """A line that is not only figures may be the header of what follows, or open a list: "x = ["."""
        self.listed, self.header_width = 0, width
        self.in_brackets = _opens_list(line)

    def _count_list(self, line: str, values: int) -> None:
        """A list that was wrapped has as many members as there are figures in its lines."""
        was_in_brackets = self.in_brackets
        if "[" in line or "]" in line:
            self.in_brackets = _opens_list(line)
        is_in_brackets = was_in_brackets or self.in_brackets
        is_wrapped = is_in_brackets or PLACE_IN_R.match(line) or line.rstrip().endswith(",")
        is_row = "," in line or values <= _MOST_FIGURES_OF_A_ROW or self.header_width in (values, values - 1)
        if _PARTS_COLUMNS.search(line) or (is_row and not is_wrapped):
            return
        self.listed += values
        if self.listed > self.limit:
            refusal = rows_refusal(f"a list of more than {self.limit:,} figures over several lines", self.limit)
            refusal.message += " If it is a table of numbers, write it as CSV with a header."
            raise refusal


def _opens_list(line: str) -> bool:
    return line.rfind("[") > line.rfind("]")


def values_in(line: str) -> int:
    """How many values a line has: words with a digit, or cells under any delimiter."""
    figures = sum(1 for word in line.split() if _DIGIT.search(word))
    return max(figures, *(1 + line.count(mark) for mark in DELIMITERS))


def values_of_list(line: str) -> int:
    """How many values a line of nothing but figures has; 0 for any other line, such as a header of quantiles (25%)."""
    line = line.lstrip()
    place = PLACE_IN_R.match(line)
    words = line[place.end() if place else 0 :].replace(",", " ").strip(" \t[](){}").split()
    return len(words) if words and "%" not in line and all(map(_DIGIT.search, words)) else 0


def _cells_in(line: str) -> int:
    cells = 1 + max(map(line.count, DELIMITERS))
    if "  " in line or "\t" in line:
        cells = max(cells, 1 + len(_WIDE_BLANK.findall(line.strip())))
    return cells
