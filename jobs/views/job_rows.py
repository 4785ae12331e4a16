"""The rows of the jobs list: a job with all that stands beside it, fetched for a whole page at once."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from django.conf import settings
from django.db.models import Count, Max
from django.utils import timezone

from jobs.durations import typical_seconds
from jobs.models import Job, JobOutput, JobRequest, ResourceSample
from jobs.tallies import Tally, tallies

WIDTH = 100
# A spark shows the last samples of a running job, in a box of this size.
SPARK_SAMPLES, SPARK_WIDTH, SPARK_HEIGHT = 30, 58, 14


@dataclass(frozen=True)
class Row:
    """`since` is when it began to wait or run; `lasted` and `ended` are of one that is over. Seconds, and bytes."""

    job: Job
    since: datetime | None
    lasted: float | None
    typical: float | None
    width: float
    is_over_typical: bool
    memory_peak: int | None
    is_near_limit: bool
    # The points of a line: how busy the processors have been, against what a job may have.
    spark: str = ""
    # How many files a success has stored.
    outputs: int = 0

    @property
    def is_running(self) -> bool:
        return self.job.has_begun


@dataclass(frozen=True)
class Group:
    request: JobRequest
    tally: Tally
    rows: list[Row]


def rows_of(jobs: list[Job]) -> list[Row]:
    """Four queries."""
    typical = typical_seconds(jobs)
    peaks = ResourceSample.objects.filter(job__in=[job.pk for job in jobs if job.started_at]).order_by()
    memory = dict(peaks.values("job").annotate(peak=Max("memory_bytes")).values_list("job", "peak"))
    now = timezone.now()
    sparks = _sparks(jobs)
    found = [_row(job, typical.get(job.pk), memory.get(job.pk), sparks.get(job.pk, ""), now) for job in jobs]
    outputs = _outputs(jobs)
    return [replace(row, outputs=outputs.get(row.job.pk, 0)) for row in found]


def _outputs(jobs: list[Job]) -> dict[int, int]:
    """Of the jobs that have ended; one that has failed has none."""
    stored = JobOutput.objects.filter(job__in=[job.pk for job in jobs if job.is_finished]).order_by()
    return dict(stored.values("job").annotate(number=Count("pk")).values_list("job", "number"))


def _sparks(jobs: list[Job]) -> dict[int, str]:
    """Of the running jobs; there are as many as workers, and some hundred samples of each."""
    running = [job.pk for job in jobs if job.has_begun]
    busy: dict[int, list[float]] = {}
    for pk, percent in ResourceSample.objects.filter(job__in=running).order_by("pk").values_list("job", "cpu_percent"):
        busy.setdefault(pk, []).append(percent)
    return {pk: _points(samples[-SPARK_SAMPLES:]) for pk, samples in busy.items() if len(samples) > 1}


def _points(samples: list[float]) -> str:
    most = max(100 * settings.JOB_CPUS, *samples)
    step = SPARK_WIDTH / (len(samples) - 1)
    heights = (SPARK_HEIGHT * (1 - max(sample, 0) / most) for sample in samples)
    return " ".join(f"{number * step + 1:.1f},{height + 1:.1f}" for number, height in enumerate(heights))


def _row(job: Job, typical: float | None, memory: int | None, spark: str, now: datetime) -> Row:
    begun = job.started_at if job.started_at and not _waits_anew(job) else None
    lasted = (job.completed_at - begun).total_seconds() if begun and job.completed_at else None
    spent = lasted if lasted is not None else (now - begun).total_seconds() if begun else 0
    return Row(
        job=job,
        since=None if job.is_finished else begun or job.created_at,
        lasted=lasted,
        typical=typical,
        width=round(min(WIDTH, WIDTH * max(spent, 0) / typical), 1) if typical else 0,
        is_over_typical=bool(typical and spent > 1.5 * typical),
        memory_peak=memory,
        is_near_limit=bool(memory and memory > 0.9 * settings.JOB_MEMORY_BYTES),
        spark=spark,
    )


def _waits_anew(job: Job) -> bool:
    """Another attempt that has not begun yet keeps the beginning of the first."""
    return job.is_active and not job.has_begun


def groups_of(rows: Iterable[Row]) -> list[Group]:
    """By request, in the order of the rows. One query."""
    by_request: dict[int, list[Row]] = {}
    for row in rows:
        by_request.setdefault(row.job.request_id, []).append(row)
    found = tallies(by_request)
    return [Group(rows[0].job.request, found[pk], rows) for pk, rows in by_request.items()]
