"""Calls that ask for something to happen to jobs. What becomes of each is told for each; `jobs.asking` does it."""

import functools
from typing import Annotated

from django.http import HttpRequest
from ninja import Body, Header, Router, Schema
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from jobs import asking
from jobs.api.operations import operation
from jobs.api.problems import Trouble
from jobs.api.schemas import EXAMPLE_JOB, EXAMPLE_REQUEST, IDENTIFIER
from jobs.models import AuditEntry
from jobs.people.access import who
from jobs.reasons import LONGEST_REASON, NoReason

router = Router(tags=["changing jobs"])

MOST_JOBS = 1000
Name = Annotated[str, StringConstraints(pattern=IDENTIFIER, max_length=64)]
Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_REASON,
        description="why; kept in the audit, and of a cancel or kill shown to the study's author",
        examples=["The disk is being replaced"],
    ),
]


class Wish(BaseModel):
    """For which jobs, and why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    identifiers: list[Name] = Field(
        min_length=1, max_length=MOST_JOBS, description="whole identifiers of jobs", examples=[[EXAMPLE_JOB]]
    )
    reason: Reason


class Result(Schema):
    """What became of the wish for one job."""

    identifier: str = Field(examples=[EXAMPLE_JOB])
    label: str = Field(description="workspace and action; empty for no job", examples=["diabetes: generate_dataset"])
    was_done: bool = Field(description="whether it was asked for now; the runner does it in its next turns")
    sentence: str = Field(examples=["cancel asked for"])


class Results(Schema):
    """One result for each job, in the order of the call, repetitions left out."""

    results: list[Result]


class RerunResults(Results):
    """The results, and the new requests."""

    requests: list[str] = Field(description="identifiers of the new requests", examples=[[EXAMPLE_REQUEST]])


@operation(router, "POST", "/jobs/cancel", Results, permissions=("jobs.cancel_job",), changes=True)
def cancel_jobs(request: HttpRequest, wish: Body[Wish]) -> dict:
    """Cancel jobs.

    What runs is stopped, what waits does not start, and what needs it fails. A job that has ended is left as it is.
    """
    return {"results": _asked(asking.cancel, request, wish)}


@operation(router, "POST", "/jobs/kill", Results, permissions=("jobs.cancel_job",), changes=True)
def kill_jobs(request: HttpRequest, wish: Body[Wish]) -> dict:
    """Kill jobs.

    As cancelling, but they end as killed by an administrator; it also overrides a cancel that was not carried out yet.
    """
    return {"results": _asked(asking.kill, request, wish)}


@operation(router, "POST", "/jobs/retry", Results, permissions=("jobs.retry_job",), changes=True)
def retry_jobs(request: HttpRequest, wish: Body[Wish]) -> dict:
    """Finalise jobs again.

    Of jobs that ended with `internal_error`: what a fault of this site cut off is finished; they are not run again.
    """
    return {"results": _asked(asking.finalise_again, request, wish)}


@operation(router, "POST", "/jobs/rerun", RerunResults, permissions=("jobs.retry_job",), changes=True)
def rerun_jobs(
    request: HttpRequest,
    wish: Body[Wish],
    key: Annotated[
        str, Header(alias="Idempotency-Key", max_length=255, description="a word that you make up for this wish")
    ] = "",
) -> dict:
    """Run jobs again.

    Asks for the actions of ended jobs once more, at the same commit: one new request for each of their requests.
    However often the same wish comes with the same `Idempotency-Key`, it is done once.
    """
    once = "\n".join((request.user.get_username(), key, *sorted(wish.identifiers))) if key else ""
    results, requests = _asked(functools.partial(asking.run_again, once=once), request, wish)
    return {"results": results, "requests": [each.identifier for each in requests]}


def _asked(verb, request: HttpRequest, wish: Wish):
    try:
        return verb(wish.identifiers, who(request, AuditEntry.Via.API), wish.reason)
    except NoReason as error:
        raise Trouble(422, "No reason", str(error)) from error
