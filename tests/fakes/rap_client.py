"""The calling side: what the newest job-server asks of a runner's RAP API, and what it makes of the answers.

Sections 2.1 to 2.5 of the contract. Three things that the real one does are meant and not mistakes of the fake: one bad
job stops a whole update, an answer 500 with JSON fails a request, and one without JSON leaves it open.

Not modelled: that the real one waits for ever (here a call ends after `timeout_seconds` as NoAnswer), that it follows
redirects, and that it traces. Not known is whether jobs or unrecognised ids are looked at first; here the jobs are.
"""

import http.client
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from tests.fakes.journal import Journal
from tests.fakes.store import COLUMNS, EMPTY_JOB, UNFINISHED, IdentifierTaken, Store, StoredRequest

UNKNOWN_ERROR = "Unknown error creating jobs"
NOT_COLUMNS = ("rap_id", "backend", "requires_db")
NEVER_NULL = ("run_command", "status_code", "status_message", "created_at")
TIMES = ("created_at", "updated_at", "started_at", "completed_at")


class NoAnswer(Exception):
    """Refused, dropped, or longer than the fake waits."""


class AnswerRefused(Exception):
    """A status that the job-server does not accept for this call."""

    def __init__(self, status: int, details: str = ""):
        super().__init__(f"the runner answered {status}: {details}")
        self.status = status
        self.details = details


class UpdateStopped(Exception):
    """What follows in the answer is lost. `kind` is the name of the exception that the real job-server raised."""

    def __init__(self, kind: str, about: str):
        super().__init__(f"{kind}: {about}")
        self.kind = kind
        self.about = about


@dataclass(frozen=True)
class Reply:
    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> Any:
        """The content, or None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class RapClient:
    """`url` ends in a slash, as the job-server's setting must: without it the last part would be dropped."""

    def __init__(self, store: Store, journal: Journal, url: str, token: str, timeout_seconds: float = 60):
        self.store = store
        self.journal = journal
        self.url = url
        self.token = token
        self.timeout_seconds = timeout_seconds
        self.log: list[str] = []  # what the real one writes to its log and otherwise ignores

    def call(self, method: str, path: str, content: Any = None) -> Reply:
        """Raises NoAnswer."""
        target = urlsplit(urljoin(self.url, path))
        headers = {"Authorization": self.token, "Accept": "*/*"}
        body = None
        if content is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(content)
        https = target.scheme == "https"
        connection_class = http.client.HTTPSConnection if https else http.client.HTTPConnection
        connection = connection_class(target.hostname, target.port, timeout=self.timeout_seconds)
        try:
            connection.request(method, target.path, body, headers)
            response = connection.getresponse()
            return Reply(response.status, response.headers.get("Content-Type", ""), response.read())
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(repr(error)) from error
        finally:
            connection.close()

    def create(self, request: StoredRequest) -> str:
        """Ask the runner to create the request's jobs; keep the request and return its status then.

        Nobody sees the request before the answer is there: the real one creates it in the same transaction.
        """
        try:
            reply = self.call("POST", "rap/create/", create_content(request))
        except NoAnswer:
            outcome = ("unknown_error_creating_jobs", None)
        else:
            outcome = outcome_of_create(reply)
        request.stored_status, request.status_message = outcome
        self.store.add(request)
        return request.stored_status

    def cancel(self, identifier: str, actions: list[str] | None = None) -> None:
        """A user cancels actions, or all that are pending or running as far as the job-server knows.

        Raises ValueError without a call if it knows no jobs, else what `call_cancel` raises.
        """
        request = self.store.requests[identifier]
        if not request.jobs:
            raise ValueError("job information not available")
        unfinished = [job["action"] for job in request.jobs.values() if job["status"] in UNFINISHED]
        chosen = unfinished if actions is None else [action for action in actions if action in unfinished]
        self.call_cancel(identifier, chosen)
        with self.store.lock:
            request.cancelled_actions += chosen

    def call_cancel(self, rap_id: str, actions: list[str]) -> None:
        """Raises NoAnswer, AnswerRefused, and UpdateStopped for a JSON error without details, as the real one trips."""
        reply = self.call("POST", "rap/cancel/", {"rap_id": rap_id, "actions": actions})
        if reply.status == 200:
            return
        if isinstance(reply.json, dict):
            if "details" not in reply.json:
                raise UpdateStopped("KeyError", "details")
            raise AnswerRefused(reply.status, reply.json["details"])
        raise AnswerRefused(reply.status)

    def poll_status(self, rap_ids: list[str] | None = None) -> None:
        """One turn of the status loop, over all active requests unless told otherwise, also when there are none.

        Raises NoAnswer, AnswerRefused and UpdateStopped, which the real loop logs before it goes on.
        """
        self.store.evaluate()
        if rap_ids is None:
            rap_ids = [each.identifier for each in self.store.active()]
        reply = self.call("POST", "rap/status/", {"rap_ids": rap_ids})
        if reply.status != 200:
            raise AnswerRefused(reply.status)
        with self.store.lock:
            self.journal.heard(reply.json)
            self._update(reply.json, rap_ids)

    def _update(self, content: Any, rap_ids: list[str]) -> None:
        for key in ("jobs", "unrecognised_rap_ids"):
            require(content, key)
        jobs_by_request: dict[str, list[dict]] = {}
        for job in content["jobs"]:
            jobs_by_request.setdefault(require(job, "rap_id"), []).append(job)
        for rap_id in rap_ids:
            if rap_id in jobs_by_request and rap_id in self.store.requests:
                self._update_request(self.store.requests[rap_id], jobs_by_request[rap_id])
        for rap_id in content["unrecognised_rap_ids"]:
            self._unrecognised(rap_id)

    def _update_request(self, request: StoredRequest, jobs: list[dict]) -> None:
        missing = set(request.jobs) - {require(job, "identifier") for job in jobs}
        self.log += [f"job {identifier} is missing in the answer" for identifier in sorted(missing)]
        for job in jobs:
            require(job, "status")
            try:
                self.store.upsert(request, columns_of(job, is_new=job["identifier"] not in request.jobs))
            except IdentifierTaken as taken:
                raise UpdateStopped("IntegrityError", str(taken)) from taken
        self.store.evaluate(request.identifier)

    def _unrecognised(self, rap_id: str) -> None:
        """The end of a request whose creation is uncertain; for any other one the job-server only wonders."""
        request = self.store.requests.get(rap_id)
        if request and request.stored_status == "unknown_error_creating_jobs":
            request.stored_status, request.status_message = "failed", UNKNOWN_ERROR
        else:
            self.log.append(f"request {rap_id} is unrecognised")

    def backend_status(self) -> None:
        """What cron does each minute. Raises NoAnswer, AnswerRefused and UpdateStopped."""
        reply = self.call("GET", "backend/status/")
        if reply.status != 200:
            raise AnswerRefused(reply.status)
        for entry in require(reply.json, "backends"):
            slug = require(entry, "slug")
            if slug not in self.store.backends:
                raise UpdateStopped("DoesNotExist", slug)
            last_seen, maintenance = require(entry, "last_seen"), require(entry, "db_maintenance")
            is_on, since = require(maintenance, "status") == "on", require(maintenance, "since")
            with self.store.lock:
                backend = self.store.backends[slug]
                backend.last_seen_at = last_seen and datetime.fromisoformat(last_seen)
                backend.is_in_maintenance_mode = is_on
                backend.last_seen_maintenance_mode = since and datetime.fromisoformat(since)
                backend.rap_api_state = entry


