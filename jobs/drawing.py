"""A request's jobs as boxes and lines: what is drawn, and where if nobody has computed a better place.

Pure but for the two queries of `boxes_of`: shared by whoever computes the layout when a request is planned
(`jobs.graph`) and by the page, which must draw the same boxes in the same order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from jobs.models import Job, JobRequest

MOST_BOXES, MOST_LINKS = 400, 1000
# So many are also drawn one below the other, for phones, where a larger picture could not be read anyway.
MOST_DOWN = 100
_HEIGHT, _LETTER, _BESIDE, _LEAST, _MOST_LETTERS = 44.0, 8.4, 66.0, 180.0, 40
_BETWEEN_COLUMNS, _BETWEEN_ROWS = 48.0, 16.0
_NEEDED = (
    *("identifier", "request", "action", "workspace", "state", "status_code", "stop_request", "created_at"),
    *("started_at", "completed_at", "output_spec"),
)


@dataclass(frozen=True)
class Box:
    """A job to draw; `is_foreign` if it is another request's. `needs` are the primary keys that it waits for."""

    job: Job
    needs: tuple[int, ...]
    is_foreign: bool = False

    @property
    def label(self) -> str:
        action = self.job.action
        return action if len(action) <= _MOST_LETTERS else f"{action[: _MOST_LETTERS - 1]}…"

    @property
    def size(self) -> tuple[float, float]:
        return max(_LEAST, round(len(self.label) * _LETTER + _BESIDE, 1)), _HEIGHT


def boxes_of(request: JobRequest) -> list[Box]:
    """The request's jobs and those of others that they build on, by primary key; too many to draw if > MOST_BOXES."""
    own = list(request.jobs.order_by("pk").only(*_NEEDED)[: MOST_BOXES + 1])
    if len(own) > MOST_BOXES:
        return [Box(job, ()) for job in own]
    needs: dict[int, list[int]] = {}
    links = Job.waits_for.through.objects.filter(from_job__request=request).order_by("from_job_id", "to_job_id")
    for begin, end in links.values_list("from_job_id", "to_job_id"):
        needs.setdefault(begin, []).append(end)
    foreign_pks = {end for ends in needs.values() for end in ends} - {job.pk for job in own}
    foreign = Job.objects.filter(pk__in=list(foreign_pks)[:MOST_BOXES]).only(*_NEEDED).select_related("request")
    boxes = [Box(job, (), True) for job in foreign] + [Box(job, tuple(needs.get(job.pk, ()))) for job in own]
    return sorted(boxes, key=lambda box: box.job.pk)


def links_of(boxes: Sequence[Box]) -> list[tuple[int, int]]:
    """By numbers of boxes: from what is needed to what needs it."""
    number = {box.job.pk: place for place, box in enumerate(boxes)}
    return [(number[pk], place) for place, box in enumerate(boxes) for pk in box.needs if pk in number]


@dataclass(frozen=True)
class Drawing:
    """Centres of boxes and points of paths, from the top left: a beginning, Bézier points in threes, a tip."""

    width: float
    height: float
    centres: list[list[float]]
    links: list[tuple[int, int]]
    paths: list[list[list[float]]]

    def stored(self) -> dict:
        columns = {"width": self.width, "height": self.height, "centres": self.centres}
        return columns | {"links": [list(link) for link in self.links], "paths": self.paths}

    @classmethod
    def read(cls, stored: dict, *, boxes: int) -> "Drawing":
        """Raises ValueError, KeyError or TypeError unless it is a drawing of so many boxes."""
        links = [(int(begin), int(end)) for begin, end in stored["links"]]
        drawing = cls(_number(stored["width"]), _number(stored["height"]), [], links, [])
        drawing.centres.extend(_point(point) for point in stored["centres"])
        drawing.paths.extend([_point(point) for point in path] for path in stored["paths"])
        numbers_fit = all(0 <= number < boxes for link in links for number in link)
        if len(drawing.centres) != boxes or len(drawing.paths) != len(links) or not numbers_fit:
            raise ValueError("the drawing is of something else")
        return drawing


