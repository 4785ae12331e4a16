"""The part of a job's page that lists its outputs: what each is, whether it may leave, and how a refusal is mended.

Names and figures only: nothing of what a file holds, and no way to get it.
"""

from dataclasses import dataclass

from django.db.models import Count, Q, Sum
from django.http import HttpRequest

from jobs.models import Job, JobOutput
from jobs.models.line import newest_success
from jobs.output_rules import fix_of, pattern_of

PAGE = 200


@dataclass(frozen=True)
class Shown:
    output: JobOutput
    pattern: str
    fix: str


def outputs_context(request: HttpRequest, job: Job) -> dict:
    """Three queries at most."""
    word, after = request.GET.get("path", "")[:300], request.GET.get("after", "")[:4096]
    totals = list(
        job.outputs.order_by("level")
        .values("level")
        .annotate(number=Count("pk"), bytes=Sum("size"), excluded=Count("pk", filter=Q(excluded=True)))
    )
    found = job.outputs.order_by("path")
    if word:
        found = found.filter(path__icontains=word)
    rows = list(found.filter(path__gt=after)[: PAGE + 1]) if after else list(found[: PAGE + 1])
    shown = [Shown(each, pattern_of(each.path, each.level, job.output_spec), _fix(each)) for each in rows[:PAGE]]
    replaced = any(not each.is_current for each in rows[:PAGE])
    newest = newest_success(job) if replaced else None
    return {
        "outputs": shown,
        "totals": totals,
        "output_word": word,
        "output_after": after,
        "next_after": rows[PAGE - 1].path if len(rows) > PAGE else "",
        "replaced_by": newest if newest and newest.pk != job.pk else None,
        "promised": _promised(job),
    }


def _fix(output: JobOutput) -> str:
    return fix_of(output.rule) if output.excluded else ""


def _promised(job: Job) -> list[tuple[str, str, str]]:
    """(level, name, pattern) as the study's author wrote them."""
    spec = job.output_spec.items() if isinstance(job.output_spec, dict) else ()
    return [(level, name, pattern) for level, each in spec if isinstance(each, dict) for name, pattern in each.items()]
