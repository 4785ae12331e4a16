"""GET /healthz/: whether the processes of this installation are at work, for monitors and for the dashboard.

Without a login, and ahead of everything else that the web does with a call (sessions, hosts, the way to https): a
monitor asks by the address of this machine, and an answer has to come without a database, too. So there is nothing in
it that names a file, a study or a secret.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from jobs.models import Heartbeat, JobRequest
from jobs.models.flag import FRESH, is_recent
from jobs.text import UNSAFE_CHARACTERS
from jobs.wire import moment

log = logging.getLogger(__name__)

ADDRESSES = ("/healthz/", "/healthz")
LONGEST_WITHOUT_POLL = timedelta(minutes=5)
LONGEST_FIRST_POLL = timedelta(minutes=1)
LONGEST_UNDELIVERED = timedelta(minutes=10)
LONGEST_UNPLANNED = timedelta(minutes=15)
LONGEST_WITHOUT_ENGINE = timedelta(minutes=1)
# What sync says of itself (Heartbeat.beat). Nothing else is passed on, whatever else it may come to say.
_TIMES = (
    "started_at",
    "last_poll_at",
    "last_post_at",
    "poll_failing_since",
    "post_failing_since",
    "oldest_undelivered_since",
)
_COUNTS = ("poll_failures", "post_failures", "waiting_to_be_planned", "waiting_to_be_delivered")
_SENTENCES = ("poll_failure", "post_failure")
SAID_BY_SYNC = (*_TIMES, *_COUNTS, *_SENTENCES)
_MOST_COUNT = 10**12
MOST_TEXT = 300
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
    beats = {beat.name: beat for beat in Heartbeat.objects.filter(name__in=("run", "sync"))}
    run, sync = beats.get("run"), beats.get("sync")
    detail = sync.detail if sync and isinstance(sync.detail, dict) else {}
    said = _harmless(detail)
    return {
        "problems": [*_problems_of_run(run), *_problems_of_sync(sync, said)],
        "run": _seen(run),
        "sync": _seen(sync) | said,
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


def _problems_of_run(run: Heartbeat | None) -> Iterator[str]:
    if not _is_fresh(run):
        yield f"The runner {_last_heard(run)}, so no job goes on: start `manage.py run`, its log says why it ended."
    elif isinstance(since := run.detail.get("engine_unavailable_since"), int | float):
        silent_since = datetime.fromtimestamp(since, UTC)
        if not is_recent(silent_since, LONGEST_WITHOUT_ENGINE):
            yield (
                f"The Docker engine has not answered since {silent_since:%Y-%m-%d %H:%M:%S} UTC, so no job can "
                "go on: see whether `docker info` answers."
            )


def _problems_of_sync(sync: Heartbeat | None, said: Mapping) -> Iterator[str]:
    if not settings.JOB_SERVER_ENDPOINT and not settings.RAP_API_TOKENS:
        return
    if not _is_fresh(sync):
        yield (
            f"The process that speaks with the job-server {_last_heard(sync)}, so no request is planned: "
            "start `manage.py sync`, its log says why it ended."
        )
        return
    yield from _problems_of_plans()
    if settings.JOB_SERVER_ENDPOINT:
        yield from _problems_of_polls(said)
        yield from _problems_of_posts(said)


def _problems_of_plans() -> Iterator[str]:
    oldest = JobRequest.objects.waiting().order_by("received_at").values_list("received_at", flat=True).first()
    if oldest is not None and not is_recent(oldest, LONGEST_UNPLANNED):
        yield (
            f"A request has waited to be planned since {oldest:%Y-%m-%d %H:%M:%S} UTC: see what it waits for in the "
            "admin (job requests), mostly a git host. If that will never answer, refuse the request there."
        )


def _problems_of_polls(said: Mapping) -> Iterator[str]:
    polled_at, started_at = _time(said["last_poll_at"]), _time(said["started_at"])
    if polled_at is None:
        if started_at is not None and is_recent(started_at, LONGEST_FIRST_POLL):
            return
        yield (
            f"The job-server has never been reached yet{_because(said['poll_failure'])}: see whether it can be reached "
            "from this machine, and whether JOB_SERVER_ENDPOINT and JOB_SERVER_TOKEN are right."
        )
    elif not is_recent(polled_at, LONGEST_WITHOUT_POLL):
        minutes = LONGEST_WITHOUT_POLL // timedelta(minutes=1)
        yield (
            f"The job-server has not been reached for {minutes} minutes{_because(said['poll_failure'])}: see whether "
            "it can be reached from this machine, and whether JOB_SERVER_ENDPOINT and JOB_SERVER_TOKEN are right."
        )


def _problems_of_posts(said: Mapping) -> Iterator[str]:
    since = _time(said["oldest_undelivered_since"])
    if since is not None and not is_recent(since, LONGEST_UNDELIVERED):
        number = said["waiting_to_be_delivered"] or "some"
        yield (
            f"The job-server has not acknowledged the states of {number} request(s) since {since:%Y-%m-%d %H:%M:%S} "
            f"UTC{_because(said['post_failure'])}, so their users do not see how they go on: see each one's failure in "
            "the admin (deliveries); what the job-server refuses its operators have to look into."
        )


def _because(failure: str | None) -> str:
    return f" ({failure})" if failure else ""


def _is_fresh(beat: Heartbeat | None) -> bool:
    return beat is not None and is_recent(beat.at, FRESH)


def _last_heard(beat: Heartbeat | None) -> str:
    return f"was last heard at {beat.at:%Y-%m-%d %H:%M:%S} UTC" if beat else "was never heard"


def _seen(beat: Heartbeat | None) -> dict:
    if beat is None:
        return {"at": None, "age_seconds": None}
    at: datetime = beat.at
    return {"at": moment(at), "age_seconds": round((timezone.now() - at).total_seconds(), 1)}


def _harmless(detail: Mapping) -> dict[str, str | int | None]:
    """What sync has said, each as what it has to be: a time, a count, a short sentence; null if it is no such thing."""
    times = {key: moment(_time(detail.get(key))) for key in _TIMES}
    counts = {key: _count(detail.get(key)) for key in _COUNTS}
    return times | counts | {key: _sentence(detail.get(key)) for key in _SENTENCES}


def _time(value: object) -> datetime | None:
    try:
        time = parse_datetime(value) if isinstance(value, str) else None
        return time.astimezone(UTC) if time and time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_COUNT
    return value if is_count else None


def _sentence(value: object) -> str | None:
    return UNSAFE_CHARACTERS.sub(" ", value)[:MOST_TEXT] if isinstance(value, str) else None
