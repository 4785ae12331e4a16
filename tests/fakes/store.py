"""What the fake job-server knows: backends, job requests and their jobs, and what a POST does to them.

Knows no HTTP: `answers.py` asks it. All methods may be called from any thread. Times are aware datetimes in UTC.
"""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.eras import Era

UNFINISHED = ("pending", "running")
ACTIVE_STATUSES = (*UNFINISHED, "unknown", "unknown_error_creating_jobs")
TOO_OLD = timedelta(days=365)
COLUMNS = (
    *("identifier", "action", "run_command", "status", "status_code", "status_message"),
    *("created_at", "updated_at", "started_at", "completed_at", "trace_context", "metrics"),
)
EMPTY_JOB = dict.fromkeys(COLUMNS) | {"action": "", "run_command": "", "status_code": "", "status_message": ""}


class IdentifierTaken(Exception):
    """A job's identifier belongs to another request: the database's constraint, in every era a 500."""


@dataclass
class Backend:
    slug: str
    token: str
    last_seen_at: datetime | None = None
    flags: dict | None = None  # what the Flags header said last, in the era that reads it
    is_in_maintenance_mode: bool = False
    last_seen_maintenance_mode: datetime | None = None
    rap_api_state: dict | None = None  # its last entry of the runner's backend/status


@dataclass
class StoredRequest:
    """A job request as the job-server keeps it; the first fields are what a user chose."""

    identifier: str
    backend: str
    requested_actions: list[str]
    workspace: str = "workspace"
    repo_url: str | None = "https://github.com/opensafely/study"
    branch: str = "main"
    commit: str = "c" * 40
    force_run_dependencies: bool = False
    cancelled_actions: list[str] = field(default_factory=list)
    created_by: str | None = "alice"
    created_at: datetime = datetime(2026, 11, 1, tzinfo=UTC)
    workspace_created_by: str | None = "alice"
    workspace_created_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    project: str = "project"
    orgs: list[str] = field(default_factory=lambda: ["organisation"])
    codelists_ok: bool = True
    analysis_scope: dict = field(default_factory=dict)
    # Since 2025-10 a stored value that somebody has to recompute; before, what the jobs say.
    stored_status: str = "unknown"
    status_message: str | None = None
    jobs: dict[str, dict] = field(default_factory=dict)  # identifier -> columns, in the order of their arrival
    listed: bool | None = None  # True or False: whatever the era's rule says

    def status_from_jobs(self) -> str | None:
        """Section 1.4; None without jobs."""
        statuses = {job["status"] for job in self.jobs.values()}
        if len(statuses) < 2:
            return next(iter(statuses), None)
        if statuses & set(UNFINISHED):
            return "running"
        return "failed" if "failed" in statuses else "unknown"


