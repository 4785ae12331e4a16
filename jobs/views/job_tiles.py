"""The five tiles above the jobs: how many of each kind, a day's hours as bars, and each a link that filters."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count
from django.utils import timezone

from jobs.models import Job
from jobs.models.job_list import ACTIVE_KINDS, Activity
from jobs.views.job_filters import KIND_LABELS, Filters

HOURS = 24


@dataclass(frozen=True)
class Bar:
    """One hour of a sparkline that is 20 high; `x` counts hours."""

    x: int
    y: float
    height: float


@dataclass(frozen=True)
class Tile:
    kind: str
    label: str
    number: int
    note: str
    since: datetime | None
    bars: list[Bar]
    in_words: str
    query: str
    is_chosen: bool
    key: int


def tiles_of(seen: Activity, filters: Filters) -> list[Tile]:
    now = timezone.now()
    hours = [f"{now - timedelta(hours=HOURS - 1 - ago):%Y-%m-%d %H}" for ago in range(HOURS)]
    return [_tile(key, kind, seen, hours, filters) for key, kind in enumerate(KIND_LABELS, start=1)]


def _tile(key: int, kind: str, seen: Activity, hours: list[str], filters: Filters) -> Tile:
    numbers = [seen.per_hour[kind].get(hour, 0) for hour in hours]
    is_active = kind in ACTIVE_KINDS
    number = seen.active[kind] if is_active else sum(numbers)
    is_chosen = filters.values.get("state") == [kind]
    query = filters.address(state=[] if is_chosen else [kind], age="" if is_active or is_chosen else "24h")
    verb = {"running": "began", "waiting": "arrived"}.get(kind, "ended so")
    return Tile(
        kind=kind,
        label=KIND_LABELS[kind],
        number=number,
        note=_workers() if kind == "running" else "" if is_active else "in 24 h",
        since=seen.oldest.get(kind) if kind == "waiting" else None,
        bars=_bars(numbers),
        in_words=f"{sum(numbers)} {verb} in the last 24 hours, {max(numbers)} in the busiest one",
        query=query,
        is_chosen=is_chosen,
        key=key,
    )


def _workers() -> str:
    """Each pool of its own: a free database worker helps no other job. One query, of as many jobs as run."""
    running = dict(Job.objects.running().order_by().values_list("requires_db").annotate(Count("pk")))
    of_database = f", DB {running.get(True, 0)} of {settings.MAX_DB_WORKERS}"
    return f"{running.get(False, 0)} of {settings.MAX_WORKERS} workers{of_database if settings.MAX_DB_WORKERS else ''}"


def _bars(numbers: list[int]) -> list[Bar]:
    most = max(numbers) or 1
    heights = ((x, max(1.5, round(20 * number / most, 1)) if number else 0.6) for x, number in enumerate(numbers))
    return [Bar(x, round(20 - height, 1), height) for x, height in heights]
