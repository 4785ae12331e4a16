"""The loop of `manage.py sync`: polls, plans and tells, each in threads of its own, so that none holds up another.

A turn looks at the database a fixed number of times and sets off what is due. It never waits for the job-server or for
git. The pause between two turns ends early when the database changes: a job's new state is told at once, not at the
next poll. What is in memory (what is under way, pauses) may be lost at any moment.
"""

import logging
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from jobs.models import Delivery, Heartbeat, JobRequest
from jobs.service import let_go_of_database
from jobs.version import version
from jobs.wake import Wake
from jobs.wire import moment
from sync.backoff import Backoff
from sync.deliverer import Deliverer
from sync.delivering import deliver
from sync.job_server import JobServer, JobServerError, Unreachable
from sync.planner import Planner, plan
from sync.polling import Poll, poll

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
# How often all requests are looked at although nothing hints at a change.
LOOK_SECONDS = 5.0
LONGEST_POLL_BACKOFF_SECONDS = 60.0
# A busy runner commits many times a second; one turn for several changes leaves the processor to the jobs.
LEAST_PAUSE_SECONDS = 0.1
STOP_SECONDS = 5.0
MOST_RESULTS = 20
_KEPT = ("last_poll_at", "last_post_at")


class Poller:
    """One poll at a time, in a thread. What it has found, and what went wrong, is kept for the pages."""

    def __init__(self, server: JobServer, wake: Wake, last_poll_at: str | None):
        self._server, self._wake = server, wake
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="poll")
        self._future: Future | None = None
        self._backoff = Backoff(settings.POLL_INTERVAL * 2, LONGEST_POLL_BACKOFF_SECONDS)
        self._next = 0.0
        self._unusable: set[str] = set()
        self.last_poll_at, self.failure, self.failing_since = last_poll_at, "", None
        self.is_unanswered = False  # the last poll
        self.results: deque[dict] = deque(maxlen=MOST_RESULTS)  # of the last polls, oldest first: `ms` or `error`

    @property
    def failures(self) -> int:
        return self._backoff.failures

    def tick(self) -> bool:
        """Begin a poll if one is due. True if one has ended well since the last tick."""
        succeeded = False
        if self._future is not None and self._future.done():
            future, self._future = self._future, None
            succeeded = self._take_in(future)
        if self._future is None and self.seconds_to_next() <= 0:
            self._future = self._threads.submit(self._poll)
        return succeeded

    def seconds_to_next(self) -> float:
        if self._future is not None:
            return LONGEST_POLL_BACKOFF_SECONDS
        return max(self._backoff.seconds_left(), self._next - time.monotonic(), 0.0)

    def close(self, seconds: float) -> bool:
        """Begin nothing more. False if a poll was still under way after that."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._future is None or self._future.cancelled():
            return True
        return not wait([self._future], seconds).not_done

    def _poll(self) -> Poll:
        began, result = time.monotonic(), {"at": moment(timezone.now())}
        try:
            found = poll(self._server)
            result["ms"] = round((time.monotonic() - began) * 1000)
            return found
        except Exception as error:
            is_known = isinstance(error, JobServerError)
            result["error"] = error.summary if is_known else f"a fault on this side: {type(error).__name__}"
            raise
        finally:
            self.results.append(result)
            let_go_of_database()
            self._wake.set()

    def _take_in(self, future: Future) -> bool:
        try:
            found = future.result()
        except JobServerError as error:
            if error.summary != self.failure:  # what the server says beside it may hold a number or a clock
                log.warning("%s", error)
            self.is_unanswered = isinstance(error, Unreachable) and not error.has_answered
            return self._fail(error.summary)
        except DatabaseError:
            raise
        except Exception as error:
            # Plans and posts go on, and so does the next poll.
            log.exception("the poll failed because of a fault of the job runner")
            return self._fail(f"A fault of the job runner: {type(error).__name__}; see the log of sync.")
        if self._backoff.failures:
            log.info("the job-server answers polls again")
        self._backoff.succeed()
        self.is_unanswered = False
        self.last_poll_at, self.failure, self.failing_since = moment(timezone.now()), "", None
        self._next = time.monotonic() + settings.POLL_INTERVAL
        self._tell_unusable(set(found.unusable) | _strangers(found))
        return True

    def _fail(self, reason: str) -> bool:
        self.failure, self.failing_since = reason, self.failing_since or timezone.now()
        self._backoff.fail()
        return False

    def _tell_unusable(self, unusable: set[str]) -> None:
        for sentence in sorted(unusable - self._unusable):
            log.warning("the job-server lists what cannot be used: %s", sentence)
        self._unusable = unusable


def _strangers(found: Poll) -> set[str]:
    if found.listed or not found.others:
        return set()
    return {f"its requests are of other backends than {settings.BACKEND} (is BACKEND, or JOB_SERVER_TOKEN, right?)"}


class Sync:
    """The state of one `manage.py sync` process. Without a server only calls of the RAP API are planned."""

    def __init__(self, server: JobServer | None):
        self.wake = Wake(LEAST_PAUSE_SECONDS)
        before = _last_words()
        self._planner = Planner(self.wake.set)
        self._poller = Poller(server, self.wake, before.get("last_poll_at")) if server else None
        self._deliverer = Deliverer(server, self.wake.set) if server else None
        self._last_post_at = before.get("last_post_at")
        self._started_at = timezone.now()
        self._next_beat = self._next_look = 0.0

    def turn(self) -> bool:
        """Look once and set off what is due. Raises only for trouble with the database."""
        self.wake.begin()
        concluded = self._planner.tick()
        if self._poller and self._deliverer:
            has_polled = self._poller.tick()
            if has_polled:
                self._deliverer.reachable()
            elif self._poller.is_unanswered:
                self._deliverer.unreachable()
            if has_polled or time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + LOOK_SECONDS
                self._deliverer.look_at_all()
            else:
                self._deliverer.look_at_changed(concluded)
            self._deliverer.tick()
        self._sign_of_life()
        return True

    def wait(self) -> None:
        """Until something is due, at most POLL_INTERVAL; a changed database ends it."""
        waits = [settings.POLL_INTERVAL, HEARTBEAT_SECONDS, self._planner.seconds_to_next()]
        if self._poller and self._deliverer:
            waits += [self._poller.seconds_to_next(), self._deliverer.seconds_to_next()]
        self.wake.wait(max(LEAST_PAUSE_SECONDS, min(waits)))

    def close(self, seconds: float = STOP_SECONDS) -> bool:
        """Begin nothing more. False if a thread was still busy after that: its work is done again at the next start."""
        self.wake.close()
        is_planned = self._planner.close(seconds / 2)
        if not (self._poller and self._deliverer):
            return is_planned
        is_told = self._deliverer.close(seconds / 4)
        return self._poller.close(seconds / 4) and is_planned and is_told

    def _sign_of_life(self) -> None:
        if time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + HEARTBEAT_SECONDS
        Heartbeat.beat("sync", **self.report())

    def report(self) -> dict[str, object]:
        """What the pages show; no secrets."""
        found: dict[str, object] = {
            "started_at": moment(self._started_at),
            "version": version(),
            "waiting_to_be_planned": JobRequest.objects.waiting().count(),
        }
        if self._poller and self._deliverer:
            poller, deliverer = self._poller, self._deliverer
            self._last_post_at = moment(deliverer.last_post_at) or self._last_post_at
            found |= {
                "last_poll_at": poller.last_poll_at,
                "polls": list(poller.results),
                "poll_failures": poller.failures,
                "poll_failure": poller.failure,
                "poll_failing_since": moment(poller.failing_since),
                "last_post_at": self._last_post_at,
                "post_failures": deliverer.failures,
                "post_failure": deliverer.failure,
                "post_failing_since": moment(deliverer.failing_since),
                "waiting_to_be_delivered": deliverer.backlog.requests,
                "oldest_undelivered_since": moment(deliverer.backlog.oldest_since),
            }
        return found


def _last_words() -> Mapping[str, str]:
    """What the process before this one has said and is still true."""
    detail = Heartbeat.objects.filter(name="sync").values_list("detail", flat=True).first() or {}
    return {key: detail[key] for key in _KEPT if isinstance(detail.get(key), str)}


def sync_once(server: JobServer | None) -> list[str]:
    """Poll, plan all that waits and tell all that is not acknowledged, once each. Sentences about what went wrong."""
    troubles, is_reached = [], True
    if server:
        try:
            troubles += [
                f"The job-server lists a request that cannot be used: {each}." for each in poll(server).unusable
            ]
        except JobServerError as error:
            is_reached = not isinstance(error, Unreachable)
            troubles.append(str(error))
    for request in JobRequest.objects.waiting():
        if not plan(request):
            troubles.append(f"Request {request.identifier} still waits to be planned: {request.outcome_message}")
    return troubles + (_tell_once(server, is_reached) if server else [])


def _tell_once(server: JobServer, is_reached: bool) -> list[str]:
    """A server that has answered neither the poll nor a post is not asked again for each of the others."""
    found = []
    untold = list(Delivery.objects.unsettled().values_list("pk", "request__identifier"))
    for number, (pk, identifier) in enumerate(untold, start=1):
        error = deliver(server, pk).error
        is_reached = is_reached or not isinstance(error, Unreachable)
        if error:
            found.append(f"Request {identifier}: {error}")
        if not is_reached and number < len(untold):
            return [*found, f"{len(untold) - number} more request(s) were not told."]
    return found
