"""One check of the system page: what is so, against which limit, since when, and what to do if it is not well."""

from dataclasses import dataclass, field
from datetime import datetime

from jobs.said import Answer, Disk

OK, WARN, BAD, OFF, UNKNOWN = "ok", "warn", "bad", "off", "unknown"


@dataclass(frozen=True)
class Check:
    """`what` is shown where the check is not well; `at` is a moment that belongs to the value, `since` to the state."""

    name: str
    state: str
    value: str
    limit: str = ""
    at: datetime | None = None
    since: datetime | None = None
    what: str = ""
    answers: list[Answer] = field(default_factory=list)
    disk: Disk | None = None

    @property
    def word(self) -> str:
        return {OK: "well", WARN: "look", BAD: "wrong", OFF: "off", UNKNOWN: "unknown"}[self.state]
