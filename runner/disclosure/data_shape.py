"""How many rows has nested data, such as JSON or the data of a chart in a script?

Told of each bracket, comma and value as they come; keeps only the open lists and objects, so its memory does not grow
with the data. A row is a list or object that holds values itself: {"n": 1, "ci": [0, 2]} is one, however deep it lies
and however the rows are grouped.
"""

from dataclasses import dataclass

from runner.disclosure.rules import Limits, Refusal, Rule, rows_refusal

# A table of as many rows as allowed with so many columns; more cannot be a summary and costs too much to look at.
_VALUES_PER_ROW = 100
# Lists of lists of so few values are mostly coordinates of a map or pairs of a matrix: ten of them count as a row.
_FEW_VALUES = 3
MAX_DEPTH = 200
_TENTHS = 10


@dataclass(slots=True)
class _Level:
    """One open list or object."""

    bracket: str
    members: int = 1
    has_values: bool = False
    has_inner: bool = False
    few_values: int = 0  # inner lists of at most _FEW_VALUES values
    tenths: int = 0  # rows of the other inner lists and objects, in tenths

    def rows_in_tenths(self) -> int:
        if self.bracket == "[":
            inner = self.tenths + self.few_values
        else:
            # Beside other values a short list is one more value (an interval); alone it is a row under its key.
            inner = self.tenths + (0 if self.has_values else self.few_values * _TENTHS)
        return max(_TENTHS if self.has_values else 0, inner)

    def is_few_values(self) -> bool:
        return self.bracket == "[" and not self.has_inner and self.members <= _FEW_VALUES


class DataShape:
    """Raises `Refusal` as soon as there are more rows, or members of one list or object, than a CSV may have rows."""

    def __init__(self, limits: Limits):
        self.limit = limits.max_csv_rows
        self.levels: list[_Level] = []
        self.values = 0

    def enter(self, bracket: str) -> None:
        if len(self.levels) == MAX_DEPTH:
            raise Refusal(
                Rule.UNREADABLE,
                f"The file has more than {MAX_DEPTH} lists or objects inside each other. Write the data with fewer.",
            )
        self.levels.append(_Level(bracket))

    def leave(self) -> int:
        """The end of a list or object, which is also a value of the one around it. Returns how many members it had."""
        level = self.levels.pop()
        self._count_value()
        tenths = level.rows_in_tenths()
        if tenths > self.limit * _TENTHS:
            raise self._too_many("rows in lists and objects inside each other", self.limit)
        if self.levels:
            outer = self.levels[-1]
            outer.has_inner = True
            if level.is_few_values():
                outer.few_values += 1
            else:
                outer.tenths += tenths
        return level.members

    def value(self) -> None:
        self._count_value()
        if self.levels:
            self.levels[-1].has_values = True

    def comma(self) -> None:
        level = self.levels[-1]
        level.members += 1
        if level.members > self.limit:
            raise self._too_many("members in one list or object", self.limit)

    def _count_value(self) -> None:
        self.values += 1
        if self.values > self.limit * _VALUES_PER_ROW:
            raise self._too_many("values", self.limit * _VALUES_PER_ROW)

    def _too_many(self, what: str, limit: int) -> Refusal:
        return rows_refusal(f"more than {limit:,} {what}", limit)
