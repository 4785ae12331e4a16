"""GET /healthz/: whether the processes of this installation are at work, for monitors; GET /livez: is the web alive.

Without a login, and ahead of everything else that the web does with a call (sessions, hosts, the way to https): a
monitor asks by the address of this machine, and an answer has to come without a database, too. So there is nothing in
it that names a file, a study or a secret.
"""

import logging
import time
from collections.abc import Callable

from django.db import DatabaseError, connection
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.utils import timezone

from jobs.models import Job, Quarantine
from jobs.problems import problems
from jobs.said import Disk
from jobs.signs import MOST_TEXT, SAID_BY_SYNC, Run, Signs
from jobs.wire import moment

__all__ = ["ADDRESSES", "MOST_TEXT", "NO_DATABASE", "SAID_BY_SYNC", "answering_first", "health"]

log = logging.getLogger(__name__)

ADDRESSES = ("/healthz/", "/healthz")
ALIVE = ("/livez/", "/livez")
NO_DATABASE = "The database cannot be read: see the log of the web process, and whether `manage.py migrate` was run."


def answering_first(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """The middleware that answers both before any other looks at the call."""

    def middleware(request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if path in ALIVE:  # asks nothing and nobody: whoever restarts this process must not do so for the database
            return _only_read(request) or _told({"status": "alive"}, 200)
        return _answer(request) if path in ADDRESSES else get_response(request)

    return middleware


def health() -> dict:
    """What there is to know: `problems` (sentences; none means well), and figures. Six queries. Raises DatabaseError.

    `run` and `sync`: `at` (the last sign of life) and `age_seconds`, both null if it was never heard; sync also with
    what it says of itself. `docker`, `disks`: as the runner has last said; how many containers are in quarantine
    stands in the database. `queue`: of all jobs that wait. `database`: how long these questions took.
    """
    began = time.monotonic()
    signs = Signs.read()
    found = {
        "problems": [problem.sentence for problem in problems(signs)],
        "run": signs.run.seen() | {"turn_ms": signs.run.number("tick_ms")},
        "sync": signs.sync.seen() | signs.sync.said,
        "docker": _docker(signs.run),
        "disks": [_disk(disk) for disk in signs.run.disks],
        "queue": _queue(),
    }
    return found | {"database": {"kind": connection.vendor, "ms": round((time.monotonic() - began) * 1000, 1)}}


def _docker(run: Run) -> dict:
    answers = run.answers("engine_answers")
    last = answers[-1] if answers else None
    since = run.engine_silent_since
    return {
        "silent_since": moment(since) if since else None,
        "answer_ms": last.ms if last else None,
        "containers_in_quarantine": Quarantine.objects.count(),
    }


def _disk(disk: Disk) -> dict:
    state = "unknown" if disk.error else "full" if disk.is_full else "nearly full" if disk.is_nearly_full else "ok"
    return {"name": disk.name, "state": state, "free_bytes": disk.free, "total_bytes": disk.total}


def _queue() -> dict:
    found = Job.objects.pending().aggregate(waiting=Count("pk"), oldest=Min("created_at"))
    age = max(0.0, (timezone.now() - found["oldest"]).total_seconds()) if found["oldest"] else 0.0
    return {"waiting": found["waiting"], "oldest_seconds": round(age, 1)}


def _answer(request: HttpRequest) -> HttpResponse:
    if refused := _only_read(request):
        return refused
    try:
        found = health()
    except DatabaseError:
        log.exception("/healthz/ cannot read the database")
        found = {"problems": [NO_DATABASE], "run": None, "sync": None}
    is_well = not found["problems"]
    return _told({"status": "ok" if is_well else "trouble", **found}, 200 if is_well else 503)


def _only_read(request: HttpRequest) -> HttpResponse | None:
    return None if request.method in ("GET", "HEAD") else HttpResponseNotAllowed(["GET", "HEAD"])


def _told(found: dict, status: int) -> HttpResponse:
    answer = JsonResponse(found, status=status)
    answer["Cache-Control"] = "no-store"
    answer["X-Content-Type-Options"] = "nosniff"  # no middleware comes after this one to say so
    answer._has_been_logged = True  # or Django logs an error at each call of a monitor
    return answer
