"""What a cancel, kill or retry of many jobs would bring about, told before anybody confirms it.

Nothing is changed here, and the number of queries does not depend on how many jobs there are, beyond one for every 500.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from django.db.models import Prefetch, prefetch_related_objects

from jobs.models import AuditEntry, Job, JobRequest
from jobs.text import counted

_MOST_AT_ONCE = 500
# Of so many jobs the pages show a line each, and of so many of those behind them.
MOST_SHOWN, MOST_BEHIND = 500, 30
# What fates are told from; there may be thousands of jobs.
_TOLD = (
    *("identifier", "request_id", "workspace", "action", "state", "status_code", "started_at"),
    *("stop_request", "stop_requested_by", "retry_requested_at", "retry_requested_by", "was_cleared"),
)
CANCEL, KILL, RETRY, CLEAR = "cancel", "kill", "retry", "clear"


@dataclass(frozen=True)
class Fate:
    """One of the jobs, and what would become of it; `is_refused` if nothing."""

    job: Job
    sentence: str
    is_refused: bool = False


@dataclass(frozen=True)
class Consequences:
    verb: str
    jobs: list[Job]
    unknown: list[str]
    # Pending jobs that are not among `jobs` but wait for one that would be stopped: how many, and the first of them.
    number_behind: int
    dependents: list[Job]
    # Of the first jobs those that were asked for again before: identifier -> by whom, when and in which request.
    asked_before: dict[str, str]
    # Jobs that those which run again need and that did not succeed either.
    number_needed: int = 0

    @cached_property
    def fates(self) -> list[Fate]:
        if self.verb == RETRY:
            return [_fate_of_retry(job, self.asked_before.get(job.identifier, "")) for job in self.jobs]
        if self.verb == CLEAR:
            return [_fate_of_clearing(job) for job in self.jobs]
        return [_fate_of_stop(job, self.verb) for job in self.jobs]

    @cached_property
    def affected(self) -> list[Job]:
        return [fate.job for fate in self.fates if not fate.is_refused]

    @property
    def question(self) -> str:
        """ "Cancel 7 jobs in 2 requests?" """
        requests = len({job.request_id for job in self.affected})
        return f"{self.verb.capitalize()} {counted(len(self.affected), 'job')} in {counted(requests, 'request')}?"

    @property
    def sentences(self) -> list[str]:
        of_verb = {RETRY: self._of_retry, CLEAR: self._of_clearing}
        told = of_verb.get(self.verb, self._of_stop)()
        return [sentence for number, sentence in told if number]

    def _of_stop(self) -> list[tuple[int, str]]:
        running = sum(job.has_begun for job in self.affected)
        waiting, behind = len(self.affected) - running, self.number_behind
        left = len(self.jobs) - len(self.affected)
        return [
            (running, f"{running} running will be stopped; what they have made so far is not kept as outputs."),
            (waiting, f"{waiting} waiting will not start."),
            (behind, f"{_of_later_jobs(behind)} will not run either (dependency failed)."),
            (left, f"{left} will be left as they are: see below why."),
            (len(self.unknown), f"{len(self.unknown)} cannot be found any more."),
        ]

    def _of_retry(self) -> list[tuple[int, str]]:
        cut_off = sum(job.is_cut_off for job in self.affected)
        again, left = len(self.affected) - cut_off, len(self.jobs) - len(self.affected)
        requests = len({job.request_id for job in self.affected if not job.is_cut_off})
        before = sum(job.identifier in self.asked_before for job in self.affected if not job.is_cut_off)
        return [
            (cut_off, f"{cut_off} will be finalised again, without running: a fault of this system cut them off."),
            (again, f"{again} will run again, in {counted(requests, 'new request')} at the same commit."),
            (self.number_needed, f"{_of_needed(self.number_needed)} will run first, unless a later run has succeeded."),
            (before, f"{before} of them {'was' if before == 1 else 'were'} asked for again before: see below by whom."),
            (left, f"{left} will be left as they are: see below why."),
            (len(self.unknown), f"{len(self.unknown)} cannot be found any more."),
        ]

    def _of_clearing(self) -> list[tuple[int, str]]:
        number, left = len(self.affected), len(self.jobs) - len(self.affected)
        return [
            (number, f"Of {number} the container and folder that were kept are removed for good, with all in them."),
            (number, "They cannot be finalised again then, only run again."),
            (left, f"{left} will be left as they are: see below why."),
            (len(self.unknown), f"{len(self.unknown)} cannot be found any more."),
        ]


def _of_later_jobs(number: int) -> str:
    return "1 later job that needs them" if number == 1 else f"{number} later jobs that need them"


def _of_needed(number: int) -> str:
    return f"{counted(number, 'more job')} that they need, and that did not succeed either,"


def consequences(verb: str, identifiers: Iterable[str]) -> Consequences:
    """`verb` is one of CANCEL, KILL, RETRY and CLEAR; the jobs come in the order of the identifiers.

    Of the first MOST_SHOWN their requests are loaded as well.
    """
    wanted = list(dict.fromkeys(identifiers))
    found: dict[str, Job] = {}
    for start in range(0, len(wanted), _MOST_AT_ONCE):
        chunk = Job.objects.filter(identifier__in=wanted[start : start + _MOST_AT_ONCE]).order_by()
        found |= {job.identifier: job for job in chunk.only(*_TOLD)}
    jobs = [found[identifier] for identifier in wanted if identifier in found]
    unknown = [identifier for identifier in wanted if identifier not in found]
    requests = JobRequest.objects.only("identifier")
    prefetch_related_objects(jobs[:MOST_SHOWN], Prefetch("request", queryset=requests))
    behind = _behind(jobs, verb) if verb in (CANCEL, KILL) else []
    shown = Job.objects.filter(pk__in=behind[:MOST_BEHIND]).only(*_TOLD).order_by("pk")
    asked_before = _asked_before(jobs[:MOST_SHOWN]) if verb == RETRY else {}
    needed = _needed(jobs) if verb == RETRY else 0
    return Consequences(verb, jobs, unknown, len(behind), list(shown), asked_before, needed)


def _needed(jobs: list[Job]) -> int:
    again = [job.pk for job in jobs if not (job.is_cut_off or _fate_of_retry(job, "").is_refused)]
    return sum(
        len(Job.objects.all().unsuccessful_needs(again[start : start + _MOST_AT_ONCE]) - set(again))
        for start in range(0, len(again), _MOST_AT_ONCE)
    )


def _asked_before(jobs: list[Job]) -> dict[str, str]:
    """The newest of each, from the audit. One query."""
    entries = AuditEntry.objects.filter(object_kind="job", object_id__in=[job.identifier for job in jobs], verb="rerun")
    rows = entries.order_by("pk").values_list("object_id", "actor", "at", "after")
    return {job: f"by {actor} at {at:%Y-%m-%d %H:%M} UTC, in request {request}" for job, actor, at, request in rows}


def _behind(jobs: list[Job], verb: str) -> list[int]:
    stopped = {job.pk for job in jobs if not _fate_of_stop(job, verb).is_refused}
    return sorted(Job.objects.all().waiting_behind(stopped) - stopped) if stopped else []


def _fate_of_stop(job: Job, verb: str) -> Fate:
    if job.is_finished:
        return Fate(job, f"has ended already ({job.status_code}); nothing changes", is_refused=True)
    if job.stop_request and (verb == CANCEL or job.stop_request == Job.StopRequest.KILL):
        return Fate(job, f"was asked to stop already, by {job.stop_requested_by}", is_refused=True)
    return Fate(job, "will be stopped" if job.has_begun else "will not start")


def _fate_of_clearing(job: Job) -> Fate:
    if job.is_active:
        return Fate(job, "is still active; kill it first", is_refused=True)
    if job.retry_requested_at:
        return Fate(job, f"was asked for already, by {job.retry_requested_by}", is_refused=True)
    if job.is_cut_off:
        return Fate(job, "what was kept of it will be removed")
    return Fate(job, f"nothing was kept of it: it ended as {job.status_code}", is_refused=True)


def _fate_of_retry(job: Job, asked_before: str) -> Fate:
    if job.is_active:
        return Fate(job, "is still active; cancel it first, or wait until it ends", is_refused=True)
    if job.retry_requested_at:
        return Fate(job, f"is to be finalised again already, asked by {job.retry_requested_by}", is_refused=True)
    if job.is_cut_off:
        return Fate(job, "will be finalised again")
    before = f"; it was asked for again before, {asked_before}" if asked_before else ""
    return Fate(job, f"will run again in a new request{before}")