def create_content(request: StoredRequest) -> dict:
    """The body of rap/create."""
    return {
        "rap_id": request.identifier,
        "backend": request.backend,
        "workspace": request.workspace,
        "repo_url": request.repo_url,
        "branch": request.branch,
        "commit": request.commit,
        "database_name": "default",
        "requested_actions": request.requested_actions,
        "codelists_ok": request.codelists_ok,
        "force_run_dependencies": request.force_run_dependencies,
        "created_by": request.created_by,
        "project": request.project,
        "orgs": request.orgs,
        "analysis_scope": request.analysis_scope,
    }


def outcome_of_create(reply: Reply) -> tuple[str, str | None]:
    """The request's new status and message: the table of section 2.3."""
    is_success = reply.status in (200, 201)
    content = reply.json
    if not isinstance(content, dict):
        return ("failed", UNKNOWN_ERROR) if is_success else ("unknown_error_creating_jobs", None)
    if not is_success or "count" not in content:
        return "failed", UNKNOWN_ERROR if is_success else content.get("details", UNKNOWN_ERROR)
    return ("pending", None) if content["count"] else ("nothing_to_do", content.get("details"))


def require(content: Any, key: str) -> Any:
    """The value; UpdateStopped where the real one trips over a key that is not there."""
    if not isinstance(content, dict):
        raise UpdateStopped("TypeError", f"{type(content).__name__} instead of an object")
    if key not in content:
        raise UpdateStopped("KeyError", key)
    return content[key]


def columns_of(job: dict, is_new: bool) -> dict:
    """Every key but three is a column: unknown ones are ignored in old jobs and stop the update at a new one."""
    columns = {name: value for name, value in job.items() if name not in NOT_COLUMNS}
    unknown = sorted(set(columns) - set(COLUMNS))
    if unknown and is_new:
        raise UpdateStopped("FieldError", unknown[0])
    columns = {name: value for name, value in columns.items() if name in COLUMNS}
    for name, value in columns.items():
        if value is None and name in NEVER_NULL:
            raise UpdateStopped("IntegrityError", name)
        if holds_nul(value):
            raise UpdateStopped("DataError", name)
        if name in TIMES and value is not None:
            columns[name] = time_of(value)
    return columns if not is_new else EMPTY_JOB | columns


def time_of(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise UpdateStopped(type(error).__name__, str(error)) from error


def holds_nul(value: Any) -> bool:
    """PostgreSQL stores U+0000 neither in a text nor anywhere in JSON."""
    if isinstance(value, dict):
        return any(holds_nul(part) for pair in value.items() for part in pair)
    return any(map(holds_nul, value)) if isinstance(value, list) else "\0" in str(value)
