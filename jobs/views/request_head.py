"""How a request stands in one line, and what can be done about it: the head of its page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from urllib.parse import urlencode

from django.db.models import Count, Max
from django.urls import reverse
from django.utils import timezone

from jobs.drawing import MOST_BOXES, Box
from jobs.durations import typical_seconds
from jobs.estimate import seconds_left
from jobs.models import AuditEntry, Delivery, Job, JobRequest
from jobs.models.request_history import ByWish, identifiers_by_wish, last_success_before, tally
from jobs.states import State
from jobs.text import duration_in_words

_ON_GITHUB = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+?(?:\.git)?/?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SIGNS = {"waiting": "◌", "running": "●", "done": "✓", "failed": "✗"}
_REDRAW_SECONDS = 30


def changed(identifier: str, tab: str) -> tuple:
    """What the tag of the page is made of: everything that it shows."""
    columns = ("pk", "outcome", "outcome_message", "joined_jobs")
    found = JobRequest.objects.filter(identifier=identifier).values_list(*columns).first()
    if not found:
        return (None,)
    jobs = Job.objects.filter(request=found[0]).order_by().aggregate(at=Max("updated_at"), number=Count("pk"))
    parts = [*found, *jobs.values()]
    if tab == "jobs":
        others = Job.objects.filter(identifier__in=found[3][:MOST_BOXES])
        if 0 < jobs["number"] <= MOST_BOXES:
            needed = Job.waits_for.through.objects.filter(from_job__request=found[0]).exclude(to_job__request=found[0])
            parts.append(needed.aggregate(at=Max("to_job__updated_at"))["at"])
        parts.append(others.aggregate(at=Max("updated_at"))["at"] if found[3] else None)
    if tab == "events":
        parts += Delivery.objects.filter(pk=found[0]).values_list("acknowledged_at", "failing_since", "failure")
        parts.append(AuditEntry.objects.aggregate(last=Max("pk"))["last"])
    if tab == "timeline" and Job.objects.filter(request=found[0]).active().exists():
        parts.append(int(timezone.now().timestamp() // _REDRAW_SECONDS))
    return tuple(parts)


@dataclass(frozen=True)
class Head:
    request: JobRequest
    numbers: dict[str, int]
    cancellable: int
    retriable: int
    repeatable: int
    before: JobRequest | None

    @classmethod
    def of(cls, request: JobRequest, user) -> "Head":
        """Four queries, less for a request without jobs."""
        numbers = tally(request)
        may = numbers and (user.has_perm("jobs.cancel_job") or user.has_perm("jobs.retry_job"))
        found = identifiers_by_wish(request) if may else ByWish()
        return cls(
            request,
            numbers,
            len(found.cancellable) if user.has_perm("jobs.cancel_job") else 0,
            len(found.failed) if user.has_perm("jobs.retry_job") else 0,
            len(found.whole) if user.has_perm("jobs.retry_job") else 0,
            last_success_before(request),
        )

    def _number(self, state: State) -> int:
        return self.numbers.get(state.value, 0)

    @property
    def count(self) -> int:
        return sum(self.numbers.values())

    @property
    def failed(self) -> int:
        return self._number(State.FAILED)

    @property
    def done(self) -> int:
        return self._number(State.SUCCEEDED)

    @property
    def active(self) -> int:
        return self.count - self.done - self.failed

    @property
    def is_open(self) -> bool:
        """Whether anything may still change by itself."""
        has_joined = self.request.outcome == JobRequest.Outcome.ALREADY_SCHEDULED
        return self.request.is_waiting or bool(self.active) or has_joined

    @property
    def can_be_drawn(self) -> bool:
        return 0 < self.count <= MOST_BOXES

    @property
    def kind(self) -> str:
        """waiting, running, done or failed: for the sign in the title and the icon."""
        if self.request.outcome == JobRequest.Outcome.REFUSED or self.failed:
            return "failed"
        if self.request.is_waiting:
            return "waiting"
        return "running" if self.active else "done"

    @property
    def sign(self) -> str:
        return f"{_SIGNS[self.kind]} {self.done}/{self.count}" if self.count else _SIGNS[self.kind]

    @property
    def sentence(self) -> str:
        """ "11 of 15 done · 1 failed · 1 running · 2 waiting"; for a request without jobs what became of it."""
        if not self.count:
            return f"This request {_BECAME.get(self.request.outcome, 'has no jobs')}."
        parts = [
            (self.failed, "failed or not run"),
            (self._number(State.RUNNING), "running"),
            (self._number(State.PENDING), "waiting"),
        ]
        return " · ".join([f"{self.done} of {self.count} done", *(f"{n} {word}" for n, word in parts if n)])

    @property
    def segments(self) -> list[tuple[str, str, int, int]]:
        """Class, word, and where the state's part of the bar begins and how wide it is, in thousandths."""
        order = ((State.SUCCEEDED, "succeeded"), (State.FAILED, "failed"))
        order += ((State.RUNNING, "running"), (State.PENDING, "waiting"))
        found, start = [], 0
        for state, word in order:
            width = round(1000 * self._number(state) / max(1, self.count))
            found.append((state.value, word, start, width))
            start += width
        return [segment for segment in found if segment[3]]

    @cached_property
    def repo_link(self) -> str:
        """Only what is certainly a page of GitHub is made a link."""
        url = self.request.repo_url
        return url.rstrip("/").removesuffix(".git") if _ON_GITHUB.fullmatch(url) else ""

    @property
    def commit_link(self) -> str:
        commit = self.request.commit
        return f"{self.repo_link}/commit/{commit}" if self.repo_link and _COMMIT.fullmatch(commit) else ""

    @property
    def compare_link(self) -> str:
        """From the last request of the workspace that succeeded altogether to this one."""
        if not (self.before and self.commit_link and _COMMIT.fullmatch(self.before.commit)):
            return ""
        if self.before.repo_url != self.request.repo_url or self.before.commit == self.request.commit:
            return ""
        return f"{self.repo_link}/compare/{self.before.commit}...{self.request.commit}"

    @property
    def cancel_link(self) -> str:
        return self._address_of("cancel-jobs") if self.cancellable else ""

    @property
    def retry_link(self) -> str:
        return self._address_of("retry-jobs") if self.retriable else ""

    @property
    def repeat_link(self) -> str:
        """Where everything has failed, retrying that is the same."""
        return self._address_of("retry-jobs", whole="1") if self.repeatable > self.retriable else ""

    def _address_of(self, name: str, **more: str) -> str:
        """Of the page that asks about all such jobs of the request, as they are when it is opened."""
        return f"{reverse(name)}?{urlencode({'request': self.request.identifier, **more})}"


_BECAME = {
    JobRequest.Outcome.WAITING: "waits to be planned",
    JobRequest.Outcome.NOTHING_TO_DO: "has nothing to do: all of it was done before",
    JobRequest.Outcome.ALREADY_SCHEDULED: "is done by jobs of other requests",
    JobRequest.Outcome.REFUSED: "could not be planned",
}


def left_over(head: Head, boxes: Sequence[Box], now: datetime | None = None) -> str:
    """ "about 12m left (from the last good runs)", or why nobody can tell; empty if nothing is active."""
    jobs = [box.job for box in boxes]
    active = [job for job in jobs if job.is_active]
    if not head.active or not active:
        return ""
    needs = {box.job.pk: box.needs for box in boxes}
    seconds = seconds_left(jobs, needs, typical_seconds(active), now or timezone.now())
    if seconds is None:
        return "no estimate: not all of these actions have succeeded before"
    if seconds < 1:
        return "longer than the last good runs"
    minutes = timedelta(seconds=max(60, round(seconds / 60) * 60))
    return f"about {duration_in_words(minutes)} left (from the last good runs)"
