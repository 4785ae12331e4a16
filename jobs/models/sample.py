"""How much processor and memory a job's container used, sampled while it ran, for the job's page."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Avg, Count, Max, Min

if TYPE_CHECKING:
    from jobs.models.job import Job

_MIB = 1024**2


class ResourceSampleQuerySet(models.QuerySet):
    def of_attempt(self, job_pk: int, attempt: int) -> "ResourceSampleQuerySet":
        return self.filter(job=job_pk, attempt=attempt)

    def summary(self, job: "Job") -> dict[str, float]:
        """Peak and mean of the current attempt, as a job-server gets them; empty if nothing was sampled. One query."""
        figures = self.of_attempt(job.pk, job.attempt).aggregate(
            cpu_peak=Max("cpu_percent"), cpu_mean=Avg("cpu_percent"),
            mem_mb_peak=Max("memory_bytes"), mem_mb_mean=Avg("memory_bytes"),
        )  # fmt: skip
        if figures["cpu_peak"] is None:
            return {}
        return {key: round(value / _MIB if key.startswith("mem") else value, 1) for key, value in figures.items()}

    def before(self, moment: datetime, at_once: int = 500) -> Iterator["ResourceSampleQuerySet"]:
        """Rows from before then, a few at a time, the oldest first (they are in the order of time); delete each."""
        while pks := [pk for pk, at in self.order_by("pk").values_list("pk", "at")[:at_once] if at < moment]:
            yield self.filter(pk__in=pks)

    def extents(self, job_pks: Collection[int]) -> dict[tuple[int, int], tuple[int, timedelta]]:
        """(job, attempt) -> how many rows there are, and how long it is from the first to the last. One query."""
        rows = self.filter(job__in=job_pks).order_by().values_list("job", "attempt")
        found = rows.annotate(rows=Count("pk"), first=Min("at"), last=Max("at"))
        return {(job, attempt): (count, last - first) for job, attempt, count, first, last in found}

    def thin_out(self, job_pk: int, attempt: int) -> int:
        """Delete every second row of an attempt, but not its peaks. Returns how many are left."""
        rows = list(self.of_attempt(job_pk, attempt).order_by("pk").values_list("pk", "cpu_percent", "memory_bytes"))
        peaks = {max(rows, key=lambda row: row[column])[0] for column in (1, 2)} if rows else set()
        unneeded = [pk for pk, _, _ in rows[::2] if pk not in peaks]
        self.filter(pk__in=unneeded).delete()
        return len(rows) - len(unneeded)


class ResourceSample(models.Model):
    """Rows are added by the runner, which also thins them out: of a long run there are some hundred, evenly spread."""

    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="samples")
    attempt = models.PositiveIntegerField(default=1)
    at = models.DateTimeField()
    cpu_percent = models.FloatField(help_text="of one processor; 200 is two whole ones")
    memory_bytes = models.BigIntegerField(help_text="without the page cache")

    objects = ResourceSampleQuerySet.as_manager()

    class Meta:
        ordering = ("pk",)
        indexes = (models.Index(fields=["job", "attempt", "id"], name="sample_of_attempt"),)

    def __str__(self) -> str:
        return f"{self.cpu_percent:.0f} %, {self.memory_bytes} bytes at {self.at:%Y-%m-%d %H:%M:%S}"
