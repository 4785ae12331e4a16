"""Which jobs: the named querysets, and the writer of a status for many waiting jobs at once.

Every question about a status is asked here by name; nobody else filters by one.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Greatest
from django.utils import timezone

from jobs.models.status_change import StatusChange, check_transition
from jobs.states import ACTIVE_STATES, State, StatusCode

if TYPE_CHECKING:
    from jobs.models.job import Job


# What somebody has asked for; steps read them afresh.
STOP_COLUMNS = ("stop_request", "stop_requested_by", "stop_requested_at", "stop_reason")
RETRY_COLUMNS = ("retry_requested_by", "retry_requested_at", "retry_reason")
_STANDING = (
    *("identifier", "action", "state", "status_code", "stop_request", "run_command", "has_dummy_data"),
    *("request__repo_url", "request__commit", "request__database_name"),
)


class _Before(NamedTuple):
    """What a waiting job's row says before it is moved."""

    pk: int
    status_code: str
    attempt: int
    status_changed_at: datetime


class JobQuerySet(models.QuerySet):
    def active(self) -> "JobQuerySet":
        return self.filter(state__in=ACTIVE_STATES)

    def pending(self) -> "JobQuerySet":
        return self.filter(state=State.PENDING)

    def running(self) -> "JobQuerySet":
        return self.filter(state=State.RUNNING)

    def executing(self) -> "JobQuerySet":
        """Their containers run, as far as is known."""
        return self.filter(state=State.RUNNING, status_code=StatusCode.EXECUTING)

    def succeeded(self) -> "JobQuerySet":
        return self.filter(state=State.SUCCEEDED)

    def failed(self) -> "JobQuerySet":
        return self.filter(state=State.FAILED)

    def doomed(self) -> "JobQuerySet":
        """Pending jobs that can never start: a job that they wait for has failed."""
        waiting = self.filter(state=State.PENDING, status_code=StatusCode.WAITING_ON_DEPENDENCIES)
        # "Neither active nor succeeded", not "failed": an index on failed jobs would tempt the database to begin there.
        return waiting.filter(Exists(self._waited_for(~Q(to_job__state__in=(*ACTIVE_STATES, State.SUCCEEDED)))))

    def ready(self) -> "JobQuerySet":
        """Pending jobs that only lack a worker, or whose last awaited job has just succeeded; none that is to stop."""
        released = ~Exists(self._waited_for(~Q(to_job__state=State.SUCCEEDED)))
        wanted = self.pending().filter(stop_request="")
        return wanted.filter(~Q(status_code=StatusCode.WAITING_ON_DEPENDENCIES) | released)

    def not_told(self, code: StatusCode, message: str) -> "JobQuerySet":
        """Jobs whose status says something else."""
        return self.exclude(status_code=code, status_message=message)

    def active_or_ended_since(self, moment: datetime) -> "JobQuerySet":
        """What is active now, whatever becomes of it, with what is created later; older ends are left out."""
        oldest = self.active().aggregate(oldest=models.Min("pk"))["oldest"]
        first = oldest or (self.aggregate(last=models.Max("pk"))["last"] or 0) + 1
        return self.filter(pk__gte=first).filter(Q(state__in=ACTIVE_STATES) | Q(completed_at__gte=moment))

    def stop_requested(self) -> "JobQuerySet":
        return self.active().filter(stop_request__gt="")  # a range, so that the index serves

    def cancellable(self) -> "JobQuerySet":
        """Active, and not asked to stop yet."""
        return self.active().filter(stop_request="")

    def killable(self) -> "JobQuerySet":
        """Active, and at most asked to be cancelled."""
        return self.active().filter(stop_request__in=("", self.model.StopRequest.CANCEL))

    def stop_requested_before(self, moment: datetime) -> "JobQuerySet":
        """Active jobs whose wish to stop has not been answered since."""
        return self.stop_requested().filter(stop_requested_at__lt=moment)

    def untouched_since(self, moment: datetime) -> "JobQuerySet":
        return self.filter(updated_at__lt=moment)

    def request_cancel(self, by: str, reason: str) -> int:
        """Ask the runner to cancel what is active and not asked to stop yet. Returns how many. One query."""
        return self.cancellable()._request_stop(self.model.StopRequest.CANCEL, by, reason)

    def request_kill(self, by: str, reason: str) -> int:
        """Ask the runner to end active jobs as `killed_by_admin`; overrides cancels that were not carried out yet."""
        return self.killable()._request_stop(self.model.StopRequest.KILL, by, reason)

    def _request_stop(self, kind: str, by: str, reason: str) -> int:
        now = timezone.now()
        columns = dict(zip(STOP_COLUMNS, (kind, by, now, reason), strict=True))
        return self.update(**columns, updated_at=now)

    def retriable(self) -> "JobQuerySet":
        """Our own fault ended them, and container and folder were kept: their finalising can be tried again."""
        return self.filter(state=State.FAILED, status_code=StatusCode.INTERNAL_ERROR, was_cleared=False)

    def to_finalise_again(self) -> "JobQuerySet":
        """Retriable, and nobody has asked for it yet."""
        return self.retriable().filter(retry_requested_at=None)

    def retry_requested(self) -> "JobQuerySet":
        return self.filter(retry_requested_at__isnull=False)

    def request_retry(self, by: str, reason: str) -> int:
        """Ask the runner to finalise again what can be. Returns how many. One query."""
        now = timezone.now()
        columns = dict(zip(RETRY_COLUMNS, (by, now, reason), strict=True))
        return self.to_finalise_again().update(**columns, updated_at=now)

    def request_clearing(self, by: str, reason: str) -> int:
        """Ask the runner to remove what was kept of jobs that can be finalised again. Returns how many. One query."""
        now = timezone.now()
        columns = dict(zip(RETRY_COLUMNS, (by, now, reason), strict=True))
        return self.to_finalise_again().update(**columns, retry_clears=True, updated_at=now)

    def with_a_log_still_needed(self, identifiers: Collection[str], moment: datetime) -> set[str]:
        """Of these jobs those whose log may be written to yet, or that ended after that moment. One query."""
        cut_off = Q(status_code=StatusCode.INTERNAL_ERROR, was_cleared=False)
        needed = Q(state__in=ACTIVE_STATES) | cut_off | Q(completed_at__gte=moment)
        return set(self.filter(needed, identifier__in=identifiers).values_list("identifier", flat=True))

    def failed_since(self, moment: datetime) -> "JobQuerySet":
        """Those that failed by themselves after then: nobody stopped them, and no other one's failure did."""
        stopped = (StatusCode.CANCELLED_BY_USER, StatusCode.KILLED_BY_ADMIN, StatusCode.DEPENDENCY_FAILED)
        return self.filter(state=State.FAILED, completed_at__gte=moment).exclude(status_code__in=stopped)

    def successes_of_outer_action(self) -> "JobQuerySet":
        """For a subquery: the successes of the outer job's action in its workspace, the newest first.

        The index job_ended_by_action leads straight to them.
        """
        same = {name: OuterRef(name) for name in ("workspace", "action")}
        return self.filter(**same, state=State.SUCCEEDED, completed_at__isnull=False).order_by("-pk")

    def measured_runs_of(self, job: "Job", most: int) -> list[tuple[dict, bool]]:
        """Metrics, and whether memory ran out, of the newest runs of the job's action that have any."""
        runs = self.filter(workspace=job.workspace, action=job.action, metrics__isnull=False).order_by("-pk")
        rows = runs.values_list("metrics", "out_of_memory")[:most]
        return [(metrics, ran_out) for metrics, ran_out in rows if isinstance(metrics, dict)]

    def latest_per_action(self, backend: str, workspace: str) -> dict[str, "Job"]:
        """Action -> its newest job in the workspace. Cancelled and killed jobs do not count: they changed nothing.

        There may be thousands, so of each only what tells how it stands, and of what it was made, is loaded.
        """
        jobs = self.filter(backend=backend, workspace=workspace).exclude(
            status_code__in=(StatusCode.CANCELLED_BY_USER, StatusCode.KILLED_BY_ADMIN)
        )
        newest = jobs.values("action").annotate(newest=models.Max("pk")).values("newest")
        return {job.action: job for job in self.filter(pk__in=newest).select_related("request").only(*_STANDING)}

    def active_sources(self, backend: str, workspace: str) -> list[tuple[str, str]]:
        """Address of the repository and name of the database of whatever is active in the workspace."""
        jobs = self.active().filter(backend=backend, workspace=workspace).order_by()
        return list(jobs.values_list("request__repo_url", "request__database_name").distinct())

    def bound_to_fail(self, backend: str, workspace: str) -> set[int]:
        """Primary keys of the workspace's pending jobs that wait, directly or not, for one that failed or is to stop.

        One query. The runner ends them in its next turns, so whoever plans must not count on them.
        """
        waiting = self.pending().filter(backend=backend, workspace=workspace)
        links = self.model.waits_for.through.objects.filter(from_job__in=waiting)
        behind: dict[int, list[int]] = {}
        found: list[int] = []
        columns = ("from_job", "to_job", "to_job__state", "to_job__stop_request")
        for waiter, awaited, state, stop_request in links.values_list(*columns):
            behind.setdefault(awaited, []).append(waiter)
            if state == State.FAILED or stop_request:
                found.append(awaited)
        doomed: set[int] = set()
        while found:
            new = [waiter for waiter in behind.get(found.pop(), ()) if waiter not in doomed]
            doomed.update(new)
            found += new
        return doomed

    def waiting_behind(self, pks: Iterable[int]) -> set[int]:
        """Primary keys of the pending jobs of any request that wait for one of these, directly or not. One query."""
        links = self.model.waits_for.through.objects.filter(from_job__in=self.pending().order_by())
        behind: dict[int, list[int]] = {}
        for waiter, awaited in links.values_list("from_job", "to_job"):
            behind.setdefault(awaited, []).append(waiter)
        return _reached(pks, behind)

    def unsuccessful_needs(self, pks: Collection[int]) -> set[int]:
        """Primary keys of the jobs that these need, directly or not, and that ended without success. One query.

        Those among `pks` are left out. A need lies in the same request, or is a job that the request has joined.
        """
        jobs = self.model.objects.filter(request__in=self.model.objects.filter(pk__in=pks).values("request")).order_by()
        links = self.model.waits_for.through.objects.filter(from_job__in=jobs, to_job__state=State.FAILED)
        needs: dict[int, list[int]] = {}
        for waiter, awaited in links.values_list("from_job", "to_job"):
            needs.setdefault(waiter, []).append(awaited)
        return _reached(pks, needs) - set(pks)

    def _waited_for(self, condition: Q) -> models.QuerySet:
        """A subquery: links to the jobs that the outer job waits for and that fit the condition on `to_job`."""
        return self.model.waits_for.through.objects.filter(condition, from_job=OuterRef("pk"))

    def move_waiting(self, moves: list[tuple[int, str, str]], *, by: str = "runner") -> int:
        """Give many waiting jobs a reason at once; returns how many moved. Rows: (primary key, waiting code, message).

        A job that is no longer pending is left alone. Only a changed code makes a StatusChange row; a message that
        alone has changed is simply overwritten.
        """
        if not moves:
            return 0
        now = timezone.now()
        moved = 0
        with transaction.atomic():
            old = self._pending_rows([pk for pk, _, _ in moves])
            groups: dict[tuple[str, str, bool], list[int]] = {}
            for pk, code, message in moves:
                if pk in old:
                    groups.setdefault((code, message, old[pk].status_code != code), []).append(pk)
            for (code, message, is_new_code), pks in groups.items():
                columns = {"status_code": code, "status_message": message, "status_detail": "", "updated_at": now}
                if is_new_code:
                    columns["status_changed_at"] = Greatest(F("status_changed_at"), now)
                    _note_changes([old[pk] for pk in pks], code, message, by, now)
                for chunk in _chunks(pks):
                    moved += self.pending().filter(pk__in=chunk).update(**columns)
        return moved

    def _pending_rows(self, pks: list[int]) -> dict[int, _Before]:
        found: dict[int, _Before] = {}
        for chunk in _chunks(pks):
            rows = self.pending().filter(pk__in=chunk).values_list(*_Before._fields)
            found |= {row[0]: _Before(*row) for row in rows}
        return found


def _reached(starts: Iterable[int], ways: Mapping[int, Collection[int]]) -> set[int]:
    """What can be reached from the starts in one step or more."""
    found, reached = list(starts), set()
    while found:
        new = [each for each in ways.get(found.pop(), ()) if each not in reached]
        reached.update(new)
        found += new
    return reached


def _chunks(pks: list[int], size: int = 500) -> Iterator[list[int]]:
    return (pks[start : start + size] for start in range(0, len(pks), size))


def _note_changes(old: list[_Before], code: str, message: str, by: str, now: datetime) -> None:
    changes = []
    for before in old:
        check_transition(before.status_code, code, before.pk)
        changes.append(
            StatusChange(
                job_id=before.pk,
                from_code=before.status_code,
                to_code=code,
                message=message,
                actor=by,
                at=max(now, before.status_changed_at),
                attempt=before.attempt,
            )
        )
    StatusChange.objects.bulk_create(changes, batch_size=500)
