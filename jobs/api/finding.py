"""Which rows a call means: filters, pages, identifiers. Every page is cheap with a million jobs.

Pages are cut by key, not by number: what is added meanwhile moves nothing. A filter that no index answers looks only at
the next so many rows; `next` goes on from there, so a page may hold fewer rows than asked for, even none.
"""

from datetime import datetime

from django.db.models import QuerySet
from ninja import Schema
from pydantic import AwareDatetime, Field

from jobs.api.problems import Trouble
from jobs.api.schemas import EXAMPLE_JOB, EXAMPLE_REQUEST
from jobs.models import Job, JobRequest
from jobs.models.beginnings import beginning_with
from jobs.models.by_state import few_with_state
from jobs.models.job_queries import JobQuerySet
from jobs.states import ACTIVE_STATES, State

# So many rows a page looks through at most where no index helps, and so many changed jobs `since` looks at.
WINDOW = 20_000
MOST_CHANGED = 10_000
MOST_CANDIDATES = 5
# What lists show; commands and what came in may be large.
_SHOWN_OF_JOBS = (
    *("identifier", "workspace", "action", "state", "status_code", "status_message", "requires_db", "attempt"),
    *("stop_request", "created_at", "started_at", "completed_at", "updated_at"),
    *("request__identifier", "request__created_by"),
)
_LARGE_OF_REQUESTS = ("original", "graph", "faults", "study_actions", "joined_jobs", "withdrawn_jobs")


class JobFilters(Schema):
    """Of a list of jobs; all that are given have to fit."""

    state: State | None = Field(
        None,
        description="`failed` is all that ended without success: also what was cancelled, killed or not run because "
        "of another job; `status_code` tells them apart",
        examples=["failed"],
    )
    workspace: str | None = Field(None, max_length=128, examples=["diabetes"])
    action: str | None = Field(None, max_length=255, examples=["generate_dataset"])
    request: str | None = Field(None, max_length=255, description="a request's identifier", examples=[EXAMPLE_REQUEST])
    requester: str | None = Field(None, max_length=255, examples=["alice"])
    needs_db: bool | None = Field(None, description="whether it reads the patients' database")
    since: AwareDatetime | None = Field(
        None,
        description=f"only what has changed since then, of the {MOST_CHANGED} jobs that changed last",
        examples=["2026-11-26T08:00:00Z"],
    )
    after: str | None = Field(None, max_length=64, description="`next` of the page before", examples=[EXAMPLE_JOB])
    limit: int = Field(50, ge=1, le=500, description="at most so many")


def page_of_jobs(filters: JobFilters) -> tuple[list[Job], str | None]:
    """The rows, and the identifier to go on after. Raises Trouble for an `after` that is no job's."""
    jobs = _narrowed(Job.objects.all(), filters)
    last = _pk_of(filters.after) if filters.after else None
    if last:
        jobs = jobs.filter(pk__lt=last)
    first = _first_pk(Job.objects.all(), last) if _is_wide(filters) else 0
    rows = jobs.filter(pk__gte=first).select_related("request").only(*_SHOWN_OF_JOBS)
    found = list(rows.order_by("-pk")[: filters.limit + 1])
    if len(found) > filters.limit:
        return found[: filters.limit], found[filters.limit - 1].identifier
    return found, _identifier_at(first) if first > 1 else None


def _narrowed(jobs: JobQuerySet, filters: JobFilters) -> QuerySet:
    if filters.state in ACTIVE_STATES:
        jobs = jobs.pending() if filters.state == State.PENDING else jobs.running()
    elif filters.state:
        jobs = few_with_state(jobs, filters.state)  # few: another filter, or the window, leads to them
    if filters.since:
        jobs = jobs.filter(pk__in=_changed_since(filters.since))
    columns = {
        "workspace": filters.workspace,
        "action": filters.action,
        "request__identifier": filters.request,
        "request__created_by": filters.requester,
        "requires_db": filters.needs_db,
    }
    return jobs.filter(**{column: value for column, value in columns.items() if value is not None})


