"""A page of the list of jobs, and how many of each kind there are: as cheap with a million jobs as with a hundred.

Jobs that are active are few enough to be sorted. Of those that have ended only WINDOW are looked through for one page;
the reader is told how far that went and may look further back. Kinds are what people call states: their codes are here.
"""

from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from django.db.models import Count, Max, Min, Q, QuerySet, TextField
from django.db.models.functions import Cast, Substr

from jobs.models.by_state import with_code
from jobs.models.job import Job
from jobs.states import (
    ACTIVE_CODES,
    ACTIVE_STATES,
    CODES_OF,
    FINAL_STATES,
    PENDING_CODES,
    RUNNING_CODES,
    State,
    StatusCode,
)

WINDOW = 20_000
_STOPPED = (StatusCode.CANCELLED_BY_USER, StatusCode.KILLED_BY_ADMIN, StatusCode.DEPENDENCY_FAILED)
# Kind -> codes, in the order in which people see them.
KINDS: dict[str, tuple[StatusCode, ...]] = {
    "running": RUNNING_CODES,
    "waiting": PENDING_CODES,
    "failed": tuple(code for code in CODES_OF[State.FAILED] if code not in _STOPPED),
    "succeeded": CODES_OF[State.SUCCEEDED],
    "stopped": _STOPPED,
}
ACTIVE_KINDS = ("running", "waiting")
KIND_OF = {code: kind for kind, codes in KINDS.items() for code in codes}
NEWEST, OLDEST, LONGEST = "newest", "oldest", "longest"
_LAST_LETTER = "\U0010ffff"


@dataclass(frozen=True)
class Wanted:
    """What a list shows; empty means all. `stuck_since`: only active jobs whose status has not changed since."""

    kinds: tuple[str, ...] = ()
    word: str = ""
    workspace: str = ""
    backend: str = ""
    requester: str = ""
    needs_db: bool = False
    ended_since: datetime | None = None
    stuck_since: datetime | None = None
    sort: str = NEWEST

    @property
    def codes(self) -> tuple[StatusCode, ...]:
        chosen = tuple(chain.from_iterable(KINDS[kind] for kind in self.kinds)) or tuple(StatusCode)
        if self.stuck_since or self.sort != NEWEST:
            chosen = tuple(code for code in chosen if code in ACTIVE_CODES)
        if self.ended_since:
            chosen = tuple(code for code in chosen if code not in ACTIVE_CODES)
        return chosen

    @property
    def conditions(self) -> Q:
        """All but the codes."""
        found = Q()
        if self.word:
            beginning = {"gte": self.word, "lt": self.word + _LAST_LETTER}
            either = (Q(**{f"{column}__{how}": to for how, to in beginning.items()}) for column in _BEGINNINGS)
            found &= next(either) | next(either)
        equal = {"workspace": self.workspace, "backend": self.backend, "request__created_by": self.requester}
        found &= Q(**{column: value for column, value in equal.items() if value})
        if self.needs_db:
            found &= Q(requires_db=True)
        if self.ended_since:
            found &= Q(completed_at__gte=self.ended_since)
        if self.stuck_since:
            found &= Q(status_changed_at__lt=self.stuck_since)
        return found


_BEGINNINGS = ("action", "identifier")


@dataclass(frozen=True)
class Page:
    """`older`: what to ask for next (`before` or, with another order than NEWEST, `skip`), None at the end.

    `looked_back_to`: set if older jobs were not looked at, although the page is not full.
    """

    jobs: list[Job]
    older: int | None
    looked_back_to: datetime | None = None


def page_of(wanted: Wanted, size: int, *, before: int | None = None, skip: int = 0) -> Page:
    if wanted.sort != NEWEST:
        order = "pk" if wanted.sort == OLDEST else "status_changed_at"
        pks = list(_active(wanted).order_by(order, "pk").values_list("pk", flat=True)[skip : skip + size + 1])
        return Page(_in_order(pks[:size]), skip + size if len(pks) > size else None)
    pks, floor = _newest(wanted, size + 1, before)
    jobs = _in_order(pks[:size])
    if len(pks) > size:
        return Page(jobs, pks[size - 1])
    if floor is None:
        return Page(jobs, None)
    looked_back_to = Job.objects.filter(pk__gte=floor).order_by("pk").values_list("created_at", flat=True).first()
    return Page(jobs, floor, looked_back_to)


def matching(wanted: Wanted, most: int) -> list[str]:
    """Identifiers of what the list has on all its pages, as far as one page would look, at most so many."""
    pks = _matching(wanted, most)
    chunks = (pks[start : start + 500] for start in range(0, len(pks), 500))
    found = (Job.objects.filter(pk__in=chunk).order_by("-pk").values_list("identifier", flat=True) for chunk in chunks)
    return list(chain.from_iterable(found))


