"""One poll: all active requests, page by page, become rows; cancellations are passed on.

What is known already costs no write. Nothing is ever undone because the server no longer lists it: a request may vanish
from the list because the server believes that it has finished (wire contract §1.2).
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.conf import settings
from django.db import DataError, IntegrityError, transaction

from jobs.models import Delivery, Flag, Heartbeat, JobRequest
from sync.formats import NotOurs, Unusable, flags_header, request_from_remote
from sync.job_server import JobServer, PageTooLarge

log = logging.getLogger(__name__)

PAGE = 1000
# Giants are stepped over one by one; a server that sends too much whatever it is asked for is not.
MOST_SKIPPED = 10
MOST_UNUSABLE = 100
STORED_TOGETHER = 200
# More than any job-server has; a list that never ends must not fill the database.
MOST_LISTED = 100_000
CANCELLER = "job-server"


@dataclass
class Poll:
    """What a poll has found. `unusable` are sentences about results from which nothing could be taken."""

    listed: set[str] = field(default_factory=set)
    new: int = 0
    unusable: list[str] = field(default_factory=list)
    is_complete: bool = False
    others: int = 0  # requests of other backends

    def tell_unusable(self, why: str) -> None:
        if len(self.unusable) < MOST_UNUSABLE:
            self.unusable.append(why)


def poll(server: JobServer) -> Poll:
    """Fetch and store. Raises JobServerError kinds; the pages before the one that failed are stored then."""
    found, flags = Poll(), current_flags()
    limit, offset, is_last, skipped = PAGE, 0, False, 0
    while not is_last:
        try:
            came, count = _take_page(server, found, limit=limit, offset=offset, flags=flags)
        except PageTooLarge:
            if limit > 1:
                limit = max(1, limit // 10)
                continue
            skipped += 1
            if skipped > MOST_SKIPPED:
                raise
            found.tell_unusable(f"number {offset + 1} of the list is too large to be read")
            offset, limit = offset + 1, PAGE
            continue
        # By what came, not by what was asked for; `next` is never followed (§1.2).
        offset += came
        is_last = not came or (offset >= count if count is not None else came < limit)
        if came > limit or (offset >= MOST_LISTED and not is_last):
            log.warning(
                "the job-server lists more requests than it was asked for, or than anybody has; no more are read"
            )
            return found
    found.is_complete = not skipped
    if found.is_complete:
        _note_unlisted(found.listed)
    return found


def _take_page(server: JobServer, found: Poll, **which) -> tuple[int, int | None]:
    """How many results came, and how many there are. Two pages are never in memory at once."""
    page = server.fetch(**which)
    # A server that gives more than was asked for must not keep cancellations waiting for minutes.
    for start in range(0, min(len(page.results), PAGE), STORED_TOGETHER):
        _store(page.results[start : start + STORED_TOGETHER], found)
    return len(page.results), page.count


def current_flags() -> str:
    """The value of the `Flags` header now."""
    last_seen = Heartbeat.objects.filter(name="run").values_list("at", flat=True).first()
    return flags_header(Flag.objects.current(), last_seen)


def _store(results: Iterable[object], found: Poll) -> None:
    requests: dict[str, JobRequest] = {}
    for result in results:
        try:
            request = request_from_remote(result, settings.BACKEND)
        except NotOurs:
            found.others += 1
            continue
        except Unusable as error:
            found.tell_unusable(str(error))
            continue
        except Exception:
            log.exception("a request of the job-server cannot be read because of a fault of the job runner")
            found.tell_unusable("a fault of the job runner")
            continue
        if request.identifier not in found.listed:
            requests.setdefault(request.identifier, request)
    found.listed |= requests.keys()
    known = _known(requests)
    new = [request for identifier, request in requests.items() if identifier not in known]
    if new:
        found.new += len(new)
        log.info("%d new request(s) from the job-server", len(new))
        _insert(new)
        known = _known(requests)
        # "Ignore conflicts" also ignores what else may be wrong with a row.
        for identifier in requests.keys() - known.keys():
            found.tell_unusable(f"{identifier} cannot be stored")
    _note_listed(known.values())
    _pass_on_cancellations(requests, known, found)


def _insert(new: list[JobRequest]) -> None:
    """All at once; if the database refuses one of them, one by one without that one.

    Each with its delivery or not at all: nobody would be told of what a killed process has left without one, should the
    server not list it again.
    """
    try:
        with transaction.atomic():
            # Somebody else may have stored one just now: a call of the RAP API. The list begins with the newest.
            JobRequest.objects.bulk_create(new[::-1], ignore_conflicts=True, batch_size=100)
            stored = _known(request.identifier for request in new)
            Delivery.objects.begin([request.pk for request in stored.values()])
    except (DataError, IntegrityError, ValueError):  # a ValueError is a text that it cannot encode
        if len(new) == 1:
            log.exception("request %s cannot be stored", new[0].identifier)
            return
        for request in new[::-1]:
            _insert([request])


def _known(requests: Iterable[str]) -> dict[str, JobRequest]:
    identifiers = list(requests)
    rows = JobRequest.objects.select_related("delivery").defer("original", "study_actions", "analysis_scope")
    chunks = (identifiers[start : start + 500] for start in range(0, len(identifiers), 500))
    return {row.identifier: row for chunk in chunks for row in rows.filter(identifier__in=chunk)}


def _note_listed(requests: Iterable[JobRequest]) -> None:
    requests = list(requests)
    undelivered = [request.pk for request in requests if not hasattr(request, "delivery")]
    revived = [request.pk for request in requests if hasattr(request, "delivery") and not request.delivery.is_listed]
    if undelivered or revived:
        with transaction.atomic():
            Delivery.objects.begin(undelivered)
            Delivery.objects.revive(revived)


def _pass_on_cancellations(requests: dict[str, JobRequest], known: dict[str, JobRequest], found: Poll) -> None:
    """Only ever added: that an action is no longer named means nothing (§1.5)."""
    for identifier, request in requests.items():
        stored = known.get(identifier)
        if stored is None or set(request.cancelled_actions) <= set(stored.cancelled_actions):
            continue
        try:
            with transaction.atomic():
                stored.ask_to_cancel(request.cancelled_actions, by=CANCELLER)
        except (DataError, IntegrityError):
            log.exception("request %s: its cancellation cannot be stored", identifier)
            found.tell_unusable(f"the cancellation of {identifier} cannot be stored")
            continue
        log.info("request %s: the job-server cancels %d action(s)", identifier, len(request.cancelled_actions))


def _note_unlisted(listed: set[str]) -> None:
    before = Delivery.objects.listed().values_list("pk", "request__identifier")
    Delivery.objects.unlist([pk for pk, identifier in before if identifier not in listed])
