"""GET /healthz/: whether the processes of this installation are at work, for monitors and for the dashboard.

Without a login, and ahead of everything else that the web does with a call (sessions, hosts, the way to https): a
monitor asks by the address of this machine, and an answer has to come without a database, too. So there is nothing in
it that names a file, a study or a secret.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from jobs.models import Heartbeat
from jobs.models.flag import FRESH
from jobs.text import UNSAFE_CHARACTERS
from jobs.wire import moment

log = logging.getLogger(__name__)

ADDRESSES = ("/healthz/", "/healthz")
LONGEST_WITHOUT_POLL = timedelta(minutes=5)
# What sync says of itself (Heartbeat.beat). Nothing else is passed on, whatever else it may come to say.
SAID_BY_SYNC = (
    *("last_poll_at", "last_post_at", "poll_failures", "poll_failing_since", "poll_failure"),
    *("post_failures", "post_failing_since", "post_failure"),
    *("waiting_to_be_planned", "waiting_to_be_delivered", "oldest_undelivered_since"),
)
MOST_TEXT = 300
NO_DATABASE = "The database cannot be read: see the log of the web process, and whether `manage.py migrate` was run."


def answering_first(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """The middleware that answers /healthz/ before any other looks at the call."""

    def middleware(request: HttpRequest) -> HttpResponse:
        return _answer(request) if request.path_info in ADDRESSES else get_response(request)

    return middleware


def health() -> dict:
    """What there is to know: `problems` (sentences; none means well), `run` and `sync`. One query.

    Each process: `at` (its last sign of life) and `age_seconds`, both null if it was never heard; sync also with what
    it says of itself. Raises DatabaseError.
    """
    beats = {beat.name: beat for beat in Heartbeat.objects.filter(name__in=("run", "sync"))}
    run, sync = beats.get("run"), beats.get("sync")
    detail = sync.detail if sync and isinstance(sync.detail, dict) else {}
    return {
        "problems": [*_problems_of_run(run), *_problems_of_sync(sync, detail)],
        "run": _seen(run),
        "sync": _seen(sync) | {key: _harmless(detail.get(key)) for key in SAID_BY_SYNC},
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
    return answer


def _problems_of_run(run: Heartbeat | None) -> Iterator[str]:
    if not _is_fresh(run):
        yield f"The runner {_last_heard(run)}, so no job goes on: start `manage.py run`, its log says why it ended."


def _problems_of_sync(sync: Heartbeat | None, detail: Mapping) -> Iterator[str]:
    if not settings.JOB_SERVER_ENDPOINT and not settings.RAP_API_TOKENS:
        return
    if not _is_fresh(sync):
        yield (
            f"The process that speaks with the job-server {_last_heard(sync)}, so no request is planned: "
            "start `manage.py sync`, its log says why it ended."
        )
    elif settings.JOB_SERVER_ENDPOINT and not _has_polled(detail):
        why = f" ({_harmless(detail['poll_failure'])})" if detail.get("poll_failure") else ""
        minutes = LONGEST_WITHOUT_POLL // timedelta(minutes=1)
        yield (
            f"The job-server has not been reached for {minutes} minutes{why}: see whether it can be reached from this "
            "machine, and whether JOB_SERVER_ENDPOINT and JOB_SERVER_TOKEN are right."
        )


def _is_fresh(beat: Heartbeat | None) -> bool:
    return beat is not None and timezone.now() - beat.at <= FRESH


def _last_heard(beat: Heartbeat | None) -> str:
    return f"was last heard at {beat.at:%Y-%m-%d %H:%M:%S} UTC" if beat else "was never heard"


def _has_polled(detail: Mapping) -> bool:
    try:
        polled_at = parse_datetime(str(detail.get("last_poll_at")))
    except ValueError:
        return False
    if polled_at is None or polled_at.tzinfo is None:
        return False
    return timezone.now() - polled_at <= LONGEST_WITHOUT_POLL


def _seen(beat: Heartbeat | None) -> dict:
    if beat is None:
        return {"at": None, "age_seconds": None}
    at: datetime = beat.at
    return {"at": moment(at), "age_seconds": round((timezone.now() - at).total_seconds(), 1)}


def _harmless(value: object) -> object:
    """Numbers and short texts as they are; nothing that has an inside."""
    if isinstance(value, str):
        return UNSAFE_CHARACTERS.sub(" ", value)[:MOST_TEXT]
    return value if isinstance(value, int | float) else None
