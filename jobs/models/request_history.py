"""Questions of the request and workspace pages that look at more than one request, each at bounded cost."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from django.db import connection
from django.db.models import Count, Max, Q, Sum

from jobs.models.job import Job
from jobs.models.job_list import KIND_OF
from jobs.models.output import JobOutput
from jobs.models.request import JobRequest
from jobs.states import ACTIVE_STATES, State, StatusCode

# Kinds of a job's end or state, the one that somebody should look at first.
URGENCY = ("failed", "running", "waiting", "stopped", "succeeded")
_MOST_BEFORE = 100
MOST_WORKSPACES = 500
_NO_FAULT_OF_ITS_OWN = (
    *(StatusCode.CANCELLED_BY_USER, StatusCode.KILLED_BY_ADMIN, StatusCode.DEPENDENCY_FAILED),
    StatusCode.STALE_CODELISTS,
)


def tally(request: JobRequest) -> dict[str, int]:
    """How many of the request's jobs are in each state."""
    return dict(request.jobs.order_by().values_list("state").annotate(number=Count("pk")))


def first_failure(request: JobRequest) -> Job | None:
    """The job whose failure came first and was no mere consequence or wish."""
    own = Job.objects.filter(pk__in=_failed(request)).exclude(status_code__in=_NO_FAULT_OF_ITS_OWN)
    return own.order_by("completed_at", "pk").first()


def _failed(request: JobRequest) -> list[int]:
    """At most as many as are looked at; read through the request, not through the index of all failed jobs."""
    rows = request.jobs.order_by("pk").values_list("pk", "state")
    return [pk for pk, state in rows if state == State.FAILED][:500]


@dataclass(frozen=True)
class ByWish:
    """Identifiers of a request's jobs that could be cancelled, that failed, and all of them if none is active."""

    cancellable: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)


def identifiers_by_wish(request: JobRequest) -> ByWish:
    """What could be asked for the request's jobs. One query."""
    found = ByWish()
    is_active = False
    for identifier, state, stop in request.jobs.order_by("pk").values_list("identifier", "state", "stop_request"):
        found.whole.append(identifier)
        is_active = is_active or state in ACTIVE_STATES
        if state in ACTIVE_STATES and not stop:
            found.cancellable.append(identifier)
        elif state == State.FAILED:
            found.failed.append(identifier)
    return replace(found, whole=[]) if is_active else found


def last_success_before(request: JobRequest) -> JobRequest | None:
    """The newest earlier request of the workspace all of whose jobs have succeeded, among the last hundred."""
    earlier = JobRequest.objects.filter(workspace=request.workspace, pk__lt=request.pk).order_by("-pk")
    pks = list(earlier.values_list("pk", flat=True)[:_MOST_BEFORE])
    rows = JobRequest.objects.filter(pk__in=pks).order_by("-pk").annotate(
        all_jobs=Count("jobs"), good=Count("jobs", filter=Q(jobs__state=State.SUCCEEDED))
    )  # fmt: skip
    return next((row for row in rows.only("identifier", "commit", "repo_url") if row.all_jobs == row.good > 0), None)


def workspaces() -> list[tuple[str, int]]:
    """Each workspace and its newest request's primary key, by name, at most MOST_WORKSPACES + 1.

    Jumps from name to name in the index, so a million requests cost no more than their workspaces.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE names(name) AS ("
            " SELECT MIN(workspace) FROM jobs_jobrequest UNION ALL"
            " SELECT (SELECT MIN(workspace) FROM jobs_jobrequest WHERE workspace > name) FROM names"
            " WHERE name IS NOT NULL)"
            " SELECT name, (SELECT MAX(id) FROM jobs_jobrequest WHERE workspace = name) FROM names"
            " WHERE name IS NOT NULL LIMIT %s",
            [MOST_WORKSPACES + 1],
        )
        return cursor.fetchall()


def active_by_workspace() -> dict[str, int]:
    """Workspace -> how many jobs of it wait or run."""
    return dict(Job.objects.active().order_by().values_list("workspace").annotate(number=Count("pk")))


def newest_requests(workspace: str, number: int) -> list[JobRequest]:
    """The newest first, without the large columns."""
    requests = JobRequest.objects.filter(workspace=workspace).order_by("-pk")
    return list(requests.defer("original", "graph", "faults", "cancelled_actions")[:number])


def most_urgent_actions(requests: Collection[int], most: int) -> list[str]:
    """At most so many actions of the requests: those with a job that failed, runs or waits first, then the others.

    An action is once in a request, so that so many jobs of one kind are sure to name enough actions, if there are any.
    The index job_by_request leads to each kind.
    """
    actions: dict[str, None] = {}
    for kind in URGENCY:
        codes = [code for code, its_kind in KIND_OF.items() if its_kind == kind]
        of_kind = Job.objects.filter(request__in=requests, status_code__in=codes).order_by("-pk")
        actions |= dict.fromkeys(of_kind.values_list("action", flat=True)[: most * len(requests)])
        if len(actions) >= most:
            break
    return list(actions)[:most]


def current_outputs(workspace: str, most: int) -> list[JobOutput]:
    """The files that are in storage now, those of the newest jobs first.

    In two steps, and only with the columns that a line of the page shows.
    """
    rows = JobOutput.objects.current().filter(job__workspace=workspace).order_by("-job__pk", "path")
    newest = list(rows.values_list("pk", flat=True)[:most])
    of_job = [f"job__{column}" for column in ("identifier", "action", "needs", "completed_at", "request__commit")]
    shown = ("path", "level", "size", "excluded", *of_job)
    found = JobOutput.objects.filter(pk__in=newest).select_related("job__request").only(*shown)
    return sorted(found, key=lambda row: (-row.job_id, row.path))


def disk_used(workspace: str) -> dict:
    """`size` in bytes and `files`, as far as the rows of current outputs tell."""
    return JobOutput.objects.current().filter(job__workspace=workspace).aggregate(size=Sum("size"), files=Count("pk"))


def newest_success(workspace: str, actions: Iterable[str]) -> dict[str, int]:
    """Action -> primary key of its newest succeeded job, for at most 500 actions."""
    rows = Job.objects.filter(workspace=workspace, action__in=list(actions)[:500], completed_at__isnull=False)
    good = rows.filter(state=State.SUCCEEDED).order_by()
    return dict(good.values_list("action").annotate(newest=Max("pk")))
