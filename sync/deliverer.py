"""When which request is told: at once when a state changes, once a minute while it lives, seldom when it is over.

Posts go out in a few threads, never two for one request at a time. While the server cannot be reached one post at a
time tries; a request that it refuses pauses by itself and holds up no other.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone

from jobs.log import about
from jobs.models import Delivery, JobRequest, StatusChange
from jobs.service import let_go_of_database
from jobs.wire import digests
from sync.backoff import Backoff
from sync.delivering import Delivered, deliver
from sync.job_server import JobServer, Refused, Unreachable

log = logging.getLogger(__name__)

THREADS = 4
# A post that fails after so long has hung. Those requests share one thread from then on, so that others need not wait.
HANGING_SECONDS = 2.0
MOST_HANGING = 1
# So that the threads need not wait for the next turn; a post is built only when a thread takes it.
MOST_QUEUED = 30
# Bounds memory, whatever is listed.
LOOKED_AT_TOGETHER = 200
# A running job's `updated_at` must move, and a server that lost something must hear of it again (§1.4).
REPEAT_SECONDS = 60.0
# A settled request that is still listed (servers of 2025 list them for up to a year) is told again ever less often.
LONGEST_REPEAT_SECONDS = 3600.0
# A request whose jobs change all the time is told at this pace; a long post costs the server as much, so it slows down.
LEAST_PAUSE_SECONDS = 0.25
PAUSE_PER_POST = 3
LONGEST_PAUSE_SECONDS = 15.0
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 2.0, 300.0
LONGEST_OUTAGE_SECONDS = 60.0


@dataclass(slots=True)
class _Pace:
    """What is kept of one request between its posts."""

    backoff: Backoff | None = None  # while the server refuses it
    refused: str = ""  # the digest of the state that was refused
    next_at: float = 0.0
    undelivered_since: datetime | None = None
    hangs: bool = False  # the last post that failed did so after a long time
    is_unreached: bool = False  # no answer came, so the end of an outage is the end of its pause


@dataclass(frozen=True)
class Backlog:
    """What the job-server has not acknowledged yet."""

    requests: int = 0
    oldest_since: datetime | None = None


class Deliverer:
    """What is under way, due and paused. `last_post_at` to `failing_since`, of all requests together, are for pages."""

    def __init__(self, server: JobServer, wake: Callable[[], None]):
        self._server, self._wake = server, wake
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="post")
        self._work: dict[int, Future] = {}
        self._paces: dict[int, _Pace] = {}
        self._due: dict[int, str] = {}  # digests of the states to tell, in the order in which they became due
        self._outage = Backoff(1.0, LONGEST_OUTAGE_SECONDS)
        self._is_out = threading.Event()  # polls do not reach the server; threads look at it, too
        self._seen_change = 0
        self.backlog = Backlog()
        self.last_post_at: datetime | None = None
        self.failures, self.failure, self.failing_since = 0, "", None

    def look_at_all(self) -> None:
        """The truth: every request that may have something to tell. Costs a fixed number of queries."""
        self._seen_change = StatusChange.objects.newest() or 0
        known = self._look(Delivery.objects.to_look_at())
        self._paces = {pk: pace for pk, pace in self._paces.items() if pk in known or pk in self._work}
        self._due = {pk: state for pk, state in self._due.items() if pk in known}
        since = [pace.undelivered_since for pace in self._paces.values() if pace.undelivered_since]
        self.backlog = Backlog(len(since), min(since, default=None))

    def look_at_changed(self, concluded: Iterable[int] = ()) -> None:
        """The hint: requests whose jobs have changed since the last look, and those that were just concluded."""
        newest = StatusChange.objects.newest() or 0
        changed = set(concluded)
        if newest > self._seen_change:
            changed |= StatusChange.objects.requests_changed_since(self._seen_change)
            changed |= set(Delivery.objects.mirroring().values_list("pk", flat=True))
            self._seen_change = newest
        if changed:
            self._look(Delivery.objects.to_look_at().filter(pk__in=changed))

    def tick(self) -> None:
        """Take in what has been answered, then post what is due as far as pace, back-off and threads allow."""
        self._collect()
        if self._is_out.is_set() and (self._work or not self._outage.is_over()):
            return
        room = 1 if self._is_out.is_set() else MOST_QUEUED
        now = time.monotonic()
        for pk in list(self._due):
            if len(self._work) >= room:
                return
            if self._may_begin(pk) and self._paces[pk].next_at <= now:
                del self._due[pk]
                self._work[pk] = self._threads.submit(self._deliver, pk)

    def _may_begin(self, pk: int) -> bool:
        hanging = sum(self._paces[under_way].hangs for under_way in self._work)
        return pk not in self._work and not (self._paces[pk].hangs and hanging >= MOST_HANGING)

    def unreachable(self) -> None:
        """A poll got no answer: until the next one does, one post at a time tries."""
        self._is_out.set()

    def reachable(self) -> None:
        """The server has answered: what failed because it could not be reached need not pause any longer."""
        if not self._is_out.is_set():
            return
        self._is_out.clear()
        self._outage.succeed()
        for pace in self._paces.values():
            if pace.is_unreached:
                pace.backoff, pace.next_at, pace.is_unreached = None, 0.0, False

    def seconds_to_next(self) -> float:
        """Until a post may begin; an hour if it is the end of another one that has to come first."""
        if self._is_out.is_set():
            return 3600.0 if self._work or not self._due else self._outage.seconds_left()
        if len(self._work) >= MOST_QUEUED:
            return 3600.0
        now = time.monotonic()
        return max(0.0, min((self._paces[pk].next_at - now for pk in self._due if self._may_begin(pk)), default=3600.0))

    def is_idle(self) -> bool:
        return not self._due and not self._work

    def close(self, seconds: float) -> bool:
        """Begin nothing more. False if a post was still under way after that; it is sent again by the next process."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + seconds
        while self._work and time.monotonic() < deadline:
            self._collect()
            time.sleep(0.01)
        return not self._work

    def _look(self, deliveries: QuerySet) -> set[int]:
        """Find out which of them are due. Returns the primary keys of all of them."""
        now, known, some = timezone.now(), set(), []
        for row in deliveries.iterator(chunk_size=LOOKED_AT_TOGETHER):
            known.add(row.pk)
            # What is settled was acknowledged as it stands: its jobs need not be read to know that.
            if not row.is_told or _is_to_be_repeated(row, now):
                some.append(row)
            if len(some) == LOOKED_AT_TOGETHER:
                self._judge_all(some, now)
                some = []
        self._judge_all(some, now)
        return known

    def _judge_all(self, rows: list[Delivery], now: datetime) -> None:
        states = digests(JobRequest.objects.told_from().filter(pk__in=[row.pk for row in rows]))
        for row in rows:
            if state := states.get(row.pk):
                self._judge(row, state, now, time.monotonic())

    def _judge(self, row: Delivery, state: str, now: datetime, moment: float) -> None:
        pace = self._paces.setdefault(row.pk, _Pace())
        is_new = state != row.acknowledged
        if not is_new:
            pace.undelivered_since = None
        elif pace.undelivered_since is None:
            pace.undelivered_since = row.failing_since or now
        if is_new and pace.refused and state != pace.refused:
            # Another state may fare better.
            pace.backoff, pace.refused, pace.next_at = None, "", min(pace.next_at, moment + 1.0)
        if is_new or _is_to_be_repeated(row, now):
            self._due[row.pk] = state

    def _deliver(self, pk: int) -> Delivered:
        try:
            if self._is_out.is_set() and len(self._work) > 1:
                return Delivered(was_skipped=True)
            return deliver(self._server, pk)
        except Exception as error:
            # A fault of ours, or of the database, with one request must not keep the others from being told.
            log.exception("request with primary key %d cannot be told to the job-server", pk)
            return Delivered(Refused(f"A fault of the job runner: {type(error).__name__}; see the log of sync."))
        finally:
            let_go_of_database()
            self._wake()

    def _collect(self) -> None:
        for pk, future in list(self._work.items()):
            if future.done():
                del self._work[pk]
                if not future.cancelled():
                    self._take_in(pk, future.result())

    def _take_in(self, pk: int, delivered: Delivered) -> None:
        pace, now = self._paces.setdefault(pk, _Pace()), time.monotonic()
        if delivered.was_skipped:
            self._due = {pk: "", **self._due}  # it has not had its turn
            return
        if delivered.error is None:
            pace.backoff, pace.refused, pace.undelivered_since = None, "", None
            pace.hangs = pace.is_unreached = False
            pace.next_at = now + min(
                max(LEAST_PAUSE_SECONDS, PAUSE_PER_POST * delivered.seconds), LONGEST_PAUSE_SECONDS
            )
            if self._due.get(pk) == delivered.digest:
                del self._due[pk]  # it was looked at again before the answer came
            if delivered.digest:
                self.last_post_at = timezone.now()
                self.failures, self.failure, self.failing_since = 0, "", None
                self.reachable()
            return
        self.failures, self.failure = self.failures + 1, delivered.error.summary
        self.failing_since = self.failing_since or timezone.now()
        pace.refused = delivered.digest
        self._due.setdefault(pk, delivered.digest)
        self._pause(pace, delivered)

    def _pause(self, pace: _Pace, delivered: Delivered) -> None:
        """After a failure: all of them if polls fail as well, else only this one."""
        error, now = delivered.error, time.monotonic()
        pace.hangs = delivered.seconds >= HANGING_SECONDS
        pace.is_unreached = isinstance(error, Unreachable) and not error.has_answered
        if self._is_out.is_set() and pace.is_unreached:
            self._outage.fail()
            pace.next_at = now  # nothing is wrong with this request
            return
        if delivered.is_new:
            with about(request=delivered.identifier):
                log.warning("request %s: %s", delivered.identifier, error)
        pace.backoff = pace.backoff or Backoff(FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
        pace.backoff.fail()
        pace.next_at = now + pace.backoff.seconds_left()


def _is_to_be_repeated(row: Delivery, now: datetime) -> bool:
    if row.acknowledged_at is None or row.is_unknown:
        return False
    pause = REPEAT_SECONDS
    if row.settled:
        pause = min(REPEAT_SECONDS * 2 ** min(row.repeats, 10), LONGEST_REPEAT_SECONDS)
    # A clock that was set back must not silence what is running.
    return not 0 <= (now - row.acknowledged_at).total_seconds() < pause
