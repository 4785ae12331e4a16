"""Where a waiting job stands in its pool, and when it may start: pure arithmetic, told with what it rests on.

The runner starts first what belongs to the workspace with the least running, then what is older (`runner.capacity`).
So of every other workspace as many jobs go first as would bring it level, and one more if that one is older. Weights
and what comes later are not known here, and the words say "about".
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.models.line import Ready

MOST_SIMULATED = 300
LONGEST_TOLD = timedelta(hours=12)


def place(workspace: str, ready: Iterable[Ready], busy: Mapping[str, int]) -> int:
    """1 is the next to start, for a job of the workspace; `ready` tells of each how many are older than that job."""
    lines = {line.workspace: line for line in ready}
    mine = lines.pop(workspace, None)
    ahead = mine.older if mine else 0
    level = busy.get(workspace, 0) + ahead
    for other in lines.values():
        missing = level - busy.get(other.workspace, 0)
        # At the same level the older job goes first.
        ahead += min(other.number, max(0, missing)) + (0 <= missing < other.older)
    return ahead + 1


@dataclass(frozen=True)
class Estimate:
    """`wait` is None where there is none; `basis` always says why, or on what it rests."""

    wait: timedelta | None
    basis: str
    is_at_least: bool = False


def estimate(
    position: int, limit: int, running: Sequence[tuple[str, datetime | None, float | None]], now: datetime
) -> Estimate:
    """`running`: action, when it began, typical seconds (None: it never succeeded before)."""
    if limit < 1:
        return Estimate(None, "this backend has no such workers")
    if unknown := sorted(action for action, _, seconds in running if seconds is None):
        return Estimate(None, f"no estimate: {unknown[0]}, which runs now, has never succeeded before")
    if len(running) < limit and position <= limit - len(running):
        return Estimate(timedelta(0), "a worker is free")
    if not running:
        return Estimate(None, "no estimate: nothing runs that a duration could be taken from")
    typical = [seconds for _, _, seconds in running if seconds is not None]
    mean = sum(typical) / len(typical)
    left = [_left(began, seconds, now) for _, began, seconds in running if seconds is not None]
    basis = "from how long the jobs that run now usually take"
    if position > MOST_SIMULATED:
        wait = timedelta(seconds=min(position * mean / limit, LONGEST_TOLD.total_seconds()))
        return Estimate(wait, basis, is_at_least=True)
    return _told(_start(position, limit, left, mean), basis)


def _left(began: datetime | None, seconds: float, now: datetime) -> float:
    spent = (now - began).total_seconds() if began else 0.0
    return max(0.0, seconds - spent)


def _start(position: int, limit: int, left: list[float], mean: float) -> float:
    """When the job gets its worker, in seconds: each one before it takes the mean time."""
    free = [*left, *([0.0] * (limit - len(left)))]
    heapq.heapify(free)
    while len(free) > limit:  # more run than there are workers now: those end first without making room
        heapq.heappop(free)
    for _ in range(position - 1):
        heapq.heappush(free, heapq.heappop(free) + mean)
    return free[0]


def _told(seconds: float, basis: str) -> Estimate:
    wait = timedelta(seconds=seconds)
    return Estimate(LONGEST_TOLD, basis, is_at_least=True) if wait > LONGEST_TOLD else Estimate(wait, basis)
