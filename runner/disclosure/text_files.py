"""Is a text (.txt, .log, .md) plainly a table of people under another name?

Prose and logs may *mention* an identifier, and must: "dropped 3 rows without patient_id". What is refused is an
identifier at the head of a column of figures or before a row of them, and more record-like lines than a CSV may have.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from runner.disclosure.csv_files import DELIMITERS
from runner.disclosure.encoded import refuse_encoded
from runner.disclosure.identifier import Identifier, fold, identifiers, mentioned, named_by_cell, without_colours
from runner.disclosure.reading import whole_lines
from runner.disclosure.records import PLACE_IN_R, RULE_LINE, RecordWatch, values_of_list
from runner.disclosure.rules import Limits, identifier_refusal

_DIGIT = re.compile(r"\d")
# A value such as 1001 or "-3", not a name such as age_2020.
_FIGURE = re.compile(r"[\s\"'+\-]*\d")
# R Markdown writes "##" before what R printed, programs write headers in comments, mails quote with ">".
_BEFORE_A_LINE = re.compile(r"^(?:#+|//+|/\*+|%+|>+) ")
_WIDE_BLANK = "  "  # columns of fixed width, whose names may hold a blank
_WIDE_BLANKS_OR_BORDERS = re.compile(r"\s{2,}|\s*\|\s*")
_BLANKS_OR_BORDERS = re.compile(r"[\s|]+")
_PART_RECORDS = (";", "|", "#", "~", "\\n")
_COLUMN_NAMES = re.compile(r"[\w.\-\"' ]*")
# A log says "without patient_id: 17" for each file that it read; who writes it for each person writes more.
_MOST_BESIDE_FIGURES = 100
# A text that is about identifiers to that extent is not read on: each such line costs a close look.
_MOST_MENTIONS = 3000
# Below "range(df$patient_id)" stand two figures, and one below a count.
_FEWEST_LISTED = 3
# Figures without brackets are mostly counts, and a tuple is the shape of a table.
_FEWEST_LISTED_BARE = 20
_FIRST_IN_R = re.compile(r"\[1\]\s")
_LONGEST_HEADER = 10_000  # characters


def check_text(pieces: Iterator[str], limits: Limits) -> None:
    """Raises `Refusal` where the text plainly is a table that a CSV check would refuse. Reads `pieces` once."""
    watch = TextWatch(limits)
    for block in whole_lines(pieces):
        watch.look_at(block)


class TextWatch:
    """What a text may not be, fed block by block of whole lines; also for the texts inside reports and JSON."""

    def __init__(self, limits: Limits):
        self.headers, self.records = HeaderWatch(limits), RecordWatch(limits)

    def look_at(self, block: str) -> None:
        """Raises `Refusal` for a named column, hidden files, and more records than a CSV may have."""
        block = without_colours(block)
        lines = block.splitlines()
        self.headers.look_at(block, lines)
        refuse_encoded(block, lines)
        self.records.look_at(lines)


class HeaderWatch:
    """Looks for an identifier that heads a column of figures or begins a row of them; fed block by block."""

    def __init__(self, limits: Limits):
        self.wanted = identifiers(limits.identifier_columns)
        self.heads: list[tuple[str | None, int, int]] = []  # delimiter (None: blanks), column from the right, cells
        self.name = ""
        self.beside_figures = 0  # lines such as "patient_id: 1001"
        self.mentions = 0  # lines with the name of an identifier in them
        self.listed: int | None = None  # values so far below a line that ends in the name; None: below another line
        self.in_brackets = self.in_call = False  # "patient_ids = [" above them, or "table(df$patient_id)"

    def look_at(self, block: str, lines: Iterable[str]) -> None:
        """Raises `Refusal` if a column or row of figures is named so. `lines` are the block's."""
        if self.heads or self.listed is not None or mentioned(self.wanted, fold(block)):
            for line in lines:
                self._look_at_line(_BEFORE_A_LINE.sub("", line.strip()))

    def _look_at_line(self, line: str) -> None:
        if RULE_LINE.fullmatch(line):
            return
        if any(_has_figure_below(head, line) for head in self.heads):
            raise identifier_refusal(self.name, "at the head of a column of a table")
        self.heads = []
        self._look_below(line)
        folded = fold(line)
        if mentioned(self.wanted, folded):
            self._look_beside(folded)
            self._remember_heads(line)

    def _look_below(self, line: str) -> None:
        """A list under its name: in brackets or as R prints it a few values tell, of bare figures, one a line, more."""
        if self.listed is None:
            return
        values = values_of_list(line)
        is_first_in_r = _FIRST_IN_R.match(line) is not None
        is_list = self.in_brackets or line.startswith("[") or (line.startswith("(") and not line.endswith(")"))
        # print(nrow(df)) in R is a list of one value.
        is_list = is_list and not (is_first_in_r and values == 1)
        is_bare = is_first_in_r or (values == 1 and not self.in_call)
        is_long_tuple = line.startswith("(") and values >= _FEWEST_LISTED_BARE
        self.in_brackets = is_list and not line.endswith(("]", ")")) and not PLACE_IN_R.match(line)
        self.listed = self.listed + values if values and (is_list or is_bare or is_long_tuple) else None
        if self.listed is not None and self.listed >= (_FEWEST_LISTED if is_list else _FEWEST_LISTED_BARE):
            raise identifier_refusal(self.name, "above a list of figures")

    def _look_beside(self, folded: str) -> None:
        self.mentions += 1
        for identifier in self.wanted:
            if self.mentions > _MOST_MENTIONS:
                raise identifier_refusal(identifier.name, f"in more than {_MOST_MENTIONS:,} lines")
            if end := identifier.ends_line.search(folded):
                self.name, self.listed = identifier.name, 0
                self.in_brackets, self.in_call = folded.endswith(("[", "(", "{")), ")" in end["behind"]
            if identifier.values_behind.search(folded):
                raise identifier_refusal(identifier.name, "before its values")
            found = islice(identifier.figure_behind.finditer(folded), _MOST_BESIDE_FIGURES + 1)
            self.beside_figures += sum(1 for _ in found)
            if self.beside_figures > _MOST_BESIDE_FIGURES:
                raise identifier_refusal(identifier.name, f"beside a figure more than {_MOST_BESIDE_FIGURES} times")

    def _remember_heads(self, line: str) -> None:
        for delimiter in (*(mark for mark in (*DELIMITERS, _WIDE_BLANK) if mark in line), None):
            cells = _cells(line, delimiter)
            # A look at a hundred cells costs as much as one at a line.
            self.mentions += len(cells) // 100
            names = [named_by_cell(self.wanted, cell) for cell in cells]
            if not any(names):
                continue
            place = next(number for number, name in enumerate(names) if name)
            self.name = names[place] or ""
            figures = cells[place + 1 :]
            if delimiter in DELIMITERS and len(figures) > 1 and all(map(_FIGURE.match, figures)):
                raise identifier_refusal(self.name, "before a row of figures")
            if delimiter or all(map(_COLUMN_NAMES.fullmatch, cells)):
                self.heads.append((delimiter, len(cells) - place, len(cells)))


