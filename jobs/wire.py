"""Jobs as a job-server takes them, by POST (wire contract §1.3) or as the answer to rap/status (§2.5).

Strict on purpose: one null where a text belongs, one NUL or one unknown key stops a job-server's whole update, also of
everybody else's jobs. What a request has instead of jobs of its own (refused, nothing to do, done by jobs of another
request) is told as jobs that exist only on the wire.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime

from django.utils import timezone

from jobs.models import Heartbeat, Job, JobRequest
from jobs.models.job import job_identifier
from jobs.states import FINAL_STATES, State, StatusCode
from jobs.text import CONTROLS

RemoteJob = dict[str, object]

ERROR_ACTION = "__error__"
MOST_MESSAGE = 2_000
MOST_COMMAND = 10_000
# Keys that both protocols share. Every job carries all of them, always (§1.9 rule 6).
SHARED_KEYS = (
    *("identifier", "action", "run_command", "status", "status_code", "status_message"),
    *("created_at", "updated_at", "started_at", "completed_at", "trace_context", "metrics", "requires_db"),
)
# What makes a state another one; a sentence or a sign of life that changes alone can wait.
_STATE_KEYS = ("identifier", "action", "status", "status_code", "started_at", "completed_at")
_STATE_COLUMNS = ("request_id", "identifier", "action", "state", "status_code", "started_at", "completed_at")
_COLUMNS = (
    *_STATE_COLUMNS,
    *("run_command", "status_message", "created_at", "updated_at", "trace_context", "metrics", "requires_db"),
)
_UNWANTED = re.compile(f"(?![\n\t])[{CONTROLS}]")


def clean(text: str, most: int = MOST_MESSAGE) -> str:
    """The text without what job-servers refuse (NUL, lone surrogates, other controls), shortened."""
    text = _UNWANTED.sub("\ufffd", text).strip()
    return text if len(text) <= most else text[: most - 1] + "…"


def moment(time: datetime | None) -> str | None:
    """YYYY-MM-DDTHH:MM:SS.ffffffZ."""
    if time is None:
        return None
    return time.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def remote_jobs(requests: Iterable[JobRequest]) -> dict[int, list[RemoteJob]]:
    """Primary key of each request -> what a polled job-server is to be told of it; empty while it waits to be planned.

    A fixed number of queries, however many requests and jobs.
    """
    requests = list(requests)
    return _told(requests, stored_jobs(request.pk for request in requests))


def digests(requests: Iterable[JobRequest]) -> dict[int, str]:
    """Primary key of each request -> `digest` of what it is to be told; without those that wait to be planned.

    Sync asks for it in each turn, so it reads only what makes a state.
    """
    requests = list(requests)
    told = _told(requests, _by_request((request.pk for request in requests), _STATE_COLUMNS, _state))
    return {pk: digest(jobs) for pk, jobs in told.items() if jobs}


def stored_jobs(request_pks: Iterable[int]) -> dict[int, list[RemoteJob]]:
    """Primary key of each request -> its jobs in the order of creation."""
    alive_at = _alive_at()
    return _by_request(request_pks, _COLUMNS, lambda row: _remote(row, alive_at))


def digest(jobs: Iterable[RemoteJob]) -> str:
    """The same for the same states of the same jobs, whatever else is said of them."""
    state = repr([[job[key] for key in _STATE_KEYS] for job in jobs])
    return hashlib.sha256(state.encode()).hexdigest()


def is_final(jobs: Collection[RemoteJob]) -> bool:
    return all(job["status"] in FINAL_STATES for job in jobs)


def _told(requests: list[JobRequest], told: dict[int, list[RemoteJob]]) -> dict[int, list[RemoteJob]]:
    """With what is told instead of jobs."""
    joined = _joined_by(requests)
    # After the jobs: one that was withdrawn while it was active must not be told as succeeded if it has ended since.
    withdrawn = _withdrawn_by(requests) if joined else {}
    alive_at = _alive_at() if joined else None
    instead = {
        JobRequest.Outcome.REFUSED: _refusal,
        JobRequest.Outcome.NOTHING_TO_DO: _nothing_to_do,
        JobRequest.Outcome.ALREADY_SCHEDULED: lambda request: _mirrored(
            request, joined, withdrawn.get(request.pk, ()), alive_at
        ),
    }
    for request in requests:
        if request.source != JobRequest.Source.RAP_API and request.outcome in instead:
            # Whoever called rap/create has had these as an answer, and jobs of such names would contradict it (§2.6).
            told[request.pk] = instead[request.outcome](request)
    return told


def _by_request(
    request_pks: Iterable[int], columns: tuple[str, ...], read: Callable[[Mapping], RemoteJob]
) -> dict[int, list[RemoteJob]]:
    told: dict[int, list[RemoteJob]] = {pk: [] for pk in request_pks}
    for chunk in _chunks(list(told)):
        for row in Job.objects.filter(request__in=chunk).order_by("pk").values(*columns):
            told[row["request_id"]].append(read(row))
    return told


def _alive_at() -> datetime | None:
    """When the runner was last heard; a clock that was ahead then counts as now."""
    heard = Heartbeat.objects.filter(name="run").values_list("at", flat=True).first()
    return heard and min(heard, timezone.now())


def _state(row: Mapping) -> RemoteJob:
    """The part of a remote job that makes its state."""
    state = row["state"]
    return {
        "identifier": row["identifier"],
        "action": clean(row["action"]),
        "status": state,
        "status_code": row["status_code"],
        # A further attempt that waits has not started.
        "started_at": None if state == State.PENDING else moment(row["started_at"]),
        "completed_at": moment(row["completed_at"]),
    }


def _remote(row: Mapping, alive_at: datetime | None) -> RemoteJob:
    updated_at = row["updated_at"]
    if row["state"] not in FINAL_STATES and alive_at is not None:
        # A job that waits for hours changes nothing, yet it is looked after as long as the runner lives: a job-server
        # warns of active jobs whose `updated_at` stands still (§1.4).
        updated_at = max(updated_at, alive_at)
    return _state(row) | {
        "run_command": clean(row["run_command"], MOST_COMMAND),
        "status_message": clean(row["status_message"]),
        "created_at": moment(row["created_at"]),
        "updated_at": moment(updated_at),
        "trace_context": row["trace_context"],
        "metrics": row["metrics"] or {},
        "requires_db": row["requires_db"],
    }


def _instead_of_a_job(request: JobRequest, action: str, status: State, code: str, message: str) -> RemoteJob:
    concluded = moment(request.outcome_at or request.received_at)
    return {
        "identifier": job_identifier(request.identifier, action),
        "action": clean(action),
        "run_command": "",
        "status": status.value,
        "status_code": code,
        "status_message": clean(message),
        "created_at": concluded,
        "updated_at": concluded,
        "started_at": None,
        "completed_at": concluded,
        "trace_context": None,
        "metrics": {},
        "requires_db": False,
    }


def _refusal(request: JobRequest) -> list[RemoteJob]:
    """The protocol has no error of a request, so a job of this name stands for it (§1.7)."""
    message = f"{request.error_name}: {request.outcome_message}"
    return [_instead_of_a_job(request, ERROR_ACTION, State.FAILED, "", message)]


def _nothing_to_do(request: JobRequest) -> list[RemoteJob]:
    """One succeeded job that is named after the first requested action (§1.7)."""
    action = request.requested_actions[0]
    return [_instead_of_a_job(request, action, State.SUCCEEDED, StatusCode.SUCCEEDED.value, request.outcome_message)]


def _mirrored(
    request: JobRequest, joined: Mapping[str, Mapping], withdrawn: Collection[str], alive_at: datetime | None
) -> list[RemoteJob]:
    """The jobs of other requests that do it, under identifiers of this request: "succeeded" only once they have.

    An action that was cancelled for this request is told as cancelled; the other request's job goes on.
    """
    told = []
    for identifier in request.joined_jobs:
        row = joined.get(identifier)
        if row is None:
            # Somebody has deleted it. What was told of it stays true, and a list without it would delete it there.
            return []
        if identifier in withdrawn:
            message = "Cancelled by user. The job, which belongs to another request, goes on."
            code = StatusCode.CANCELLED_BY_USER.value
            told.append(_instead_of_a_job(request, row["action"], State.FAILED, code, message))
            continue
        own = {
            "identifier": job_identifier(request.identifier, row["action"]),
            "status_message": clean(f"{row['status_message']} (Job {identifier}, scheduled by another request.)"),
        }
        told.append(_remote(row, alive_at) | own)
    return told


def _joining(requests: Iterable[JobRequest]) -> list[JobRequest]:
    return [request for request in requests if request.outcome == JobRequest.Outcome.ALREADY_SCHEDULED]


def _withdrawn_by(requests: Iterable[JobRequest]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for chunk in _chunks([request.pk for request in _joining(requests)]):
        found |= dict(JobRequest.objects.filter(pk__in=chunk).values_list("pk", "withdrawn_jobs"))
    return found


def _joined_by(requests: Iterable[JobRequest]) -> dict[str, Mapping]:
    wanted = [identifier for request in _joining(requests) for identifier in request.joined_jobs]
    found: dict[str, Mapping] = {}
    for chunk in _chunks(wanted):
        found |= {row["identifier"]: row for row in Job.objects.filter(identifier__in=chunk).values(*_COLUMNS)}
    return found


def _chunks(values: list, size: int = 500) -> Iterable[list]:
    return (values[start : start + size] for start in range(0, len(values), size))