def _changed_since(moment: datetime) -> QuerySet:
    changed = Job.objects.filter(updated_at__gte=moment).order_by("-updated_at")
    return changed.values("pk")[:MOST_CHANGED]


def _is_wide(filters: JobFilters) -> bool:
    """Whether there is no index that leads to few rows."""
    is_indexed = filters.request or filters.since or filters.workspace
    return not (is_indexed or filters.state in ACTIVE_STATES)


def _first_pk(rows: QuerySet, last: int | None) -> int:
    """Where the window begins that ends before `last`, or with the newest row."""
    if last is None:
        last = (rows.order_by("-pk").values_list("pk", flat=True).first() or 0) + 1
    return max(1, last - WINDOW)


def _pk_of(identifier: str) -> int:
    pk = Job.objects.filter(identifier=identifier).values_list("pk", flat=True).first()
    if pk is None:
        raise Trouble(422, "No such place", "`after` is no job's identifier: give `next` of the page before.")
    return pk


def _identifier_at(pk: int) -> str | None:
    """Of the oldest row that the page has looked at; null if there is nothing older."""
    if not Job.objects.filter(pk__lt=pk).exists():
        return None
    return Job.objects.filter(pk__gte=pk).order_by("pk").values_list("identifier", flat=True).first()


def one_job(beginning: str, jobs: QuerySet | None = None) -> Job:
    """The job that is called so, or else the only one whose identifier begins so. Raises Trouble: 404, 409."""
    jobs = Job.objects.all() if jobs is None else jobs
    # The shortest comes first, so a whole identifier is the first of them.
    begin_so = jobs.filter(**beginning_with("identifier", beginning))
    found = list(begin_so.order_by("identifier")[: MOST_CANDIDATES + 1])
    if not found:
        raise Trouble(404, "No such job", f"No job is called or begins with {beginning}.")
    if found[0].identifier == beginning or len(found) == 1:
        return found[0]
    names = [job.identifier for job in found[:MOST_CANDIDATES]]
    more = " and more" if len(found) > MOST_CANDIDATES else ""
    detail = f"{beginning} is the beginning of {', '.join(names)}{more}: give more letters."
    raise Trouble(409, "Several jobs begin so", detail, candidates=names)


class RequestFilters(Schema):
    """Of a list of requests; all that are given have to fit."""

    workspace: str | None = Field(None, max_length=128, examples=["diabetes"])
    requester: str | None = Field(None, max_length=255, examples=["alice"])
    outcome: JobRequest.Outcome | None = Field(None, description="what planning made of it", examples=["refused"])
    after: str | None = Field(None, max_length=255, description="`next` of the page before", examples=[EXAMPLE_REQUEST])
    limit: int = Field(50, ge=1, le=500, description="at most so many")


def page_of_requests(filters: RequestFilters) -> tuple[list[JobRequest], str | None]:
    """As page_of_jobs."""
    columns = {"workspace": filters.workspace, "created_by": filters.requester, "outcome": filters.outcome}
    requests = JobRequest.objects.filter(**{name: value for name, value in columns.items() if value is not None})
    last = None
    if filters.after:
        last = JobRequest.objects.filter(identifier=filters.after).values_list("pk", flat=True).first()
        if last is None:
            raise Trouble(422, "No such place", "`after` is no request's identifier: give `next` of the page before.")
        requests = requests.filter(pk__lt=last)
    first = 0 if filters.workspace else _first_pk(JobRequest.objects.all(), last)
    rows = requests.filter(pk__gte=first).defer(*_LARGE_OF_REQUESTS)
    found = list(rows.order_by("-pk")[: filters.limit + 1])
    if len(found) > filters.limit:
        return found[: filters.limit], found[filters.limit - 1].identifier
    older = JobRequest.objects.filter(pk__lt=first)
    if first <= 1 or not older.exists():
        return found, None
    return found, JobRequest.objects.filter(pk__gte=first).order_by("pk").values_list("identifier", flat=True).first()
