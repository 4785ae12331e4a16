"""Does a script hold data of people?

The charts and tables of Plotly, DataTables and their like carry their data in scripts. Code is not understood here;
what is looked for are lists and objects of plain values, which are counted like those of a JSON file, lines of values,
tables in strings, and an identifier as a name in quotes or before figures. The libraries in reports have none of that.
"""

import re

from runner.disclosure.chart_points import ChartPoints
from runner.disclosure.data_runs import DataRuns
from runner.disclosure.data_shape import DataShape
from runner.disclosure.encoded_numbers import EncodedNumbers
from runner.disclosure.identifier import fold, identifiers, mentioned
from runner.disclosure.reading import LINE_CHARACTERS
from runner.disclosure.rules import Limits, Refusal, Rule, identifier_refusal, rows_refusal
from runner.disclosure.table_markup import TableMarkup
from runner.disclosure.text_files import HeaderWatch

# A string without end is one to the end of its line. Possessive: each character is looked at once.
_STRING = r"\"(?:[^\"\\\n]++|\\.)*+(?:\"|(?=\n)|\Z)|'(?:[^'\\\n]++|\\.)*+(?:'|(?=\n)|\Z)"
_VALUE = rf"{_STRING}|[-+]?\.?\d[\w.+-]*+|(?:true|false|null|NaN|Infinity|undefined|![01])\b"
_PLAIN = rf"(?:[\s\[\]{{}},:]|{_VALUE}|[A-Za-z_$][\w$]*+\s*+:)++"
_PLAIN_DATA = re.compile(rf"[\[{{]{_PLAIN}", re.DOTALL)
_MORE_PLAIN_DATA = re.compile(_PLAIN, re.DOTALL)
_TOKEN = re.compile(rf"([\[{{])|([\]}}])|(,)|({_VALUE})|[A-Za-z_$][\w$]*+", re.DOTALL)
_SHORT_VALUE = r"(?:\"[^\"\\\n]{0,200}+\"|'[^'\\\n]{0,200}+'|[-+]?\.?\d[\w.+-]{0,40}+|true|false|null)"
_CALL_OF_VALUES = re.compile(
    rf"(?:\bnew\s+)?(?<![\w.$])[A-Za-z_$][\w.$]{{0,100}}+\((?:\s{{0,9}}{_SHORT_VALUE}\s{{0,9}},?){{1,20}}+\)"
)
_CALL_OF_DATA = re.compile(
    rf"(?<![\w.$])([A-Za-z_$][\w.$]{{0,100}}+)\(((?:[\s\[\]{{}},:]|{_SHORT_VALUE}|[A-Za-z_$][\w$]{{0,40}}+\s{{0,9}}:){{2,80}}+)\)"
)
_MOST_BETWEEN_CALLS = 20  # characters
# The name of a function that is called, up to its values, at the end of what was read.
_UNFINISHED = re.compile(r"\\?(?:(?:\bnew\s{1,9})?(?<![\w.$])[A-Za-z_$][\w.$]{0,100}(?:\([^()]{0,200})?)?\Z")
_DATA_LINE = re.compile(r"[\"'`]?[\w.+-]++[\"']?(?:[,;\t|](?:[ ]?[\"'][\w.+ -]*+[\"']|[\w.+ -]*+))++[`\\n]*")
# Shorter data of plain values is not worth a look unless the limit of rows is as small.
_SHORTEST_LONG_DATA = 1000
_OVERLAP = 300  # characters: an identifier that was read in two parts
_MANY_ESCAPED_QUOTES = 50


