"""Waiting requests into jobs, in threads: a slow git host holds up neither polls, nor cancellations, nor other hosts.

Requests come from the poll and from calls of the RAP API alike; the web reaches no git, so this process plans for both.
Of one workspace one request is planned at a time, the oldest first, because what is decided about one depends on the
jobs of those before. What is under way or pauses is kept in memory only: a row that still waits is simply taken again.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlsplit

from django.conf import settings
from django.db import OperationalError, connection

from jobs import git, planning
from jobs.deciding import Decision, Plan
from jobs.errors import JobError, Stopped, Unavailable
from jobs.models import JobRequest
from jobs.service import is_passing
from sync.backoff import Backoff

log = logging.getLogger(__name__)

THREADS = 4
# Of polled requests; whoever has called the RAP API is waiting, and may have a thread more.
MOST_PER_HOST = 2
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 300.0
FIRST_PAUSE_OF_A_CALL_SECONDS = 1.0
_Outcome = JobRequest.Outcome


def plan(request: JobRequest, should_stop: Callable[[], bool] = lambda: False) -> bool:
    """Plan one waiting request and store what became of it. False if it still waits, for something that passes."""
    try:
        with git.within(settings.PLANNING_TIMEOUT_SECONDS, should_stop):
            submission = planning.submit(request, by=request.created_by or "job-server")
        _conclude_without_jobs(request, submission.plan)
    except Stopped:  # by the end of this process, or because the request was withdrawn
        return False
    except JobError as error:
        _refuse(request, str(error), type(error).__name__)
    except Unavailable as error:
        log.warning("request %s waits: %s", request.identifier, error)
        request.say(f"{error} It is tried again.")
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


def _refuse(request: JobRequest, message: str, error_name: str) -> None:
    log.info("request %s is refused: %s: %s", request.identifier, error_name, message)
    request.conclude(_Outcome.REFUSED, message, error_name=error_name)


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
    request.conclude(outcome, why, joined_jobs=[job.identifier for job in joined])


class Planner:
    """Gives waiting requests to threads. `concluded` are primary keys of requests that no longer wait."""

    def __init__(self, wake: Callable[[], None]):
        self._wake = wake
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="plan")
        self._work: dict[int, tuple[Future, JobRequest]] = {}
        self._pauses: dict[int, Backoff] = {}
        self._stop = threading.Event()

    def tick(self) -> list[int]:
        """Set off what may be planned now. Returns the primary keys of what was concluded since the last tick."""
        concluded = list(self._collect())
        waiting = list(JobRequest.objects.waiting().defer("original"))
        self._pauses = {request.pk: self._pauses[request.pk] for request in waiting if request.pk in self._pauses}
        hosts = Counter(_host(request) for _, request in self._work.values())
        workspaces = {_workspace(request) for _, request in self._work.values()}
        # Somebody is waiting for the answers to the calls of the RAP API.
        for request in sorted(waiting, key=lambda each: each.source != JobRequest.Source.RAP_API):
            if len(self._work) >= THREADS:
                break
            if request.pk in self._work or _workspace(request) in workspaces or not self._may_try(request, hosts):
                continue
            self._work[request.pk] = self._threads.submit(self._plan, request), request
            hosts[_host(request)] += 1
            workspaces.add(_workspace(request))
        return concluded

    def seconds_to_next(self) -> float:
        """Until a pause ends; an hour if there is none."""
        return min((pause.seconds_left() for pause in self._pauses.values()), default=3600.0)

    def close(self, seconds: float) -> bool:
        """End what is under way; it is planned by the next process. False if a thread was still busy after that."""
        self._stop.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        return all(_is_done_within(future, seconds) for future, _ in self._work.values())

    def _may_try(self, request: JobRequest, hosts: Counter) -> bool:
        if request.pk in self._pauses and not self._pauses[request.pk].is_over():
            return False
        return request.source == JobRequest.Source.RAP_API or hosts[_host(request)] < MOST_PER_HOST

    def _collect(self) -> Iterator[int]:
        for pk, (future, request) in list(self._work.items()):
            if not future.done():
                continue
            del self._work[pk]
            if future.result():
                self._pauses.pop(pk, None)
                yield pk
            else:
                self._pauses.setdefault(pk, _backoff(request)).fail()

    def _plan(self, request: JobRequest) -> bool:
        try:
            return plan(request, self._stop.is_set)
        finally:
            connection.close()
            self._wake()


def _backoff(request: JobRequest) -> Backoff:
    is_call = request.source == JobRequest.Source.RAP_API
    return Backoff(FIRST_PAUSE_OF_A_CALL_SECONDS if is_call else FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)


def _host(request: JobRequest) -> str:
    try:
        return urlsplit(request.repo_url).netloc.lower()
    except ValueError:
        return ""


def _workspace(request: JobRequest) -> tuple[str, str]:
    return request.backend, request.workspace


def _is_done_within(future: Future, seconds: float) -> bool:
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    return done.wait(seconds)