class Store:
    def __init__(self, era: Era, backends: dict[str, str], clock: Callable[[], datetime]):
        self.era = era
        self.clock = clock
        self.lock = threading.RLock()
        self.backends = {slug: Backend(slug, token) for slug, token in backends.items()}
        self.requests: dict[str, StoredRequest] = {}
        self._numbers = itertools.count(1)
        self._owners: dict[str, StoredRequest] = {}  # a job's identifier -> the request that had it last

    def new_identifier(self) -> str:
        """16 characters of [a-z0-9], as today's job-servers make them."""
        return f"request{next(self._numbers):09d}"

    def add(self, request: StoredRequest) -> StoredRequest:
        with self.lock:
            self.requests[request.identifier] = request
        return request

    def listed(self, backend: str | None) -> list[StoredRequest]:
        """The active requests of a backend, or of all: newest first, ties in the order in which they were added."""
        with self.lock:
            found = [
                each for each in self.requests.values() if backend in (None, each.backend) and self.is_listed(each)
            ]
            return sorted(found, key=lambda each: each.created_at, reverse=True)

    def active(self) -> list[StoredRequest]:
        """What the newest era's status loop asks for: the active requests of all backends, whether listed or not."""
        with self.lock:
            return [each for each in self.requests.values() if self.is_active(each)]

    def is_listed(self, request: StoredRequest) -> bool:
        return self.is_active(request) if request.listed is None else request.listed

    def is_active(self, request: StoredRequest) -> bool:
        """Section 1.2, "Which requests are listed"."""
        jobs = request.jobs.values()
        if self.era.active_rule == "completed_at":
            return not jobs or any(job["completed_at"] is None for job in jobs)
        has_unfinished = any(job["status"] in UNFINISHED for job in jobs)
        if self.era.active_rule == "job_status":
            return not jobs or has_unfinished
        is_young = self.clock() - request.created_at < TOO_OLD
        return has_unfinished or (request.stored_status in ACTIVE_STATUSES and is_young)

    def status(self, identifier: str) -> str:
        """What a page would show of a request, without looking at it."""
        with self.lock:
            request = self.requests[identifier]
            if self.era.active_rule == "stored_status":
                return request.stored_status
            return request.status_from_jobs() or "unknown"

    def evaluate(self, identifier: str | None = None) -> None:
        """A page view or the status loop: the newest era recomputes the stored status of one or of all requests."""
        with self.lock:
            for request in [self.requests[identifier]] if identifier else self.requests.values():
                request.stored_status = request.status_from_jobs() or request.stored_status

    def store_jobs(self, jobs: list[dict]) -> list[str]:
        """Do what a valid POST does and return the ids of unknown requests. Raises IdentifierTaken half-way."""
        with self.lock, self._transaction():
            unknown = sorted({job["job_request_id"] for job in jobs} - set(self.requests))
            if unknown and self.era.refuses_unknown_requests:
                return unknown
            if self.era.groups_by_request:
                jobs = sorted(jobs, key=lambda job: job["job_request_id"])
            for identifier, group in itertools.groupby(jobs, key=lambda job: job["job_request_id"]):
                if identifier in self.requests:
                    self._replace_jobs(self.requests[identifier], list(group))
            return unknown

    def _replace_jobs(self, request: StoredRequest, group: list[dict]) -> None:
        sent = {job["identifier"] for job in group}
        for identifier in set(request.jobs) - sent:
            del request.jobs[identifier]
        for job in group:
            self.upsert(request, {name: value for name, value in job.items() if name != "job_request_id"})

    def upsert(self, request: StoredRequest, columns: dict[str, Any]) -> None:
        """Write the given columns of one job; absent ones keep their value. Raises IdentifierTaken."""
        identifier = columns["identifier"]
        owner = self._owners.get(identifier, request)
        if owner is not request and identifier in owner.jobs:
            raise IdentifierTaken(identifier)
        self._owners[identifier] = request
        request.jobs[identifier] = EMPTY_JOB | request.jobs.get(identifier, {}) | columns

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Where the era has it, nothing stays of what fails."""
        before = {each: dict(request.jobs) for each, request in self.requests.items()} if self.era.atomic else {}
        try:
            yield
        except IdentifierTaken:
            for identifier, jobs in before.items():
                self.requests[identifier].jobs = jobs
                self._owners |= dict.fromkeys(jobs, self.requests[identifier])
            raise

    def saw(self, backend: Backend, flags: dict | None) -> None:
        """Note a sign of life, and what the Flags header says of the backend."""
        with self.lock:
            if self.era.get_is_a_sign_of_life:
                backend.last_seen_at = self.clock()
            if flags is not None:
                backend.flags = flags
                mode = flags.get("mode")
                backend.is_in_maintenance_mode = isinstance(mode, dict) and mode.get("v") == "db-maintenance"


def remote_time(time: datetime) -> str:
    """`YYYY-MM-DDTHH:MM:SS[.ffffff]Z`: microseconds only if there are any."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def request_to_remote(request: StoredRequest, era: Era) -> dict:
    """One result of GET job-requests, with the fields of the era."""
    remote = {
        "backend": request.backend,
        "sha": request.commit,
        "identifier": request.identifier,
        "force_run_dependencies": request.force_run_dependencies,
        "requested_actions": list(request.requested_actions),
        "cancelled_actions": list(request.cancelled_actions),
        "created_by": request.created_by,
        "created_at": remote_time(request.created_at),
        "workspace": {
            "name": request.workspace,
            "repo": request.repo_url,
            "branch": request.branch,
            "created_by": request.workspace_created_by,
            "created_at": remote_time(request.workspace_created_at),
        },
    }
    if era.old_fields:
        remote["workspace"]["db"] = "full"
        return remote
    return remote | {
        "database_name": "default",
        "project": request.project,
        "orgs": list(request.orgs),
        "codelists_ok": request.codelists_ok,
    }
