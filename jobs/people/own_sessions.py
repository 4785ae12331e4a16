"""Where a person is signed in now, and how they end that from elsewhere: a desk that was left, a browser that was lost.

Django keeps sessions without saying whose they are, so the newest ones are read; whoever has more people signed in than
MOST_READ sees the newest. A session is named by a digest: its key would open it.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from jobs.log import escape
from jobs.models import AuditEntry
from jobs.people import sessions
from jobs.people.access import who

MOST_READ = 2000
_BROWSERS = (("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    *(("Windows", "Windows"), ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad")),
    *(("Mac OS X", "macOS"), ("Linux", "Linux")),
)


@dataclass(frozen=True)
class OwnSession:
    """`seen_at` is right to five minutes (`jobs.people.sessions`); `browser` is what the browser says of itself."""

    identifier: str
    began_at: datetime
    seen_at: datetime
    address: str
    browser: str
    is_this: bool


def own_sessions(request: HttpRequest) -> list[OwnSession]:
    """Of who calls, this one first, then the one used last."""
    found = [_described(row, data, request) for row, data in _rows(request)]
    return sorted(found, key=lambda each: (not each.is_this, -each.seen_at.timestamp()))


def end_sessions(request: HttpRequest, identifier: str = "") -> int:
    """End the caller's session of this identifier, or without one all but this; returns how many."""
    this = request.session.session_key
    chosen = [
        row.pk for row, _ in _rows(request) if row.pk != this and identifier in ("", _identifier(row.session_key))
    ]
    if not chosen:
        return 0
    name = request.user.get_username()
    with transaction.atomic():
        AuditEntry.note(
            who(request), "end session", object_kind="user", object_id=name, label=name,
            after=f"{len(chosen)} signed out",
        )  # fmt: skip
        Session.objects.filter(pk__in=chosen).delete()
    return len(chosen)


def _rows(request: HttpRequest) -> list[tuple[Session, dict[str, Any]]]:
    """The caller's sessions that would still be let in."""
    user = request.user
    newest = Session.objects.filter(expire_date__gt=timezone.now()).order_by("-expire_date")[:MOST_READ]
    rows = ((row, row.get_decoded()) for row in newest)
    return [
        (row, data)
        for row, data in rows
        if data.get(SESSION_KEY) == str(user.pk)
        and data.get(HASH_SESSION_KEY) == user.get_session_auth_hash()
        and sessions.goes_on(data)
    ]


def _described(row: Session, data: dict[str, Any], request: HttpRequest) -> OwnSession:
    began, seen = (datetime.fromtimestamp(each, UTC) for each in sessions.began_and_seen(data))
    address, agent = sessions.place(data)
    is_this = row.session_key == request.session.session_key
    return OwnSession(_identifier(row.session_key), began, seen, address, browser(agent), is_this)


def browser(agent: str) -> str:
    """ "Firefox on Windows"; what is not known by its name as it calls itself."""
    name = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return " on ".join(filter(None, [name, system])) or escape(agent[:60]) or "unknown"


def _identifier(key: str) -> str:
    return hashlib.sha256(f"own session\n{key}".encode()).hexdigest()[:24]
