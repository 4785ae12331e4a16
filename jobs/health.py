"""GET /healthz/: whether the processes of this installation are at work, for monitors.

Without a login, and ahead of everything else that the web does with a call (sessions, hosts, the way to https): a
monitor asks by the address of this machine, and an answer has to come without a database, too. So there is nothing in
it that names a file, a study or a secret.
"""

import logging
from collections.abc import Callable

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse

from jobs.problems import problems
from jobs.signs import MOST_TEXT, SAID_BY_SYNC, Signs

__all__ = ["ADDRESSES", "MOST_TEXT", "NO_DATABASE", "SAID_BY_SYNC", "answering_first", "health"]

log = logging.getLogger(__name__)

ADDRESSES = ("/healthz/", "/healthz")
NO_DATABASE = "The database cannot be read: see the log of the web process, and whether `manage.py migrate` was run."


def answering_first(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """The middleware that answers /healthz/ before any other looks at the call."""

    def middleware(request: HttpRequest) -> HttpResponse:
        return _answer(request) if request.path_info in ADDRESSES else get_response(request)

    return middleware


def health() -> dict:
    """What there is to know: `problems` (sentences; none means well), `run` and `sync`. Two queries.

    Each process: `at` (its last sign of life) and `age_seconds`, both null if it was never heard; sync also with what
    it says of itself. Raises DatabaseError.
    """
    signs = Signs.read()
    return {
        "problems": [problem.sentence for problem in problems(signs)],
        "run": signs.run.seen(),
        "sync": signs.sync.seen() | signs.sync.said,
    }


def _answer(request: HttpRequest) -> HttpResponse:
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    try:
        found = health()
    except DatabaseError:
        log.exception("/healthz/ cannot read the database")
        found = {"problems": [NO_DATABASE], "run": None, "sync": None}
    is_well = not found["problems"]
    answer = JsonResponse({"status": "ok" if is_well else "trouble", **found}, status=200 if is_well else 503)
    answer["Cache-Control"] = "no-store"
    answer["X-Content-Type-Options"] = "nosniff"  # no middleware comes after this one to say so
    answer._has_been_logged = True  # or Django logs an error at each call of a monitor
    return answer
