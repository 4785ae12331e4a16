"""What a job's container used: figures for its page, and the samples behind the chart."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobs.limits import suggestion
from jobs.models import Job, ResourceSample
from jobs.people.access import allowed

MOST_POINTS, MOST_ROWS = 500, 60
_NEAR = 0.9
_MIB = 1024**2


def resources_context(job: Job, attempt: int) -> dict:
    """Three queries."""
    samples = _thinned(list(ResourceSample.objects.of_attempt(job.pk, attempt).order_by("pk")), MOST_ROWS)
    figures = _figures(job, attempt)
    return {
        "samples": samples,
        "figures": figures,
        "memory_limit": settings.JOB_MEMORY_BYTES,
        "cpu_limit": settings.JOB_CPUS * 100,
        "memory_share": round(100 * figures["mem_peak"] / settings.JOB_MEMORY_BYTES) if figures else 0,
        "near_limit": bool(figures) and figures["mem_peak"] >= _NEAR * settings.JOB_MEMORY_BYTES,
        "suggestion": suggestion(job),
        "why_no_samples": "" if samples else _why_none(job),
    }


def _figures(job: Job, attempt: int) -> dict:
    rows = ResourceSample.objects.of_attempt(job.pk, attempt).values_list("cpu_percent", "memory_bytes")
    cpu, memory = [row[0] for row in rows], [row[1] for row in rows]
    if not cpu:
        return {}
    mean = {"cpu_mean": sum(cpu) / len(cpu), "mem_mean": sum(memory) // len(memory)}
    return mean | {"cpu_peak": max(cpu), "mem_peak": max(memory)}


def _why_none(job: Job) -> str:
    if job.started_at is None:
        return "This job has not started, so nothing was measured."
    if job.is_active:
        return "Nothing was measured yet: the first figures come some seconds after the container has begun."
    return "Nothing was measured: the container ended within seconds, or this was before figures were kept."


def _thinned(rows: list, most: int) -> list:
    """Evenly, with the last one."""
    if len(rows) <= most:
        return rows
    step = len(rows) / most
    return [rows[int(number * step)] for number in range(most - 1)] + rows[-1:]


@require_safe
@never_cache
@allowed()
def samples(request: HttpRequest, identifier: str) -> HttpResponse:
    """Columns, as the chart wants them: seconds since 1970, percent of one processor, MiB."""
    job = get_object_or_404(Job.objects.only("identifier", "attempt", "state", "out_of_memory"), identifier=identifier)
    text = request.GET.get("attempt", str(job.attempt))
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= job.attempt):
        raise Http404("The job has no such attempt.")
    found = ResourceSample.objects.of_attempt(job.pk, int(text)).order_by("pk")
    rows = _thinned(list(found.values_list("at", "cpu_percent", "memory_bytes")), MOST_POINTS)
    return JsonResponse(
        {
            "at": [round(at.timestamp(), 1) for at, _, _ in rows],
            "cpu_percent": [round(cpu, 1) for _, cpu, _ in rows],
            "memory_mib": [round(memory / _MIB, 1) for _, _, memory in rows],
            "memory_limit_mib": round(settings.JOB_MEMORY_BYTES / _MIB, 1),
            "cpu_limit_percent": settings.JOB_CPUS * 100,
            "out_of_memory": job.out_of_memory and int(text) == job.attempt,
            "is_growing": job.is_active and int(text) == job.attempt,
        }
    )