def _cells(line: str, delimiter: str | None) -> list[str]:
    if delimiter == _WIDE_BLANK:
        return _WIDE_BLANKS_OR_BORDERS.split(line.strip(" \t|"))
    if delimiter is None:
        return _BLANKS_OR_BORDERS.split(line.strip(" \t|"))
    # A table's border is no cell, but the comma at the end of a line of code is: code has nothing behind it.
    return line.strip("| ").split(delimiter) if delimiter == "|" else line.split(delimiter)


def _has_figure_below(head: tuple[str | None, int, int], line: str) -> bool:
    """Columns are counted from the right, because printed tables number their rows in an unnamed first column."""
    delimiter, from_right, width = head
    cells = _cells(line, delimiter)
    return width <= len(cells) <= width + 1 and _FIGURE.match(cells[-from_right]) is not None


def header_naming(wanted: tuple[Identifier, ...], text: str) -> str | None:
    """The identifier among the column names that begin this text: "patient_id,age,sex". A sentence is no header."""
    start = text[:_LONGEST_HEADER]
    if not mentioned(wanted, fold(start)):
        return None
    line = start.lstrip().partition("\n")[0]
    lines = [line] if len(line) < _LONGEST_HEADER else []
    # Records in one line: "patient_id,age;1001,34;1002,35".
    lines += (line.partition(mark)[0] for mark in _PART_RECORDS if mark in line and _DIGIT.search(line))
    return next(filter(None, (_name_in_header(wanted, each) for each in lines)), None)


def _name_in_header(wanted: tuple[Identifier, ...], line: str) -> str | None:
    for delimiter in DELIMITERS:
        cells = line.split(delimiter)
        if len(cells) > 1 and all(len(cell.split()) <= 2 and _COLUMN_NAMES.fullmatch(cell) for cell in cells):
            names = (named_by_cell(wanted, cell) for cell in cells)
            if found := next(filter(None, names), None):
                return found
    return None
