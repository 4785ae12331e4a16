"""How many points do all traces of a chart of Plotly have together?

A chart coloured by a group has a trace for each group, and each holds its part of the people: {"type": "scatter",
"mode": "markers", "x": […], "y": […]}. Told of each bracket and value as they come, like `DataShape`; keeps only the
open lists and objects. Lines are courses of time and are not counted.
"""

from dataclasses import dataclass, field

from runner.disclosure.rules import Limits, rows_refusal

# What a trace holds for each of its points.
_FOR_EACH_POINT = {"x", "y", "z", "lat", "lon", "customdata", "text", "hovertext", "ids"}
# Without a mode; boxes and histograms carry the values from which the browser draws them.
_TYPES_OF_POINTS = {
    "box", "violin", "histogram", "histogram2d", "histogram2dcontour", "scattergl", "scattergeo", "scattermap",
    "scattermapbox", "scatter3d", "splom",
}  # fmt: skip


@dataclass(slots=True)
class _Open:
    """One open list or object."""

    bracket: str
    key: str  # under which it stands
    mode: str = ""
    type: str = ""
    encoded: int = 0  # numbers written as base64
    lengths: dict[str, int] = field(default_factory=dict)  # of an object's lists

    def draws_points(self) -> bool:
        return "markers" in self.mode or (not self.mode and self.type in _TYPES_OF_POINTS)


class ChartPoints:
    """One JSON file or script; raises `Refusal` for more points in all its traces than a CSV may have rows."""

    def __init__(self, limits: Limits):
        self.limit = limits.max_csv_rows
        self.totals: dict[str, int] = {}
        self.open: list[_Open] = []

    def enter(self, bracket: str, key: str) -> None:
        self.open.append(_Open(bracket, key))

    def text(self, key: str, text: str) -> None:
        if self.open and key == "mode":
            self.open[-1].mode = text
        elif self.open and key == "type":
            self.open[-1].type = text

    def encoded(self, numbers: int) -> None:
        if self.open:
            self.open[-1].encoded = numbers

    def leave(self, members: int) -> None:
        """The end of a list of so many members, or of an object."""
        closed = self.open.pop()
        if closed.draws_points():
            self._count(closed)
        if not self.open or self.open[-1].bracket != "{" or closed.key not in _FOR_EACH_POINT:
            return
        if closed.bracket == "[":
            self.open[-1].lengths[closed.key] = members
        elif closed.key != "customdata":  # encoded, it has several numbers for each point
            self.open[-1].lengths[closed.key] = closed.encoded

    def data_ends(self) -> None:
        """What follows is other data of the same script."""
        self.open = []

    def _count(self, trace: _Open) -> None:
        for key, length in trace.lengths.items():
            self.totals[key] = self.totals.get(key, 0) + length
            if self.totals[key] > self.limit:
                refusal = rows_refusal(f"more than {self.limit:,} points in a chart", self.limit)
                refusal.message += " A chart saved as PNG may show more."
                raise refusal
