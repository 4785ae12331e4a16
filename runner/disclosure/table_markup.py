"""Is there a table in HTML in a string of a script or of JSON? So do interactive tables write their headers."""

import re

from runner.disclosure.identifier import AROUND_CELL, Identifier, identifiers
from runner.disclosure.rules import Limits, identifier_refusal, rows_refusal

_ROW = re.compile(r"<tr[\s>]")


class TableMarkup:
    """Fed texts one after the other; raises `Refusal` for a cell that names an identifier, and for too many rows."""

    def __init__(self, limits: Limits):
        self.limit = limits.max_csv_rows
        self.cells = [(each.name, _as_cell(each)) for each in identifiers(limits.identifier_columns)]
        self.rows = 0

    def look_at(self, folded: str) -> None:
        if "<t" not in folded:
            return
        for name, cell in self.cells:
            if cell.search(folded):
                raise identifier_refusal(name, "in a cell of a table in a script or in data")
        self.rows += len(_ROW.findall(folded))
        # One more than the limit may be the header.
        if self.rows > self.limit + 1:
            raise rows_refusal(f"more than {self.limit:,} table rows in a script or in data", self.limit)


def _as_cell(identifier: Identifier) -> re.Pattern:
    # Bounded repetitions: without them a hostile file could make the search quadratic.
    before = rf"(?:{AROUND_CELL}|<[^<>]{{0,200}}>){{0,12}}"
    return re.compile(rf"<t[hd]\b[^<>]{{0,500}}>{before}{identifier.spelling}{AROUND_CELL}*<")
