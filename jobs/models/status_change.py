"""The timeline of a job, and what may not be written to it."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db import models

from jobs.states import CODES_OF, State, may_follow


class InvalidTransition(Exception):
    """The table forbids the step, or another attempt or process has already moved the job on."""


class StatusChangeQuerySet(models.QuerySet):
    def newest(self) -> int | None:
        """The primary key of the newest row."""
        return self.aggregate(newest=models.Max("pk"))["newest"]

    def requests_changed_since(self, pk: int) -> set[int]:
        """Primary keys of the requests whose jobs have changes newer than that row."""
        return set(self.filter(pk__gt=pk).order_by().values_list("job__request", flat=True).distinct())

    def of_jobs_ended_before(self, moment: datetime, at_once: int = 500) -> Iterator["StatusChangeQuerySet"]:
        """Timelines of jobs that ended before then, a few rows at a time, the oldest first; delete each chunk.

        Rows are in the order of time, so what is younger is never looked at.
        """
        after = 0
        while rows := list(self._oldest(after, at_once)):
            after = rows[-1][0]
            if pks := [pk for pk, _, ended in rows if ended is not None and ended < moment]:
                yield self.filter(pk__in=pks)
            if rows[-1][1] >= moment:
                return

    def _oldest(self, after: int, most: int) -> models.QuerySet:
        return self.filter(pk__gt=after).order_by("pk").values_list("pk", "at", "job__completed_at")[:most]

    def several_runs(self, jobs: Iterable[int]) -> dict[int, list[tuple[datetime, datetime | None]]]:
        """Of those jobs that have run more than once: when each run began and ended, None for one that goes on.

        A run is an attempt, or a finalising again. Two queries.
        """
        running = CODES_OF[State.RUNNING]
        begins = self.filter(job__in=list(jobs), to_code__in=running).exclude(from_code__in=running).order_by()
        again = begins.values("job").annotate(number=models.Count("pk")).filter(number__gt=1).values_list("job")
        found: dict[int, list[tuple[datetime, datetime | None]]] = {}
        rows = self.filter(job__in=list(again.values_list("job", flat=True))).order_by("pk")
        for job, before, after, at in rows.values_list("job", "from_code", "to_code", "at"):
            runs = found.setdefault(job, [])
            if after in running and before not in running:
                runs.append((at, None))
            elif before in running and after not in running and runs:
                runs[-1] = (runs[-1][0], at)
        return found


class StatusChange(models.Model):
    """One line of a job's timeline. Rows are only ever added, by the writers of a status."""

    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="status_changes")
    from_code = models.CharField(max_length=32, blank=True)
    to_code = models.CharField(max_length=32)
    message = models.TextField(blank=True)
    actor = models.CharField(max_length=255)
    at = models.DateTimeField()
    attempt = models.PositiveIntegerField(default=1)

    objects = StatusChangeQuerySet.as_manager()

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return f"{self.from_code or 'new'} -> {self.to_code} at {self.at:%Y-%m-%d %H:%M:%S}"


def check_transition(old: str, new: str, job: object) -> None:
    """Raises InvalidTransition unless the table allows the step."""
    if not may_follow(old, new):
        raise InvalidTransition(f"job {job}: {new} may not follow {old}")
