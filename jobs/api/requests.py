"""Calls that tell of job requests, and of what stands in the workspaces that they name."""

from datetime import datetime
from typing import Annotated

from django.http import Http404, HttpRequest
from ninja import Path, Query, Router, Schema
from pydantic import Field

from jobs.api.finding import RequestFilters, page_of_requests
from jobs.api.operations import operation
from jobs.api.schemas import EXAMPLE_JOB, EXAMPLE_REQUEST, Awaited, WorkspaceOutputPage, WorkspacePage
from jobs.models import JobOutput, JobRequest

router = Router(tags=["requests and workspaces"])

MOST_JOBS = 1000
_SHOWN = ("identifier", "action", "state", "status_code", "status_message", "request")


class RequestRow(Schema):
    """A job request, as in lists."""

    identifier: str = Field(examples=[EXAMPLE_REQUEST])
    workspace: str = Field(examples=["diabetes"])
    requester: str = Field(description="who has asked; empty if nobody said", examples=["alice"])
    source: JobRequest.Source = Field(description="how it came here", examples=["polling"])
    repo_url: str = Field(examples=["https://github.com/opensafely/diabetes"])
    branch: str = Field(examples=["main"])
    commit: str = Field(examples=["9" * 40])
    requested_actions: list[str] = Field(examples=[["generate_dataset"]])
    outcome: JobRequest.Outcome = Field(description="what planning made of it", examples=["planned"])
    message: str = Field(description="why; while it waits, what it waits for", examples=[""])
    created_at: datetime
    received_at: datetime
    outcome_at: datetime | None

    @staticmethod
    def resolve_repo_url(request) -> str:
        return request.repository

    @staticmethod
    def resolve_requester(request) -> str:
        return request.created_by

    @staticmethod
    def resolve_message(request) -> str:
        return request.outcome_message


class RequestPage(Schema):
    """Requests, the newest first."""

    requests: list[RequestRow]
    next: str | None = Field(
        description="give it as `after` for the older ones, also when this page holds few or none; null: that is all",
        examples=[EXAMPLE_REQUEST],
    )


class JobOfRequest(Awaited):
    """A job of a request, in short."""

    status_code: str = Field(examples=["succeeded"])
    message: str = Field(examples=["Completed successfully."])

    @staticmethod
    def resolve_message(job) -> str:
        return job.status_message


class RequestDetail(RequestRow):
    """A request with its jobs."""

    database_name: str = Field(examples=["default"])
    force_run_dependencies: bool
    codelists_ok: bool
    error_name: str = Field(description="what kind of error refused it", examples=[""])
    cancelled_actions: list[str]
    joined_jobs: list[str] = Field(description="jobs of other requests that do it", examples=[[EXAMPLE_JOB]])
    jobs: list[JobOfRequest] = Field(description=f"its own, at most {MOST_JOBS}; all of them are in /jobs?request=…")

    @staticmethod
    def resolve_jobs(request) -> list:
        return list(request.jobs.only(*_SHOWN).order_by("pk")[:MOST_JOBS])


@operation(router, "GET", "/requests", RequestPage)
def list_requests(request: HttpRequest, filters: Query[RequestFilters]) -> dict:
    """List job requests.

    The newest first. Go on with `after` until `next` is null: a page may hold fewer than `limit`, even none.
    """
    requests, following = page_of_requests(filters)
    return {"requests": requests, "next": following}


@operation(router, "GET", "/requests/{path:identifier}", RequestDetail, refusals=(404,))
def get_request(
    request: HttpRequest,
    identifier: Annotated[str, Path(max_length=255, description="a request's identifier", examples=[EXAMPLE_REQUEST])],
) -> JobRequest:
    """Get one job request, what became of it, and its jobs."""
    found = JobRequest.objects.filter(identifier=identifier).first()
    if found is None:
        raise Http404("There is no request of this identifier.")
    return found


@operation(router, "GET", "/workspaces", WorkspacePage)
def list_workspaces(
    request: HttpRequest,
    after: Annotated[str, Query(max_length=128, description="`next` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict:
    """List the workspaces that requests have named, by name."""
    names = JobRequest.objects.filter(workspace__gt=after).order_by("workspace").values_list("workspace", flat=True)
    found = list(names.distinct()[: limit + 1])
    return {"workspaces": found[:limit], "next": found[limit - 1] if len(found) > limit else None}


@operation(router, "GET", "/workspaces/{name}/outputs", WorkspaceOutputPage, refusals=(404,))
def list_workspace_outputs(
    request: HttpRequest,
    name: Annotated[str, Path(max_length=128, examples=["diabetes"])],
    after: Annotated[str, Query(max_length=4096, description="`next` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> dict:
    """List what stands in a workspace now.

    What is known of the files, and which job has made each: never their contents.
    """
    outputs = JobOutput.objects.current().filter(job__workspace=name, path__gt=after).select_related("job")
    outputs = outputs.defer("job__run_command", "job__arguments", "job__output_spec", "job__needs")
    found = list(outputs.order_by("path", "pk")[: limit + 1])
    if not found and not JobRequest.objects.filter(workspace=name).exists():
        raise Http404("No request has named this workspace.")
    return {"outputs": found[:limit], "next": found[limit - 1].path if len(found) > limit else None}
