"""How the engine has answered in the last hours: for whoever asks in the morning what was wrong at night.

A quarter of an hour is one entry, so five hours are few enough to be told with each sign of life; from there the next
process goes on. What an earlier process has said is read with suspicion.
"""

from collections import deque
from datetime import UTC, datetime, timedelta

from jobs.models import Heartbeat
from jobs.said import Quarter
from jobs.signs import quarter
from jobs.wire import moment

LASTS = timedelta(minutes=15)
MOST = 20


class EngineHistory:
    def __init__(self, before: object = None):
        """`before` is an earlier process's `report`."""
        found = [quarter(each) for each in before if isinstance(each, dict)] if isinstance(before, list) else []
        self._quarters: deque[Quarter] = deque((each for each in found if each.at), maxlen=MOST)

    @classmethod
    def continued(cls) -> "EngineHistory":
        """From what the process before this one has said last. One query."""
        detail = Heartbeat.objects.filter(name="run").values_list("detail", flat=True).first()
        return cls(detail.get("engine_hours") if isinstance(detail, dict) else None)

    def note(self, at: datetime, ms: float | None) -> None:
        """One question; `ms` is None if there was no answer."""
        begins = datetime.fromtimestamp(at.timestamp() // LASTS.total_seconds() * LASTS.total_seconds(), UTC)
        last = self._quarters.pop() if self._quarters and self._quarters[-1].at == begins else Quarter(begins)
        self._quarters.append(
            Quarter(begins, last.asked + 1, last.failed + (ms is None), max(last.worst_ms, ms or 0.0))
        )

    def report(self) -> list[dict]:
        """The oldest first."""
        return [
            {"at": moment(each.at), "asked": each.asked, "failed": each.failed, "worst_ms": each.worst_ms}
            for each in list(self._quarters)
        ]
