"""Against guessing passwords: who fails too often has to wait, longer each time.

Three counts. Of a name at an address: five failures. Of a name wherever the guesses come from, and of an address
whatever names it tries: many more, and these two never keep out somebody at an address from which that name has signed
in within the last month. So guessing from many machines is slow, and yet locks no operator out of their own desk.

An attempt counts as a failure before its password is looked at, and is taken back when the password was right: however
many come at once, no more than the limit are tried. Attempts during a lock-out are not counted and do not prolong it.
"""

import ipaddress
import logging
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from jobs.log import escape
from jobs.models import AuditEntry, LogInCount, Who

log = logging.getLogger(__name__)

Key = tuple[str, str]
FAILURES_COUNT_FOR = timedelta(hours=24)
ADDRESS_IS_KNOWN_FOR = timedelta(days=30)
MOST_STRANGERS = 10_000
_MOST_AHEAD = timedelta(minutes=1)


@dataclass(frozen=True)
class Limit:
    """So many failures are free; then a pause, and after each further one a pause twice as long."""

    failures: int
    longest: timedelta
    first: timedelta = timedelta(minutes=1)

    def pause(self, failures: int) -> timedelta:
        if failures < self.failures:
            return timedelta(0)
        return min(self.longest, self.first * 2 ** min(failures - self.failures, 20))


PAIR = Limit(5, timedelta(hours=1))
NAME = Limit(50, timedelta(minutes=15))
ADDRESS = Limit(100, timedelta(minutes=15))


@dataclass(frozen=True)
class Attempt:
    """`until`: when this name may be tried from here again, if not now. `locks_until`: likewise, if this one fails.

    `left`: if this one fails, how many more may before there is a wait. It tells nothing of whether the name exists.
    """

    name: str
    address: str
    counted: tuple[Key, ...] = ()
    until: datetime | None = None
    locks_until: datetime | None = None
    left: int = PAIR.failures


def begin(name: str, address: str) -> Attempt:
    """Count one attempt, unless there have been too many. Then call `succeeded` or `failed`."""
    key, place = name_key(name), _place(address)
    now = timezone.now()
    if not key:
        return Attempt(name, address)
    if until := _locked_until(_limits(key, place, now), now):  # a look that costs others nothing comes first
        return Attempt(name, address, until=until)
    with transaction.atomic():
        limits = _limits(key, place, now)
        if until := _locked_until(limits, now):
            return Attempt(name, address, until=until)
        LogInCount.objects.forget(
            now, failures_for=FAILURES_COUNT_FOR, successes_for=ADDRESS_IS_KNOWN_FOR, most=MOST_STRANGERS
        )
        failures = {each: _count(each, row, now) for each, (_, row) in limits.items()}
    longest = max(limit.pause(failures[each]) for each, (limit, _) in limits.items())
    left = min(limit.failures - failures[each] for each, (limit, _) in limits.items())
    return Attempt(name, address, tuple(limits), locks_until=now + longest if longest else None, left=max(0, left))


@transaction.atomic
def succeeded(attempt: Attempt) -> None:
    """In a transaction: a failure that is counted at this moment must not be lost."""
    now = timezone.now()
    for key in attempt.counted:
        row = LogInCount.objects.filter(name=key[0], address=key[1]).first()
        if row is None:
            continue
        if all(key):
            row.failures, row.succeeded_at = 0, now
        else:
            row.failures = max(0, row.failures - 1)
        row.save(update_fields=["failures", "succeeded_at"])


def failed(attempt: Attempt) -> None:
    """Only lock-outs are kept, and only those of people: whoever guesses must not be able to fill the database."""
    if attempt.locks_until is None:
        return
    name, until = escape(attempt.name)[:150], f"{attempt.locks_until:%Y-%m-%d %H:%M:%S} UTC"
    log.warning("too many failed attempts to sign in as %s from %s: locked until %s", name, attempt.address, until)
    if get_user_model().objects.filter(username=attempt.name).exists():
        stranger = Who("somebody", AuditEntry.Via.DASHBOARD, attempt.address)
        AuditEntry.note(stranger, "lock out", object_kind="user", object_id=name, label=name, after=f"until {until}")


def waits_until(row: LogInCount) -> datetime | None:
    """When the row keeps nobody out any more; None if it keeps nobody out now."""
    limit = PAIR if row.name and row.address else NAME if row.name else ADDRESS
    return _locked_until({(row.name, row.address): (limit, row)}, timezone.now())


def name_key(name: str) -> str:
    """As names are counted: what reads alike is one name."""
    return unicodedata.normalize("NFKC", name).casefold().strip()[:150]


def _place(address: str) -> str:
    """As addresses are counted: whoever has an IPv6 address has the whole /64."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))


def _limits(key: str, place: str, now: datetime) -> dict[Key, tuple[Limit, LogInCount | None]]:
    pair, whole_name, whole_address = (key, place), (key, ""), ("", place)
    rows = LogInCount.objects.of([pair, whole_name, whole_address])
    own = rows.get(pair)
    limits = {pair: (PAIR, own)}
    if not (own and own.succeeded_at and own.succeeded_at > now - ADDRESS_IS_KNOWN_FOR):
        limits |= {whole_name: (NAME, rows.get(whole_name)), whole_address: (ADDRESS, rows.get(whole_address))}
    return limits


def _locked_until(limits: dict[Key, tuple[Limit, LogInCount | None]], now: datetime) -> datetime | None:
    pauses = [(row, limit.pause(_failures(row, now))) for limit, row in limits.values() if row is not None]
    ends = [row.last_at + pause for row, pause in pauses if pause]
    return max((end for end in ends if end > now), default=None)


def _failures(row: LogInCount | None, now: datetime) -> int:
    """A time that lies ahead was written before somebody set the clock back: it must not lock for as long as that."""
    counts = row is not None and now - FAILURES_COUNT_FOR < row.last_at <= now + _MOST_AHEAD
    return row.failures if counts else 0


def _count(key: Key, row: LogInCount | None, now: datetime) -> int:
    failures = _failures(row, now) + 1
    LogInCount.objects.update_or_create(name=key[0], address=key[1], defaults={"failures": failures, "last_at": now})
    return failures
