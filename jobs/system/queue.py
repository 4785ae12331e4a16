"""How long jobs wait: now, by pool and workspace, and over the last day. A fixed number of queries, none of a whole
table."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from jobs.models.queue import waiting_by_workspace, waits_until

MOST_GROUPS = 15
# Of the jobs that ended in the last day so many are looked at, the newest first.
MOST_ENDED = 3000
_BARS, _BAR = 48, timedelta(minutes=30)
# Of the chart, in the units of its SVG: it is scaled to the page.
WIDTH, HEIGHT = 480, 90


@dataclass(frozen=True)
class Group:
    workspace: str
    requires_db: bool
    waiting: int
    oldest_at: datetime


@dataclass(frozen=True)
class Bar:
    """The longest wait at one time of the last day; the figures of the rectangle are in the chart's units."""

    at: datetime
    wait: timedelta
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Queue:
    """All jobs that wait now; `groups` are the largest, `others` how many workspaces and pools are not among them."""

    waiting: int
    oldest_at: datetime | None
    groups: list[Group]
    others: int


def queue() -> Queue:
    """One query."""
    rows = [Group(*row) for row in waiting_by_workspace()]
    return Queue(
        sum(row.waiting for row in rows),
        min((row.oldest_at for row in rows), default=None),
        rows[:MOST_GROUPS],
        max(0, len(rows) - MOST_GROUPS),
    )


@dataclass(frozen=True)
class Chart:
    bars: list[Bar]
    longest: timedelta
    hours: list[tuple[float, datetime]]


def chart(waiting: Queue) -> Chart:
    """The longest wait in each half hour of the last day. Two queries."""
    now = timezone.now()
    first = now - _BARS * _BAR
    waits = [timedelta(0)] * _BARS
    spans = waits_until(first, MOST_ENDED)
    if waiting.oldest_at:
        spans.append((waiting.oldest_at, now))
    for since, until in spans:
        begin, end = max(since, first), min(until, now)
        for number in range(max(0, (begin - first) // _BAR), min(_BARS - 1, (end - first) // _BAR) + 1):
            waits[number] = max(waits[number], min(end, first + (number + 1) * _BAR) - since)
    return _drawn(first, waits)


def _drawn(first: datetime, waits: list[timedelta]) -> Chart:
    longest, width = max(waits), WIDTH / _BARS
    highest = max(longest, timedelta(minutes=1))
    bars = []
    for number, wait in enumerate(waits):
        height = round(HEIGHT * (wait / highest), 1)
        x = round(number * width + 0.5, 1)
        bars.append(Bar(first + number * _BAR, wait, x, round(HEIGHT - height, 1), width - 1, height))
    hours = [(round(number * width, 1), first + number * _BAR) for number in range(0, _BARS, 12)]
    return Chart(bars, longest, hours)
