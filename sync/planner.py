"""Waiting requests into jobs, in threads: a slow git host holds up neither polls, nor cancellations, nor other hosts.

Requests come from the poll and from calls of the RAP API alike; the web reaches no git, so this process plans for both.
Of one workspace one request is planned at a time, the oldest first, because what is decided about one depends on the
jobs of those before; but one that pauses, because its host is silent, holds up no other. What is under way or pauses is
kept in memory only: a row that still waits is simply taken again.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.db import OperationalError

from jobs import git, graph, planning
from jobs.deciding import Decision, Plan
from jobs.errors import JobError, Stopped, Unavailable
from jobs.log import about
from jobs.models import JobRequest, ProjectFile
from jobs.service import is_passing, let_go_of_database
from jobs.study.errors import ProjectError
from sync.backoff import Backoff

log = logging.getLogger(__name__)

THREADS = 8
# Polled requests leave threads for calls of the RAP API, whose callers wait for the answer; and neither those nor these
# may fill all of theirs with one silent host.
POLLED_THREADS = 3
MOST_PER_HOST = 2
MOST_CALLS_PER_HOST = 4
# As many are planned in one go before others of the same host have their turn.
MOST_IN_LANE = 20
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 300.0
FIRST_PAUSE_OF_A_CALL_SECONDS = 1.0
# How often git, while it is at work, looks whether the request still waits.
LOOK_SECONDS = 0.5
_Outcome = JobRequest.Outcome


def plan(request: JobRequest, should_stop: Callable[[], bool] = lambda: False) -> bool:
    """Plan one waiting request and store what became of it. False if it still waits, for something that passes."""
    with about(request=request.identifier, workspace=request.workspace):
        return _plan(request, should_stop)


def _plan(request: JobRequest, should_stop: Callable[[], bool]) -> bool:
    try:
        with git.within(settings.PLANNING_TIMEOUT_SECONDS, _Unwanted(request, should_stop)):
            submission = planning.submit(request, by=request.created_by or "job-server")
        _conclude_without_jobs(request, submission.plan)
        graph.lay_out(submission.request)
    except Stopped:  # by the end of this process, or because the request was withdrawn
        return False
    except JobError as error:
        _refuse(request, str(error), type(error).__name__, error.faults if isinstance(error, ProjectError) else [])
    except Unavailable as error:
        waits_for = f"{error} It is tried again."
        is_new = request.outcome_message != waits_for
        log.log(logging.WARNING if is_new else logging.DEBUG, "request %s waits: %s", request.identifier, waits_for)
        request.say(waits_for)
        return False
    except OperationalError as error:
        if not is_passing(error):
            raise
        log.warning("request %s waits for the database: %s", request.identifier, error)
        return False
    except Exception:
        log.exception("request %s cannot be planned because of a fault of the job runner", request.identifier)
        _refuse(
            request,
            "The job runner has a fault and could not plan this request. Its operators find the reason in its log.",
            "InternalError",
        )
    return True


class _Unwanted:
    """Whether the process ends, or the request was withdrawn: git must not go on for it and hold its workspace."""

    def __init__(self, request: JobRequest, should_stop: Callable[[], bool]):
        self._request, self._should_stop = request, should_stop
        self._next_look = 0.0
        self._is_withdrawn = False

    def __call__(self) -> bool:
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            self._is_withdrawn = not JobRequest.objects.waiting().filter(pk=self._request.pk).exists()
        return self._is_withdrawn or self._should_stop()


def _refuse(request: JobRequest, message: str, error_name: str, faults: Sequence = ()) -> None:
    log.info("request %s is refused: %s: %s", request.identifier, error_name, message)
    project_file = ProjectFile.keep_bytes(request.project_content)
    request.conclude(
        _Outcome.REFUSED, message, error_name=error_name, project_file=project_file, faults=list(map(list, faults))
    )


def _conclude_without_jobs(request: JobRequest, plan: Plan) -> None:
    """When there is nothing to run, the plan says so and no job tells of the request."""
    if not (why := plan.nothing_to_do):
        return
    if plan.is_known:  # a process before this one has stored its jobs and then died
        request.conclude(_Outcome.PLANNED)
        return
    joined = [planned.job for planned in plan.actions.values() if planned.decision is Decision.JOIN]
    outcome = _Outcome.ALREADY_SCHEDULED if joined else _Outcome.NOTHING_TO_DO
    log.info("request %s: %s", request.identifier, why)
    project_file = ProjectFile.keep_bytes(request.project_content)
    request.conclude(outcome, why, joined_jobs=[job.identifier for job in joined], project_file=project_file)


class _Waiting(NamedTuple):
    """What tells where a waiting request belongs."""

    pk: int
    backend: str
    workspace: str
    repo_url: str
    source: str

    @property
    def place(self) -> tuple[str, str]:
        return self.backend, self.workspace

    @property
    def host(self) -> str:
        try:
            return urlsplit(self.repo_url).netloc.lower()
        except ValueError:
            return ""

    @property
    def is_call(self) -> bool:
        """Whether somebody waits for the answer to a call of the RAP API."""
        return self.source == JobRequest.Source.RAP_API


@dataclass
class _Lane:
    """Requests that one thread plans, one after the other, until one of them cannot be planned now."""

    requests: list[_Waiting]
    concluded: list[int] = field(default_factory=list)
    failed: _Waiting | None = None
    future: Future | None = None


class _Room:
    """Where waiting requests may go beside the lanes that there are; `chosen` are the new lanes."""

    def __init__(self, lanes: list[_Lane]):
        self.chosen: list[list[_Waiting]] = []
        self._lanes = len(lanes)
        self._polled = sum(not lane.requests[0].is_call for lane in lanes)
        self._hosts = Counter((lane.requests[0].host, lane.requests[0].is_call) for lane in lanes)
        # A request that builds on another one comes after it in the same lane, or not in this round.
        self._lane_of: dict[tuple[str, str], list[_Waiting] | None] = {
            request.place: None for lane in lanes for request in lane.requests
        }

    def place(self, request: _Waiting) -> None:
        if request.place in self._lane_of:
            lane = self._lane_of[request.place]
        else:
            lane = self._new_lane(request) if self._has_room_for(request) else self._shortest_lane(request)
        if lane is not None and len(lane) < MOST_IN_LANE:
            lane.append(request)
        else:
            lane = None
        self._lane_of[request.place] = lane

    def _has_room_for(self, request: _Waiting) -> bool:
        if self._lanes + len(self.chosen) >= THREADS:
            return False
        of_host = self._hosts[request.host, request.is_call]
        if request.is_call:
            return of_host < MOST_CALLS_PER_HOST
        return of_host < MOST_PER_HOST and self._polled < POLLED_THREADS

    def _new_lane(self, request: _Waiting) -> list[_Waiting]:
        lane: list[_Waiting] = []
        self.chosen.append(lane)
        self._polled += not request.is_call
        self._hosts[request.host, request.is_call] += 1
        return lane

    def _shortest_lane(self, request: _Waiting) -> list[_Waiting] | None:
        """Of the same host and kind; a call waits for nobody else's plan."""
        same = [lane for lane in self.chosen if lane[0].host == request.host and not lane[0].is_call]
        return None if request.is_call else min(same, key=len, default=None)


