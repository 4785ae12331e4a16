"""Calls that tell of jobs: the list, one of them, its way, its outputs. Nothing is changed here."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Path, Query, Router

from jobs.api.finding import JobFilters, one_job, page_of_jobs
from jobs.api.operations import operation
from jobs.api.schemas import EXAMPLE_JOB, IDENTIFIER, ChangePage, JobDetail, JobPage, OutputPage
from jobs.models import Job

router = Router(tags=["jobs"])

Identifier = Annotated[
    str,
    Path(
        pattern=IDENTIFIER,
        max_length=64,
        description="a job's identifier, or a beginning that no other job has",
        examples=[EXAMPLE_JOB],
    ),
]
BIGGEST_KEY = 2**63 - 1


@operation(router, "GET", "/jobs", JobPage)
def list_jobs(request: HttpRequest, filters: Query[JobFilters]) -> dict:
    """List jobs.

    The newest first. Go on with `after` until `next` is null: a page may hold fewer jobs than `limit`, even none.
    """
    jobs, following = page_of_jobs(filters)
    return {"jobs": jobs, "next": following}


@operation(router, "GET", "/jobs/{identifier}", JobDetail, refusals=(404, 409))
def get_job(request: HttpRequest, identifier: Identifier) -> Job:
    """Get one job."""
    jobs = Job.objects.select_related("request").defer("request__original", "request__graph", "request__study_actions")
    return one_job(identifier, jobs.prefetch_related("waits_for"))


@operation(router, "GET", "/jobs/{identifier}/changes", ChangePage, refusals=(404, 409))
def list_changes(
    request: HttpRequest,
    identifier: Identifier,
    after: Annotated[int, Query(ge=0, le=BIGGEST_KEY, description="`next` of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> dict:
    """List the changes of a job's status."""
    changes = one_job(identifier).status_changes.filter(pk__gt=after).order_by("pk")
    found = list(changes[: limit + 1])
    return {
        "changes": [{name: getattr(each, name) for name in _CHANGE} | {"id": each.pk} for each in found[:limit]],
        "next": found[limit - 1].pk if len(found) > limit else None,
    }


@operation(router, "GET", "/jobs/{identifier}/outputs", OutputPage, refusals=(404, 409))
def list_outputs(
    request: HttpRequest,
    identifier: Identifier,
    after: Annotated[str, Query(max_length=4096, description="`next` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> dict:
    """List the outputs of a job.

    What is known of them: never their contents.
    """
    found = list(one_job(identifier).outputs.filter(path__gt=after).order_by("path")[: limit + 1])
    return {"outputs": found[:limit], "next": found[limit - 1].path if len(found) > limit else None}


_CHANGE = ("at", "from_code", "to_code", "message", "actor", "attempt")
