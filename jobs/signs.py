"""What the processes say of themselves with each sign of life, read with suspicion: each as what it has to be.

A sign may come from an older version of the code, and a job-server may have brought words into what sync says. Whatever
is not of the expected kind counts as not said. Reads the database once, asks nothing else.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from jobs.models import Heartbeat
from jobs.models.flag import FRESH, is_recent
from jobs.said import Answer, BeforeReboot, Disk, Quarter, Slots
from jobs.text import UNSAFE_CHARACTERS
from jobs.wire import moment

# What sync says of itself (Heartbeat.beat) and /healthz/ passes on, whatever else it may come to say.
_TIMES = (
    "started_at",
    "last_poll_at",
    "last_post_at",
    "poll_failing_since",
    "post_failing_since",
    "oldest_undelivered_since",
)
_COUNTS = ("poll_failures", "post_failures", "waiting_to_be_planned", "waiting_to_be_delivered")
_SENTENCES = ("poll_failure", "post_failure")
SAID_BY_SYNC = (*_TIMES, *_COUNTS, *_SENTENCES)
MOST_TEXT = 300
_MOST_COUNT = 10**12
_MOST_SIZE = 10**18
_MOST_LISTED = 20


class Sign:
    """The last sign of life of one process; `at` is None if it was never heard."""

    def __init__(self, beat: Heartbeat | None):
        self.at: datetime | None = beat.at if beat else None
        self.detail: Mapping = beat.detail if beat and isinstance(beat.detail, dict) else {}

    @property
    def is_fresh(self) -> bool:
        return self.at is not None and is_recent(self.at, FRESH)

    @property
    def last_heard(self) -> str:
        """Goes on after the process's name."""
        return f"was last heard at {self.at:%Y-%m-%d %H:%M:%S} UTC" if self.at else "was never heard"

    def time(self, key: str) -> datetime | None:
        return _time(self.detail.get(key))

    def count(self, key: str) -> int | None:
        return _count(self.detail.get(key))

    def number(self, key: str) -> float | None:
        return _number(self.detail.get(key))

    def sentence(self, key: str) -> str | None:
        return _sentence(self.detail.get(key))

    def seen(self) -> dict:
        """For /healthz/: `at` and `age_seconds`."""
        if self.at is None:
            return {"at": None, "age_seconds": None}
        return {"at": moment(self.at), "age_seconds": round((timezone.now() - self.at).total_seconds(), 1)}

    def answers(self, key: str) -> list[Answer]:
        """The last questions and their answers, oldest first."""
        return [
            Answer(_time(each.get("at")), _number(each.get("ms")), _sentence(each.get("error")) or "")
            for each in _mappings(self.detail.get(key))
        ]


class Run(Sign):
    """Of `manage.py run`."""

    @property
    def engine_silent_since(self) -> datetime | None:
        since = self.number("engine_unavailable_since")
        return datetime.fromtimestamp(since, UTC) if since and since < 10**11 else None

    @property
    def engine_hours(self) -> list[Quarter]:
        """The last hours, oldest first."""
        return [quarter(each) for each in _mappings(self.detail.get("engine_hours"))]

    @property
    def disks(self) -> list[Disk]:
        return [_disk(each) for each in _mappings(self.detail.get("disks"))]

    @property
    def git_copies(self) -> tuple[datetime | None, int, int] | None:
        """When they were looked at, how many copies of repositories there are, and how many bytes they take."""
        said = self.detail.get("git_copies")
        if not isinstance(said, dict):
            return None
        size = _count(said.get("bytes"), _MOST_SIZE)
        return _time(said.get("at")), _count(said.get("copies")) or 0, size or 0

    @property
    def slots(self) -> list[Slots]:
        pools = self.detail.get("slots")
        found = pools.items() if isinstance(pools, dict) else ()
        return [
            Slots(_sentence(pool) or "", _number(each.get("used")) or 0.0, _count(each.get("limit")) or 0)
            for pool, each in found
            if isinstance(each, dict)
        ]

    @property
    def database_status(self) -> tuple[datetime | None, bool | None, str] | None:
        """When the database was last asked whether it is being maintained, what it said, or why it did not."""
        said = self.detail.get("database_status")
        if not isinstance(said, dict):
            return None
        is_maintained = said.get("maintenance")
        known = is_maintained if isinstance(is_maintained, bool) else None
        return _time(said.get("at")), known, _sentence(said.get("error")) or ""

    @property
    def reboot(self) -> BeforeReboot | None:
        """None while the runner knows of no reboot that is prepared."""
        said = self.detail.get("reboot")
        if not isinstance(said, dict):
            return None
        return BeforeReboot(*(_count(said.get(key)) for key in ("flag", "running", "containers")))

    @property
    def chores_are_on(self) -> bool:
        """Whether it does chores at all; an older version that says nothing of them does none."""
        said = self.detail.get("chores")
        return isinstance(said, dict) and said.get("on") is True

    @property
    def why_held(self) -> dict[str, str]:
        held = self.detail.get("why_held")
        return {_sentence(pool): _sentence(why) or "" for pool, why in held.items()} if isinstance(held, dict) else {}


class Sync(Sign):
    """Of `manage.py sync`. `said` is what /healthz/ passes on."""

    @property
    def said(self) -> dict[str, str | int | None]:
        readers: dict[tuple[str, ...], Callable] = {
            _TIMES: lambda key: moment(self.time(key)),
            _COUNTS: self.count,
            _SENTENCES: self.sentence,
        }
        return {key: read(key) for keys, read in readers.items() for key in keys}

    @property
    def is_needed(self) -> bool:
        return bool(settings.JOB_SERVER_ENDPOINT or settings.RAP_API_TOKENS)


@dataclass(frozen=True)
class Signs:
    run: Run
    sync: Sync

    @classmethod
    def read(cls) -> "Signs":
        """One query. Raises DatabaseError."""
        beats = {beat.name: beat for beat in Heartbeat.objects.filter(name__in=("run", "sync"))}
        return cls(Run(beats.get("run")), Sync(beats.get("sync")))


def quarter(said: Mapping) -> Quarter:
    """What somebody says of one, each part as what it has to be."""
    asked = _count(said.get("asked")) or 0
    failed = min(asked, _count(said.get("failed")) or 0)
    return Quarter(_time(said.get("at")), asked, failed, _number(said.get("worst_ms")) or 0.0)


def _disk(said: Mapping) -> Disk:
    keys = ("free", "total", "least", "then_free")
    sizes = {key: min(_MOST_SIZE, _count(said.get(key), _MOST_SIZE) or 0) for key in keys}
    times = {"at": _time(said.get("at")), "then_at": _time(said.get("then_at"))}
    return Disk(_sentence(said.get("name")) or "", **times, error=_sentence(said.get("error")) or "", **sizes)


def _mappings(value: object) -> Iterator[Mapping]:
    return (each for each in (value if isinstance(value, list) else [])[-_MOST_LISTED:] if isinstance(each, dict))


def _time(value: object) -> datetime | None:
    try:
        time = parse_datetime(value) if isinstance(value, str) else None
        return time.astimezone(UTC) if time and time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _count(value: object, most: int = _MOST_COUNT) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < most
    return value if is_count else None


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST_COUNT
    return float(value) if is_number else None


def _sentence(value: object) -> str | None:
    return UNSAFE_CHARACTERS.sub(" ", value)[:MOST_TEXT] if isinstance(value, str) else None