def _number(value: object) -> float:
    number = float(value)
    if not isfinite(number) or abs(number) > 1_000_000:
        raise ValueError("no number to draw by")
    return round(number, 1)


def _point(point: Sequence) -> list[float]:
    x, y = point
    return [_number(x), _number(y)]


def layered(sizes: Sequence[tuple[float, float]], links: Sequence[tuple[int, int]]) -> Drawing:
    """Simple and always there: a box's column is the longest way to it, its row the order of boxes.

    Links that lead backwards or in a circle, which no plan has, are drawn but place nothing.
    """
    columns = _columns(len(sizes), links)
    widths = [max(sizes[number][0] for number in column) for column in columns]
    tallest = max((len(column) for column in columns), default=0)
    height = tallest * (_HEIGHT + _BETWEEN_ROWS)
    centres, left = [[0.0, 0.0] for _ in sizes], 0.0
    for column, width in zip(columns, widths, strict=True):
        top = (height - len(column) * (_HEIGHT + _BETWEEN_ROWS)) / 2
        for row, number in enumerate(column):
            centres[number] = [left + width / 2, top + (row + 0.5) * (_HEIGHT + _BETWEEN_ROWS)]
        left += width + _BETWEEN_COLUMNS
    width = max(0.0, left - _BETWEEN_COLUMNS)
    return Drawing(width, height, centres, list(links), [_curve(sizes, centres, *link) for link in links])


def one_below_the_other(sizes: Sequence[tuple[float, float]], links: Sequence[tuple[int, int]]) -> Drawing:
    """For phones: no wider than the widest box and its lines, which go along the right of the boxes.

    A line goes further out the more boxes it passes.
    """
    centres, place, top = [[0.0, 0.0] for _ in sizes], {}, 0.0
    widest = max((width for width, _ in sizes), default=0.0)
    for row, number in enumerate(number for column in _columns(len(sizes), links) for number in column):
        centres[number], place[number] = [sizes[number][0] / 2, top + _HEIGHT / 2], row
        top += _HEIGHT + _BETWEEN_ROWS
    paths, furthest = [], 0.0
    for begin, end in links:
        (x1, y1), (x2, y2) = centres[begin], centres[end]
        begin_x, end_x = x1 + sizes[begin][0] / 2, x2 + sizes[end][0] / 2
        aside = max(begin_x, end_x) + min(12.0 + 6.0 * abs(place[end] - place[begin]), 60.0)
        furthest = max(furthest, aside)
        paths.append([[begin_x, y1], [aside, y1], [aside, y2], [end_x + 8, y2], [end_x, y2]])
    return Drawing(max(widest, furthest), max(0.0, top - _BETWEEN_ROWS), centres, list(links), paths)


def _columns(count: int, links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Numbers of boxes by column, each row in order; by Kahn's way, so that a circle ends too."""
    column, missing = [0] * count, [0] * count
    later: list[list[int]] = [[] for _ in range(count)]
    for begin, end in links:
        later[begin].append(end)
        missing[end] += 1
    free = [number for number in range(count) if not missing[number]]
    for number in free:
        for after in later[number]:
            column[after] = max(column[after], column[number] + 1)
            missing[after] -= 1
            if not missing[after]:
                free.append(after)
    found: list[list[int]] = [[] for _ in range(max(column, default=-1) + 1)]
    for number in range(count):
        found[column[number]].append(number)
    return [each for each in found if each]


def _curve(sizes: Sequence, centres: list[list[float]], begin: int, end: int) -> list[list[float]]:
    x1, y1 = centres[begin][0] + sizes[begin][0] / 2, centres[begin][1]
    x2, y2 = centres[end][0] - sizes[end][0] / 2, centres[end][1]
    middle = (x1 + x2) / 2
    return [[x1, y1], [middle, y1], [middle, y2], [x2 - 8, y2], [x2, y2]]