class Planner:
    """Gives waiting requests to threads."""

    def __init__(self, wake: Callable[[], None]):
        self._wake = wake
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="plan")
        self._lanes: list[_Lane] = []
        self._pauses: dict[int, Backoff] = {}
        self._stop = threading.Event()

    def tick(self) -> list[int]:
        """Set off what may be planned now. Returns the primary keys of what was concluded since the last tick."""
        concluded = self._collect()
        if len(self._lanes) < THREADS:
            waiting = [_Waiting(*row) for row in JobRequest.objects.waiting().values_list(*_Waiting._fields)]
            still = {request.pk for request in waiting}
            self._pauses = {pk: pause for pk, pause in self._pauses.items() if pk in still}
            for requests in self._choose(waiting):
                lane = _Lane(requests)
                lane.future = self._threads.submit(self._plan, lane)
                self._lanes.append(lane)
        return concluded

    def seconds_to_next(self) -> float:
        """Until a pause ends; an hour if there is none."""
        left = [pause.seconds_left() for pause in self._pauses.values()]
        if not self._lanes:
            return min(left, default=3600.0)
        # One whose pause is over waits for room, and a lane that ends is a reason to look.
        return min((seconds for seconds in left if seconds > 0), default=3600.0)

    def close(self, seconds: float) -> bool:
        """End what is under way; it is planned by the next process. False if a thread was still busy after that."""
        self._stop.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        return all(_is_done_within(lane.future, seconds) for lane in self._lanes)

    def _choose(self, waiting: list[_Waiting]) -> list[list[_Waiting]]:
        """New lanes: each of one host, no workspace in two of them, calls of the RAP API first and by themselves."""
        room = _Room(self._lanes)
        for request in sorted(waiting, key=lambda each: not each.is_call):
            if request.pk not in self._pauses or self._pauses[request.pk].is_over():
                room.place(request)
        return room.chosen

    def _collect(self) -> list[int]:
        concluded: list[int] = []
        for lane in [lane for lane in self._lanes if lane.future.done()]:
            self._lanes.remove(lane)
            lane.future.result()  # raises what only the end of the process can answer
            concluded += lane.concluded
            for pk in lane.concluded:
                self._pauses.pop(pk, None)
            if lane.failed:
                self._pauses.setdefault(lane.failed.pk, _backoff(lane.failed)).fail()
        return concluded

    def _plan(self, lane: _Lane) -> None:
        try:
            for waiting in lane.requests:
                request = JobRequest.objects.waiting().filter(pk=waiting.pk).defer("original").first()
                if request is None or self._stop.is_set():
                    continue
                if not plan(request, self._stop.is_set):
                    # The others wait for their next turn: the same host would not answer them either.
                    lane.failed = waiting
                    return
                lane.concluded.append(waiting.pk)
        finally:
            let_go_of_database()
            self._wake()


def _backoff(request: _Waiting) -> Backoff:
    return Backoff(FIRST_PAUSE_OF_A_CALL_SECONDS if request.is_call else FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)


def _is_done_within(future: Future, seconds: float) -> bool:
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    return done.wait(seconds)
