"""The pictures of a request: its jobs and what they wait for, and when each waited and ran. SVG without any style."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobs.drawing import MOST_BOXES, MOST_DOWN, Box, Drawing, layered, links_of, one_below_the_other
from jobs.estimate import deciding_chain
from jobs.levels import PRIVACY_LEVELS
from jobs.models import Job, JobRequest, StatusChange
from jobs.templatetags.words import clock
from jobs.text import duration_in_words

_MARGIN = 6
# Wider pictures would be too small to read on a page: they scroll.
_WIDEST_FITTING = 1400
_ROW, _LABELS, _TIMES, _TOP = 24, 240, 900, 24


@dataclass(frozen=True)
class Node:
    box: Box
    x: float
    y: float
    width: float
    height: float
    when: str

    @property
    def job(self) -> Job:
        return self.box.job

    @property
    def dots(self) -> list[tuple[str, float, float]]:
        """One for each privacy level that the action promises outputs of: level, and where."""
        levels = [level for level in PRIVACY_LEVELS if self.job.output_spec.get(level)]
        right = self.x + self.width - 10
        return [(level, round(right - 11 * place, 1), self.y + 10) for place, level in enumerate(reversed(levels))]


@dataclass(frozen=True)
class Edge:
    begin: int
    end: int
    path: str


@dataclass(frozen=True)
class Picture:
    """`name` tells several on one page apart."""

    name: str
    width: int
    height: int
    nodes: list[Node]
    edges: list[Edge]

    @property
    def is_wide(self) -> bool:
        return self.width > _WIDEST_FITTING


def pictures_of(request: JobRequest, boxes: Sequence[Box]) -> list[Picture]:
    """From left to right, and of a smaller request also from top to bottom, for phones.

    None of them if there is nothing to tell, or too much to draw: then the table says all.
    """
    if not 1 < len(boxes) <= MOST_BOXES:
        return []
    links, sizes = links_of(boxes), [box.size for box in boxes]
    found = {"across": _stored(request, boxes, links) or layered(sizes, links)}
    if len(boxes) <= MOST_DOWN:
        found["down"] = one_below_the_other(sizes, links)
    return [_picture(name, drawing, boxes) for name, drawing in found.items()]


def _picture(name: str, drawing: Drawing, boxes: Sequence[Box]) -> Picture:
    sizes = [box.size for box in boxes]
    nodes = [
        Node(box, round(x - width / 2 + _MARGIN, 1), round(y - height / 2 + _MARGIN, 1), width, height, when(box.job))
        for box, (x, y), (width, height) in zip(boxes, drawing.centres, sizes, strict=True)
    ]
    edges = [
        Edge(boxes[begin].job.pk, boxes[end].job.pk, _path(points))
        for (begin, end), points in zip(drawing.links, drawing.paths, strict=True)
        if points
    ]
    return Picture(name, round(drawing.width + 2 * _MARGIN), round(drawing.height + 2 * _MARGIN), nodes, edges)


def _stored(request: JobRequest, boxes: Sequence[Box], links: list[tuple[int, int]]) -> Drawing | None:
    try:
        drawing = Drawing.read(request.graph or {}, boxes=len(boxes))
    except (KeyError, TypeError, ValueError):
        return None
    return drawing if drawing.links == links else None


def _path(points: list[list[float]]) -> str:
    x_y = [f"{round(x + _MARGIN, 1)} {round(y + _MARGIN, 1)}" for x, y in points]
    curve, tip = (x_y[1:-1], x_y[-1:]) if len(x_y) % 3 == 2 else (x_y[1:], [])
    return f"M{x_y[0]} C{' '.join(curve)}" + "".join(f" L{point}" for point in tip)


def when(job: Job) -> str:
    """ "6m 3s", "since 10:42", or nothing for what has not begun."""
    if job.completed_at and job.started_at:
        return duration_in_words(job.completed_at - job.started_at)
    if job.completed_at or not job.started_at:
        return ""
    return f"since {clock(job.started_at)}"


@dataclass(frozen=True)
class Bar:
    """A job's row; places are along the time axis, a width of 0 is not drawn. Each run is drawn over the waiting."""

    job: Job
    y: int
    waiting_x: float
    waiting_width: float
    runs: list[tuple[float, float]]
    is_deciding: bool
    words: str


@dataclass(frozen=True)
class Timeline:
    bars: list[Bar]
    ticks: list[tuple[float, str]]
    now_x: float | None
    is_active: bool
    height: int
    width: int = _LABELS + _TIMES + 20
    labels: int = _LABELS


def timeline_of(boxes: Sequence[Box], now: datetime) -> Timeline | None:
    """The request's own jobs in their order; None if there are none, or too many. Two queries."""
    jobs = [box.job for box in boxes if not box.is_foreign]
    if not 0 < len(jobs) <= MOST_BOXES:
        return None
    begin = min(job.created_at for job in jobs)
    is_active = any(job.is_active for job in jobs)
    end = now if is_active else max(job.completed_at for job in jobs)
    whole = max((end - begin).total_seconds(), 1.0)

    def place(at: datetime) -> float:
        return round(_LABELS + _TIMES * min(1.0, max(0.0, (at - begin).total_seconds() / whole)), 1)

    chain = deciding_chain(jobs, {box.job.pk: box.needs for box in boxes}, now)
    several = StatusChange.objects.several_runs(job.pk for job in jobs)
    bars = [
        _bar(job, _TOP + row * _ROW, place, several.get(job.pk) or _only_run(job), job.pk in chain, now)
        for row, job in enumerate(jobs)
    ]
    ticks = [_tick(begin + timedelta(seconds=whole * part / 5), whole, place) for part in range(6)]
    return Timeline(bars, ticks, place(now) if is_active else None, is_active, _TOP + len(jobs) * _ROW + 8)


Run = tuple[datetime, datetime | None]


def _only_run(job: Job) -> list[Run]:
    return [(job.started_at, job.completed_at)] if job.started_at else []


def _bar(job: Job, y: int, place: Callable, runs: list[Run], is_deciding: bool, now: datetime) -> Bar:
    spans = [(begin, max(begin, end or now)) for begin, end in runs]
    last = job.completed_at or now
    # Between two runs it waited as well; the runs are drawn over it.
    waited_until = last if len(spans) > 1 or not spans else spans[0][0]
    x, until = place(job.created_at), place(waited_until)
    drawn = [(place(begin), round(max(place(end) - place(begin), 2.0), 1)) for begin, end in spans]
    return Bar(job, y, x, max(0.0, until - x), drawn, is_deciding, _in_words(job, spans, last))


def _in_words(job: Job, spans: list[tuple[datetime, datetime]], last: datetime) -> str:
    """ "waited 3m, ran 39m", "waited 20m, has run 12m, in 2 attempts", "waited 5m so far"."""
    ran = sum((end - begin for begin, end in spans), timedelta())
    waited = f"waited {duration_in_words(max(last - job.created_at - ran, timedelta()))}"
    if not spans:
        return f"{waited} so far" if job.is_active else f"{waited}, did not run"
    times = f", in {len(spans)} attempts" if len(spans) > 1 else ""
    return f"{waited}, {'has run' if job.is_active else 'ran'} {duration_in_words(ran)}{times}"


def _tick(at: datetime, whole: float, place) -> tuple[float, str]:
    form = "%H:%M:%S" if whole < 600 else "%H:%M" if whole < 86400 else "%d %b %H:%M"
    return place(at), f"{at.astimezone(UTC):{form}}"
