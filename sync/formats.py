"""Remote JSON -> JobRequest, and what is true of the wire only (contract §1.2, §1.9). Pure but for the clock.

Each result is read by itself: one malformed result never costs the others. What has an identifier but cannot be used
becomes a request that is refused from the start, so that its author is told.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from jobs.models import Flag, JobRequest
from jobs.text import CONTROLS
from jobs.wire import clean, moment

# Both names of the one database (§1.2): `full` until 2023-09-13.
_SAME_DATABASE = {"full": "default", "": "default"}
_UNSAFE = re.compile(f"[{CONTROLS}]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MOST_IDENTIFIER = 255
# More than any study has actions that somebody would name one by one.
MOST_NAMES = 10_000
_MOST_ORIGINAL_CHARACTERS, _MOST_DEPTH = 100_000, 20
_LENGTHS = {
    name: JobRequest._meta.get_field(name).max_length
    for name in ("workspace", "repo_url", "branch", "commit", "database_name", "created_by", "project")
}


class Unusable(Exception):
    """A result from which not even an identifier can be taken; the message says why, for the log."""


class NotOurs(Exception):
    """A request of another backend."""


def request_from_remote(result: object, backend: str) -> JobRequest:
    """An unsaved request that waits to be planned, or is refused at once. Raises Unusable and NotOurs."""
    if not isinstance(result, dict):
        raise Unusable("it is no object")
    identifier = result.get("identifier")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= _MOST_IDENTIFIER or _UNSAFE.search(identifier):
        raise Unusable("it has no identifier that can be used")
    if result.get("backend") != backend:
        # A server without our token, or with an empty one, lists the requests of all backends (§1.1).
        raise NotOurs
    reader = _Reader(result)
    request = JobRequest(identifier=identifier, source=JobRequest.Source.POLLING, backend=backend, **reader.columns())
    request.original = _for_the_audit(result)
    request.outcome = JobRequest.Outcome.WAITING
    if reader.faults:
        request.outcome = JobRequest.Outcome.REFUSED
        request.error_name, request.outcome_at = "RequestError", timezone.now()
        request.outcome_message = f"The job-server's request cannot be used: {'; '.join(reader.faults)}."
    return request


class _Reader:
    """Takes columns out of a result; what is wrong with it is collected in `faults`."""

    def __init__(self, result: Mapping):
        self._result = result
        workspace = result.get("workspace")
        self._workspace = workspace if isinstance(workspace, dict) else {}
        self.faults: list[str] = []

    def columns(self) -> dict[str, object]:
        database = self._text("database_name") or self._text("workspace.db", "database_name")
        return {
            "workspace": self._text("workspace.name", "workspace", is_needed=True),
            "repo_url": self._text("workspace.repo", "repo_url", is_needed=True),
            "branch": self._text("workspace.branch", "branch"),
            "commit": self._text("sha", "commit", is_needed=True),
            "database_name": _SAME_DATABASE.get(database, database),
            "requested_actions": self._names("requested_actions", is_needed=True),
            "cancelled_actions": self._names("cancelled_actions"),
            "force_run_dependencies": self._flag("force_run_dependencies", default=False),
            "codelists_ok": self._flag("codelists_ok", default=True),
            "created_by": self._text("created_by"),
            "project": self._text("project"),
            "orgs": self._names("orgs"),
            "created_at": self._time("created_at"),
        }

    def _value(self, name: str) -> object:
        place, _, key = name.rpartition(".")
        return self._workspace.get(key) if place else self._result.get(key)

    def _text(self, name: str, column: str = "", *, is_needed: bool = False) -> str:
        value = self._value(name)
        if value is None or value == "":
            if is_needed:
                self.faults.append(f"{name} is missing")
            return ""
        if not isinstance(value, str):
            self.faults.append(f"{name} is no text")
            return ""
        longest = _LENGTHS[column or name]
        if len(value) > longest or _UNSAFE.search(value):
            self.faults.append(
                f"{name} is longer than {longest} characters"
                if len(value) > longest
                else f"{name} has control characters"
            )
            return clean(value, longest)
        return value

    def _names(self, name: str, *, is_needed: bool = False) -> list[str]:
        value = self._value(name)
        if value is None and not is_needed:
            return []
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.faults.append(f"{name} is no list of names")
            return []
        if is_needed and not value:
            self.faults.append(f"{name} names nothing")
        if len(value) > MOST_NAMES:
            self.faults.append(f"{name} has more than {MOST_NAMES} names")
            value = value[:MOST_NAMES]
        return list(dict.fromkeys(clean(each, 255) for each in value))

    def _flag(self, name: str, *, default: bool) -> bool:
        value = self._value(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.faults.append(f"{name} is neither true nor false")
            return default
        return value

    def _time(self, name: str) -> datetime:
        """When it was asked for; the moment it came where the server says nothing sensible. It only gives an order."""
        value = self._value(name)
        try:
            found = parse_datetime(value) if isinstance(value, str) else None
        except ValueError:
            found = None
        if found is None or not 2000 <= found.year <= 9000:
            return timezone.now()
        return found if timezone.is_aware(found) else found.replace(tzinfo=UTC)


def _for_the_audit(result: object) -> object:
    """What came in, but for what a database could not store; a giant is not kept."""
    storable = _storable(result, _MOST_DEPTH)
    size = len(json.dumps(storable, ensure_ascii=False))
    return storable if size <= _MOST_ORIGINAL_CHARACTERS else {"not kept": f"{size} characters"}


def _storable(value: object, depth: int) -> object:
    """JSON for any database: no NUL, no lone surrogates, no infinity (which 1e999 becomes), nothing deeply nested."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict | list) and depth == 0:
        return "not kept: nested too deeply"
    if isinstance(value, dict):
        return {_storable(key, 0): _storable(each, depth - 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_storable(each, depth - 1) for each in value]
    return value


def flags_header(flags: Mapping[str, Flag], last_seen: datetime | None) -> str:
    """The optional `Flags` header (§1.1): servers of 2022-07 to 2025-10 show maintenance and "last seen" from it.

    `last_seen` is when the runner was last alive: sync alone cannot vouch for the backend.
    """
    maintenance, paused = flags.get(Flag.Name.DB_MAINTENANCE), flags.get(Flag.Name.PAUSED)
    now = moment(timezone.now())
    found = {
        "mode": {"v": "db-maintenance" if maintenance and maintenance.value else None, "ts": _since(maintenance, now)},
        "paused": {"v": "true" if paused and paused.value else None, "ts": _since(paused, now)},
    }
    if last_seen is not None:
        found["last-seen-at"] = {"v": last_seen.astimezone(UTC).isoformat(), "ts": now}
    return json.dumps(found)


def _since(flag: Flag | None, now: str) -> str:
    return moment(flag.set_at) if flag else now
