"""How long somebody stays signed in: half an hour without use, and twelve hours in all.

A page that is looked at polls, and that counts as use: a screen on which jobs are watched all day must not go dark, and
a hidden tab does not poll. So a session of an unattended machine with a visible page lasts until the twelve hours end.

When it was last used is noted every five minutes at most, so a poll costs no write; the half hour is therefore between
25 and 30 minutes.
"""

import time
from collections.abc import Callable, Mapping

from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse

from jobs.models import AuditEntry
from jobs.people.access import who
from jobs.people.address import client_address

LONGEST_SECONDS = 12 * 60 * 60
LONGEST_IDLE_SECONDS = 30 * 60
NOTED_EVERY_SECONDS = 5 * 60
_MOST_AHEAD_SECONDS = 60
_BEGAN, _SEEN, _PROXY = "began_at", "seen_at", "named_by_proxy"
_ADDRESS, _AGENT = "address", "agent"
_LONGEST_AGENT = 300


class EndingInTime:
    """The middleware. A disabled account and a changed password end a session without it, in Django."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated and not goes_on(request.session):
            logout(request)
        return self._get_response(request)

    def process_view(self, request: HttpRequest, view: Callable, arguments, named) -> None:
        """What is open to everybody, or to programs, uses no session, so it sets no cookie."""
        if getattr(view, "login_required", True) and request.user.is_authenticated:
            _note_use(request.session)


def begin(request: HttpRequest, user, *, named_by_proxy: str = "") -> None:
    """Sign this person in: a session with a new key, and a row of the audit."""
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    where = {_ADDRESS: client_address(request), _AGENT: request.headers.get("User-Agent", "")[:_LONGEST_AGENT]}
    request.session.update(times() | where | ({_PROXY: named_by_proxy} if named_by_proxy else {}))
    _note(request, "log in", "single sign-on" if named_by_proxy else "password")
    request.session.clear_expired()


def end(request: HttpRequest) -> None:
    """Sign out, whoever is signed in."""
    if request.user.is_authenticated:
        _note(request, "log out", "")
    logout(request)


def times() -> dict[str, float]:
    """What a session that begins now notes."""
    now = time.time()
    return {_BEGAN: now, _SEEN: now}


def proxy_s_name(request: HttpRequest) -> str:
    """Under which name a proxy has signed this session in; empty if a password has."""
    return request.session.get(_PROXY, "")


def began_and_seen(session: Mapping) -> tuple[float, float]:
    """When it began and when its use was last noted; of one that has noted nothing, now."""
    now = time.time()
    return session.get(_BEGAN, now), session.get(_SEEN, now)


def place(session: Mapping) -> tuple[str, str]:
    """From which address it was begun, and by what browser."""
    return session.get(_ADDRESS, ""), session.get(_AGENT, "")


def goes_on(session: Mapping) -> bool:
    """Whether it is neither too old nor too long without use."""
    began, seen = began_and_seen(session)
    age, idle = time.time() - began, time.time() - seen
    # Times that lie ahead were noted before somebody set the clock back: nobody knows how old they are.
    return -_MOST_AHEAD_SECONDS <= age < LONGEST_SECONDS and -_MOST_AHEAD_SECONDS <= idle < LONGEST_IDLE_SECONDS


def _note_use(session) -> None:
    if _BEGAN not in session:
        session.update(times())
    elif time.time() - session[_SEEN] >= NOTED_EVERY_SECONDS:
        session[_SEEN] = time.time()


def _note(request: HttpRequest, verb: str, how: str) -> None:
    name = request.user.get_username()
    entry = {"object_kind": "user", "object_id": name, "label": name, "after": how}
    AuditEntry.note(who(request, AuditEntry.Via.DASHBOARD), verb, **entry)
