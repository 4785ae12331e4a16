"""A job's life as a timeline: each change of its status with how long it stayed so, and what people asked for.

Bounded: of a job that was tried again and again the last changes are shown.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.models import AuditEntry, Job, StatusChange
from jobs.states import STATE_OF, StatusCode

MOST = 200


@dataclass(frozen=True)
class Event:
    """`lasted` is None where the stage still goes on, or for what is no stage."""

    at: datetime
    kind: str
    title: str
    text: str
    by: str = ""
    attempt: int = 0
    lasted: timedelta | None = None
    goes_on: bool = False


def events(job: Job, *, with_audit: bool) -> list[Event]:
    """The newest first. Two queries at most."""
    found = _changes(job)
    if with_audit:
        entries = AuditEntry.objects.about("job", job.identifier).order_by("-pk")[:MOST]
        found += [
            Event(entry.at, "person", entry.verb, entry.reason or entry.after, f"{entry.actor} ({entry.via})")
            for entry in entries
        ]
    elif job.is_stop_requested and job.stop_requested_at:
        text = job.stop_reason
        found.append(Event(job.stop_requested_at, "person", job.stop_request, text, job.stop_requested_by))
    return sorted(found, key=lambda event: event.at, reverse=True)[:MOST]


def _changes(job: Job) -> list[Event]:
    rows = list(StatusChange.objects.filter(job=job).order_by("-pk")[:MOST])[::-1]
    found = []
    if len(rows) < MOST:
        first = rows[0].at if rows else None
        goes_on = first is None and job.is_active
        found.append(Event(job.created_at, "pending", "created", "", "", 1, first and first - job.created_at, goes_on))
    for place, row in enumerate(rows):
        after = rows[place + 1].at if place + 1 < len(rows) else None
        goes_on = after is None and job.is_active
        found.append(_change(row, after and after - row.at, goes_on))
    return found


def _change(row: StatusChange, lasted: timedelta | None, goes_on: bool) -> Event:
    known = row.to_code in StatusCode.values
    kind = STATE_OF[StatusCode(row.to_code)] if known else "pending"
    title = row.to_code.replace("_", " ")
    by = row.actor if row.actor != "runner" else ""
    return Event(row.at, str(kind), title, row.message, by, row.attempt, lasted, goes_on)