class CodeWatch:
    """One script, fed in pieces; raises `Refusal` for data in it that a JSON file may not hold."""

    def __init__(self, limits: Limits):
        self.wanted = identifiers(limits.identifier_columns)
        self.tables = TableMarkup(limits)
        self.headers = HeaderWatch(limits)
        self.limits = limits
        self.data = [_PlainData(limits), _PlainData(limits)]
        self.runs, self.calls = DataRuns(limits), _Calls(limits)
        self.tail = self.held = ""
        self.data_lines = 0

    def feed(self, piece: str) -> None:
        # A backslash and the name of a function belong to what follows them.
        piece = self.held + piece
        unfinished = _UNFINISHED.search(piece, max(0, len(piece) - _OVERLAP))
        end = unfinished.start() if unfinished else len(piece)
        self.held = piece[end:]
        self._read(piece[:end])

    def end_of_script(self) -> None:
        """What follows is another script."""
        self._read(self.held)
        self.tail = self.held = ""
        self.runs.end()
        for data in self.data:
            data.end()

    def _read(self, piece: str) -> None:
        folded = fold(self.tail + piece)
        self.tail = piece[-_OVERLAP:]
        if mentioned(self.wanted, folded):
            self._refuse_names(folded)
        self.tables.look_at(folded)
        lines = piece.splitlines()
        self.headers.look_at(piece, lines)
        self._count_lines(lines)
        self.runs.feed(piece)
        self.calls.look_at(piece)
        # A call is a value, such as new Date(2020, 1, 1) in a list of records.
        self.data[0].feed(_CALL_OF_VALUES.sub("0", piece))
        # JSON.parse("{\"x\":[…"): data in a string of a script.
        if piece.count('\\"') > _MANY_ESCAPED_QUOTES:
            self.data[1].feed(piece.replace('\\"', '"'))

    def _refuse_names(self, folded: str) -> None:
        for identifier in self.wanted:
            if identifier.listed.search(folded) or identifier.key_of_figures.search(folded):
                raise identifier_refusal(identifier.name, "as a name in a script or its data")

    def _count_lines(self, lines: list[str]) -> None:
        limit = self.limits.max_csv_rows
        self.data_lines += sum(1 for line in lines if _DATA_LINE.fullmatch(line))
        if self.data_lines > limit + 1:
            raise rows_refusal(f"more than {limit:,} lines of values in a script", limit)


class _Calls:
    """Counts calls of one function after the other with plain values: `d.push([1001, "M"]); d.push(…`."""

    def __init__(self, limits: Limits):
        self.limit = limits.max_csv_rows
        self.name = ""
        self.count = 0

    def look_at(self, piece: str) -> None:
        end = -_MOST_BETWEEN_CALLS
        for call in _CALL_OF_DATA.finditer(piece):
            goes_on = call[1] == self.name and (call.start() - end <= _MOST_BETWEEN_CALLS or end < 0)
            self.name, self.count, end = call[1], self.count + 1 if goes_on else 1, call.end()
            if self.count > self.limit:
                raise rows_refusal(f"more than {self.limit:,} calls with values in a script", self.limit)


class _PlainData:
    """Finds the lists and objects of plain values in code, and counts them."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.shortest = min(_SHORTEST_LONG_DATA, 2 * limits.max_csv_rows)
        self.held = ""
        self.shape: DataShape | None = None  # of data that went on to the end of what was read
        self.numbers, self.points = EncodedNumbers(limits), ChartPoints(limits)
        self.key = ""  # or the value before

    def feed(self, piece: str) -> None:
        text, self.held = self.held + piece, ""
        position = 0
        if self.shape:
            found = _MORE_PLAIN_DATA.match(text)
            position = self._take(text, found.span() if found else (0, 0))
        for found in _PLAIN_DATA.finditer(text, position):
            is_long = len(found[0]) >= self.shortest or found.end() == len(text)
            if is_long:
                self.shape = DataShape(self.limits)
                self.points.data_ends()
                self._take(text, found.span())

    def end(self) -> None:
        if self.shape:
            self._count(self.shape, self.held, 0, goes_on=False)
        self.numbers.end()
        self.held, self.shape, self.points = "", None, ChartPoints(self.limits)

    def _take(self, text: str, span: tuple[int, int]) -> int:
        """Counts what stands there; where it reaches the end, its last token is kept until more is read."""
        start, end = span
        goes_on = end == len(text)
        if self.shape:
            self._count(self.shape, text[:end], start, goes_on=goes_on)
        if not goes_on:
            self.shape = None
        return end

    def _count(self, shape: DataShape, text: str, start: int, *, goes_on: bool) -> None:
        for token in _TOKEN.finditer(text, start):
            if goes_on and token.end() == len(text):
                self.held = token[0]
                self._refuse_endless()
                return
            kind = token.lastindex
            if kind == 1:
                shape.enter(token[1])
                self.points.enter(token[1], self.key)
            elif kind == 2 and shape.levels:
                self.points.leave(shape.leave())
            elif kind == 3 and shape.levels:
                shape.comma()
            elif kind == 4:
                shape.value()
                self._look_at_value(token[4])
            elif kind is None:
                self.key = token[0]  # written without quotes

    def _refuse_endless(self) -> None:
        if len(self.held) > LINE_CHARACTERS:
            raise Refusal(
                Rule.UNREADABLE,
                "The file has a value of over a million characters in a script. Write the report without its data.",
            )

    def _look_at_value(self, value: str) -> None:
        word = value.strip("\"'")
        if self.numbers.take(self.key, word):
            self.points.encoded(self.numbers.counted)
        else:
            self.points.text(self.key, word)
        self.key = word if len(word) < 40 else ""
