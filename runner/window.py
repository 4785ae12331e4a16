"""What may still start before a planned reboot: only what by its history will be done by then.

A job counts as too long if one of its action's last successes took longer than is left. What never succeeded before
may start: holding it back would leave workers idle for hours, and at worst it loses what it has done until then.
"""

import time
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db.models import QuerySet
from django.utils import timezone

from jobs.durations import longest_seconds
from runner.capacity import Candidate, Hold

# Successes that come meanwhile change little; until then each action is looked up once.
FORGET_SECONDS = 300.0


class Waiting(NamedTuple):
    """A job that is ready, and what its row says of its wait."""

    candidate: Candidate
    code: str
    message: str

    def is_told(self, hold: Hold) -> bool:
        return (self.code, self.message) == (hold.code, hold.message)


class Window:
    """Remembers how long actions last. Used by the loop's thread only."""

    def __init__(self) -> None:
        self._longest: dict[tuple[str, str], float | None] = {}
        self._since = time.monotonic()

    def split(self, ready: QuerySet, due: datetime) -> tuple[list[Waiting], list[Waiting]]:
        """Those that may start before `due`, and those that would not be done. One query, more for new actions."""
        columns = ("pk", "workspace", "action", "run_command", "requires_db", "status_code", "status_message")
        rows = [Waiting(Candidate(*row[:5]), *row[5:]) for row in ready.order_by("pk").values_list(*columns)]
        self._look_up(row.candidate for row in rows)
        left = (due - timezone.now()).total_seconds()
        fitting, late = [], []
        for row in rows:
            lasts = self._longest[row.candidate.workspace, row.candidate.action]
            (late if lasts is not None and lasts > left else fitting).append(row)
        return fitting, late

    def _look_up(self, candidates: Iterable[Candidate]) -> None:
        if time.monotonic() - self._since > FORGET_SECONDS:
            self._longest, self._since = {}, time.monotonic()
        standing_for = {(each.workspace, each.action): each.pk for each in candidates}
        new = {action: pk for action, pk in standing_for.items() if action not in self._longest}
        self._longest |= dict.fromkeys(new) | (longest_seconds(new) if new else {})