def number_matching(wanted: Wanted, most: int) -> int:
    return len(_matching(wanted, most))


def _matching(wanted: Wanted, most: int) -> list[int]:
    if wanted.sort != NEWEST:
        return _first(_active(wanted), most)
    return _newest(wanted, most, None)[0]


def _newest(wanted: Wanted, number: int, before: int | None) -> tuple[list[int], int | None]:
    """The newest primary keys, and below which one nothing was looked at (None: everything was)."""
    conditions = wanted.conditions
    if len(wanted.codes) == len(StatusCode) and not conditions:
        return _first(_until(Job.objects.all(), before), number), None
    if not conditions:
        return _merged([_until(with_code(Job.objects.all(), code), before) for code in wanted.codes], number), None
    parts, floor = [_until(_active(wanted), before)], None
    if ended := [code for code in wanted.codes if code not in ACTIVE_CODES]:
        last = before or (Job.objects.aggregate(last=Max("pk"))["last"] or 0) + 1
        floor = last - WINDOW if last > WINDOW + 1 else None
        in_window = Job.objects.filter(pk__lt=last, pk__gte=floor or 0)
        parts.append(in_window.filter(conditions, state__in=FINAL_STATES, status_code__in=ended))
    return _merged(parts, number), floor


def _active(wanted: Wanted) -> QuerySet:
    codes = [code for code in wanted.codes if code in ACTIVE_CODES]
    return Job.objects.filter(wanted.conditions, state__in=ACTIVE_STATES, status_code__in=codes)


def _until(jobs: QuerySet, before: int | None) -> QuerySet:
    return jobs if before is None else jobs.filter(pk__lt=before)


def _first(jobs: QuerySet, number: int) -> list[int]:
    return list(jobs.order_by("-pk").values_list("pk", flat=True)[:number])


def _merged(parts: list[QuerySet], number: int) -> list[int]:
    return sorted(chain.from_iterable(_first(part, number) for part in parts), reverse=True)[:number]


def _in_order(pks: list[int]) -> list[Job]:
    jobs = Job.objects.filter(pk__in=pks).select_related("request").defer(*LARGE).in_bulk()
    return [jobs[pk] for pk in pks if pk in jobs]


# What no list shows; there may be a lot in it.
LARGE = (
    *("run_command", "arguments", "output_spec", "needs", "outcome_detail", "status_detail", "trace_context"),
    *("request__original", "request__graph", "request__study_actions", "request__faults", "request__joined_jobs"),
    *("request__withdrawn_jobs", "request__requested_actions"),
)


@dataclass(frozen=True)
class Activity:
    """How many jobs are active now, the oldest of each kind, and per hour ("2026-11-26 10") what began and ended."""

    active: dict[str, int]
    oldest: dict[str, datetime]
    per_hour: dict[str, dict[str, int]]


def activity(since: datetime) -> Activity:
    """Five queries, each as dear as there are active jobs or jobs that changed since then."""
    active = {kind: 0 for kind in ACTIVE_KINDS}
    first: dict[str, int] = {}
    states = Job.objects.active().order_by().values("state").annotate(number=Count("pk"), first=Min("pk"))
    for state, number, oldest in states.values_list("state", "number", "first"):
        kind = "running" if state == State.RUNNING else "waiting"
        active[kind], first[kind] = number, oldest
    begun = dict(Job.objects.filter(pk__in=first.values()).values_list("pk", "created_at"))
    per_hour: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    ended = Job.objects.filter(state__in=FINAL_STATES, completed_at__gte=since)
    for code, hour, number in _counted(ended, "completed_at", "status_code"):
        of_kind = per_hour[KIND_OF[StatusCode(code)]]
        of_kind[hour] = of_kind.get(hour, 0) + number
    for kind, column in (("waiting", "created_at"), ("running", "started_at")):
        new = Job.objects.filter(updated_at__gte=since, **{f"{column}__gte": since})
        per_hour[kind] = {hour: number for hour, number in _counted(new, column)}
    return Activity(active, {kind: begun[pk] for kind, pk in first.items() if pk in begun}, per_hour)


def _counted(jobs: QuerySet, column: str, *more: str) -> QuerySet:
    hours = jobs.order_by().annotate(hour=Substr(Cast(column, TextField()), 1, 13)).values(*more, "hour")
    return hours.annotate(number=Count("pk")).values_list(*more, "hour", "number")
