"""What a process says of disks, engine and workers, once `jobs.signs` has read it: plain facts with their meanings."""

from dataclasses import dataclass
from datetime import datetime, timedelta

_MOST_TIMES = 1000


@dataclass(frozen=True)
class Disk:
    """Sizes in bytes; `error` instead of them where the disk could not be asked."""

    name: str
    at: datetime | None
    free: int = 0
    total: int = 0
    least: int = 0
    error: str = ""
    # What was free at that time, at most a day ago; no time if it is not known.
    then_at: datetime | None = None
    then_free: int = 0

    @property
    def grown(self) -> int:
        """By so much more is used than then; negative if less is."""
        return self.then_free - self.free

    @property
    def full_in(self) -> timedelta | None:
        """When it is full if it goes on like that; None if it does not fill, or not in a time that counts."""
        if not (self.then_at and self.at and self.grown > 0 and self.at > self.then_at):
            return None
        times = max(0, self.free - self.least) / self.grown
        return (self.at - self.then_at) * times if times < _MOST_TIMES else None

    @property
    def used(self) -> int:
        return max(0, self.total - self.free)

    @property
    def percent(self) -> int:
        return round(100 * self.used / self.total) if self.total else 0

    @property
    def low(self) -> int:
        """So much may be used before it is nearly full; `high`: before it is full."""
        return max(0, self.total - 2 * self.least)

    @property
    def high(self) -> int:
        return max(0, self.total - self.least)

    @property
    def is_full(self) -> bool:
        """No new job starts."""
        return not self.error and self.free < self.least

    @property
    def is_nearly_full(self) -> bool:
        return not self.error and self.free < 2 * self.least


@dataclass(frozen=True)
class Answer:
    """One question that was asked of an engine or a job-server: how long the answer took, or why there was none."""

    at: datetime | None
    ms: float | None
    error: str


@dataclass(frozen=True)
class Quarter:
    """A quarter of an hour of questions to the engine: how many, how many without an answer, the slowest answer."""

    at: datetime | None
    asked: int = 0
    failed: int = 0
    worst_ms: float = 0.0

    @property
    def answer(self) -> Answer:
        """As one bar of a strip."""
        error = f"{self.failed} of {self.asked} without an answer" if self.failed else ""
        return Answer(self.at, self.worst_ms, error)


@dataclass(frozen=True)
class Slots:
    pool: str
    used: float
    limit: int


@dataclass(frozen=True)
class BeforeReboot:
    """What the runner found when it last looked: `flag` is the setting of the switch, by primary key.

    `containers` are those of ours that run, None if the engine did not say.
    """

    flag: int | None
    running: int | None
    containers: int | None
