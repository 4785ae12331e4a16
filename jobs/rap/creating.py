"""rap/create: a row that waits to be planned, and the wait for what becomes of it (wire contract §2.3).

The web reads no study. It stores the request, sync's process plans it, and this waits for the row to be concluded. At
the deadline it concludes the row itself: a conditional update, as planning's own is, so exactly one of the two wins and
the answer is definite either way. No transaction is held while it waits.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.utils import timezone

from jobs.models import Heartbeat, JobRequest
from jobs.models.flag import MOST_AHEAD
from jobs.names import address_key
from jobs.rap.answers import OutcomeUnknown, Refused, done
from jobs.rap.endpoint import Call

LOOK_EVERY_SECONDS = 0.05
# Each waiting call holds one of the web's threads, and the pages need some, too.
MOST_WAITING = 8
# Of this process's threads: repeats of one request that waits are no new rows, and the pages need threads, too.
_waits = threading.BoundedSemaphore(12)
TIMEOUT, NOT_AT_WORK = "Timeout", "NotAtWork"
ASLEEP = (
    "The process that reads studies (manage.py sync) is not at work on this backend, so nothing was started. "
    "Ask its operators to start it, then try again."
)
# What planning adds to the sentence that a waiting request waits with; no longer true of one that is taken back.
TRIED_AGAIN = " It is tried again."
# Once there are jobs these must be the same in a repeat, as at other controllers.
_IDENTIFIES = ("backend", "workspace", "repo_url", "commit")
# Before that, all that a plan is made from: one may be under way.
_DECIDES = (
    *(*_IDENTIFIES, "branch", "database_name", "requested_actions"),
    *("force_run_dependencies", "codelists_ok"),
)
Outcome = JobRequest.Outcome


def create(call: Call) -> HttpResponse:
    """Raises Refused, and OutcomeUnknown for a request that is known from polling and takes too long."""
    deadline = time.monotonic() + settings.RAP_CREATE_TIMEOUT_SECONDS
    asked = _from_body(call.body)
    _check_backend(asked, call.backends)
    request = JobRequest.objects.filter(identifier=asked.identifier).first() or _stored(asked)
    if count := request.jobs.count():
        _check_same(request, asked, _IDENTIFIES)
        return done("No change", f"Jobs already created {_for(request)}", rap_id=request.identifier, count=count)
    _check_same(request, asked, _DECIDES)
    if request.is_waiting and not Heartbeat.is_fresh("sync"):
        deadline = time.monotonic()
    elif not request.is_waiting:
        _check_that_it_can_be_planned()
        request.revive()
        request.refresh_from_db()
    return _answer(_concluded(request, deadline))


def _from_body(body: Mapping) -> JobRequest:
    return JobRequest(
        identifier=body["rap_id"],
        source=JobRequest.Source.RAP_API,
        outcome=Outcome.WAITING,
        analysis_scope=body.get("analysis_scope") or {},
        original=body,
        **{name: body[name] for name in (*_DECIDES, "created_by", "project", "orgs")},
    )


def _check_backend(asked: JobRequest, backends: Iterable[str]) -> None:
    if asked.backend != settings.BACKEND or asked.backend not in backends:
        raise _not_created(f"Backend '{asked.backend}' is not one that this token may create jobs for here.")


def _check_same(request: JobRequest, asked: JobRequest, columns: Iterable[str]) -> None:
    for column in columns:
        stored, new = getattr(request, column), getattr(asked, column)
        if stored != new and not (column == "repo_url" and address_key(stored) == address_key(new)):
            before = f"What was asked for before under rap_id '{request.identifier}'"
            details = f"{before} is inconsistent with request data: another {column}."
            raise Refused(400, "Inconsistent request data", details)


def _stored(asked: JobRequest) -> JobRequest:
    """The row, which another call with the same identifier may have made a moment ago."""
    _check_that_it_can_be_planned()
    try:
        with transaction.atomic():
            asked.save(force_insert=True)
    except IntegrityError:
        return JobRequest.objects.get(identifier=asked.identifier)
    return asked


def _check_that_it_can_be_planned() -> None:
    """Before anything is stored: whether the one who plans is there, and not too many others wait for it."""
    if not Heartbeat.is_fresh("sync"):
        raise _unavailable(ASLEEP)
    # Other rows have nobody any more who waits for the answer, those that a clock which was set back has left included.
    now = timezone.now()
    possible = (now - timedelta(seconds=settings.RAP_CREATE_TIMEOUT_SECONDS), now + MOST_AHEAD)
    waiting = JobRequest.objects.waiting().filter(source=JobRequest.Source.RAP_API, received_at__range=possible)
    if waiting.count() >= MOST_WAITING:
        raise _unavailable(
            f"This backend is busy reading {MOST_WAITING} other requests; nothing was started. Try again."
        )


def _concluded(request: JobRequest, deadline: float) -> JobRequest:
    """The request once it no longer waits; withdrawn if it still does at the deadline."""
    if not _waits.acquire(blocking=False):
        raise OutcomeUnknown(f"Too many calls wait here; the request {request.identifier} goes on without this one.")
    try:
        while request.is_waiting:
            left = deadline - time.monotonic()
            if left <= 0:
                _withdraw(request)
                break
            time.sleep(min(LOOK_EVERY_SECONDS, left))
            request.refresh_from_db(fields=("outcome", "outcome_message"))
    finally:
        _waits.release()
    return request


def _withdraw(request: JobRequest) -> None:
    """Take it back, unless its plan is stored just now. One that is polled as well is not ours to take back."""
    if request.source != JobRequest.Source.RAP_API:
        raise OutcomeUnknown(f"The request {request.identifier} is known from polling and still waits to be planned.")
    error_name, message = (TIMEOUT, _too_slow(request)) if Heartbeat.is_fresh("sync") else (NOT_AT_WORK, ASLEEP)
    if not request.conclude(Outcome.REFUSED, message, error_name=error_name):
        request.refresh_from_db()


def _too_slow(request: JobRequest) -> str:
    seconds = f"{settings.RAP_CREATE_TIMEOUT_SECONDS:g}"
    # Before the first try has failed nobody has said anything.
    why = request.outcome_message.removesuffix(TRIED_AGAIN) or f"it was still waiting for git of {_shown(request)}."
    return f"The study was not read within {seconds} seconds, so nothing was started. Reason: {why} Try again later."


def _shown(request: JobRequest) -> str:
    """The repository's address, or less of it: it was not looked at yet, and people paste passwords into addresses."""
    try:
        parts = urlsplit(request.repo_url)
    except ValueError:
        return "its repository"
    return "its repository" if "@" in request.repo_url else parts._replace(query="", fragment="").geturl()


def _answer(request: JobRequest) -> HttpResponse:
    if request.outcome == Outcome.PLANNED:
        details, count = f"Jobs created {_for(request)}", request.jobs.count()
        return done("Success", details, status=201, rap_id=request.identifier, count=count)
    if request.outcome == Outcome.REFUSED and request.error_name == NOT_AT_WORK:
        raise _unavailable(request.outcome_message)
    if request.outcome == Outcome.REFUSED:
        raise _not_created(request.outcome_message)
    if request.is_waiting:
        raise OutcomeUnknown(f"The request {request.identifier} was sent again meanwhile and waits to be planned.")
    return done("Nothing to do", request.outcome_message, rap_id=request.identifier, count=0)


def _for(request: JobRequest) -> str:
    return f"for rap_id '{request.identifier}'"


def _not_created(details: str) -> Refused:
    return Refused(400, "Error creating jobs", details)


def _unavailable(details: str) -> Refused:
    """Of the site, not of the request: the same from whatever moment it is true."""
    return Refused(503, "Service unavailable", details)
