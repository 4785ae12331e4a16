"""Who stands in line before a waiting job, what it would be compared with, what it was given: what its page asks.

A fixed number of queries, all of them led by the indexes on active jobs or on a workspace's actions.
"""

from dataclasses import dataclass

from django.db.models import Count, Max, Q, QuerySet

from jobs.models.job import Job
from jobs.models.output import JobOutput
from jobs.states import State

_OCCUPYING = ("pk", "identifier", "action", "workspace", "state", "status_code", "stop_request", "started_at")


@dataclass(frozen=True)
class Ready:
    """Jobs of one workspace that only lack a worker: how many, and how many of them are older than a certain job."""

    workspace: str
    number: int
    older: int


def ready_by_workspace(job: Job) -> list[Ready]:
    """Of the job's pool. One query."""
    jobs = Job.objects.ready().filter(requires_db=job.requires_db).order_by()
    numbers = {"number": Count("pk"), "older": Count("pk", filter=Q(pk__lt=job.pk))}
    return [Ready(*row) for row in jobs.values_list("workspace").annotate(**numbers)]


def occupying(requires_db: bool) -> QuerySet:
    """Running jobs of the pool, the oldest first."""
    return Job.objects.running().filter(requires_db=requires_db).only(*_OCCUPYING).order_by("started_at", "pk")


def success_before(job: Job) -> Job | None:
    """The newest success of the same action in the workspace that is older than the job."""
    same = Job.objects.filter(workspace=job.workspace, action=job.action, state=State.SUCCEEDED)
    return same.filter(pk__lt=job.pk, completed_at__isnull=False).select_related("request").order_by("-pk").first()


def newest_success(job: Job) -> Job | None:
    """Of the same action in the workspace."""
    same = Job.objects.filter(workspace=job.workspace, action=job.action, state=State.SUCCEEDED)
    return same.filter(completed_at__isnull=False).order_by("-pk").first()


def likely_inputs(job: Job, most: int) -> list[JobOutput]:
    """What the job must have been given: outputs of the newest success of each needed action when it began.

    While it waits, those that it would be given now. Two queries. What it really got: `jobs.inputs`.
    """
    if not job.needs:
        return []
    if job.state == State.PENDING or job.started_at is None:
        found = JobOutput.objects.inputs_for(job.workspace, job.needs)
    else:
        made = Job.objects.filter(workspace=job.workspace, action__in=job.needs, state=State.SUCCEEDED)
        made = made.filter(completed_at__lte=job.started_at).order_by()
        found = JobOutput.objects.filter(job__in=list(_newest(made)))
    columns = ("path", "content_hash", "row_count", "job__action", "job__identifier")
    return list(found.select_related("job").only(*columns).order_by("path")[:most])


def _newest(jobs: QuerySet) -> QuerySet:
    return jobs.values("action").annotate(newest=Max("pk")).values_list("newest", flat=True)


def neighbours(job: Job) -> tuple[str, str]:
    """Identifiers of the jobs before and after it in its request; empty at an end. Two queries."""
    others = Job.objects.filter(request=job.request_id).values_list("identifier", flat=True)
    before = others.filter(pk__lt=job.pk).order_by("-pk").first()
    return before or "", others.filter(pk__gt=job.pk).order_by("pk").first() or ""


def failed_needs(job: Job, most: int) -> list[Job]:
    """The jobs that it waited for and that did not succeed, as their status tells it. One query."""
    return list(job.waits_for.failed().only("identifier", "action", "state", "status_code").order_by("pk")[:most])


def awaited(job: Job, most: int) -> tuple[list[Job], dict[str, int]]:
    """What it waits for, unfinished ones first, and how many there are of each state. Two queries."""
    waits_for = job.waits_for.order_by()
    states = dict(waits_for.values_list("state").annotate(number=Count("pk")))
    rank = {State.FAILED: 0, State.RUNNING: 1, State.PENDING: 2, State.SUCCEEDED: 3}
    rows = waits_for.defer("run_command", "output_spec")[: most * 4]
    found = sorted(rows, key=lambda each: (rank[each.state], each.pk))
    return found[:most], states
