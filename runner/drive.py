"""Taking one job as far as it goes now, in a thread of its own, and the three fates of what goes wrong on the way.

The study's fault ends the job with the error's words. What the world lacks for now (engine, disk, git host, database)
leaves the job where it is: the status says since when, and the step is tried again with growing pauses. Anything else
is our bug: logged with its traceback, `internal_error`, and container and folder are kept.
"""

import functools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import InterfaceError, OperationalError, close_old_connections, connection

from jobs.errors import JobError, Stopped, Unavailable
from jobs.log import about, facts_of
from jobs.models import InvalidTransition, Job
from jobs.models.job_queries import STOP_COLUMNS
from jobs.service import is_passing, let_go_of_database
from jobs.states import State, StatusCode
from runner import cutting_off, finalising_again, quarantine, requeue
from runner.capacity import Hold
from runner.executors.base import Executor, Status
from runner.executors.guarded import Held, InQuarantine
from runner.followers import Followers
from runner.steps import CONTAINER_RUNS, STEPS, GaveUp, Tools, begin_to_finalize
from runner.workspaces import Workspaces, folder
from runner.workspaces.files import trouble_of_disk

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
FIRST_FRUITLESS_PAUSE_SECONDS = 0.02
LONGEST_FRUITLESS_PAUSE_SECONDS = 1.0
# Steps that a stop request overrides: what they do is no longer wanted.
_STOPPABLE = frozenset(
    {StatusCode.INITIATED, StatusCode.PREPARING, StatusCode.PREPARED, StatusCode.EXECUTING, StatusCode.EXECUTED}
)


@dataclass
class _Trouble:
    """What keeps one job from going on, since when, and when it is tried again."""

    since: str
    tries: int
    next_try: float
    # What had been asked for then: a new stop request does not wait for the end of the pause.
    stop_request: str | None = None


class Driver:
    """Runs steps. Safe to call from several threads for different jobs."""

    def __init__(self, executor: Executor, workspaces: Workspaces = folder):
        self._executor, self._workspaces = executor, workspaces
        self._followers = Followers(executor)
        self._troubles: dict[int, _Trouble] = {}
        self._fruitless: dict[int, _Trouble] = {}

    def close(self) -> None:
        self._followers.close()

    def may_try(self, job: Job) -> bool:
        """Whether the pause after the last trouble is over. A new stop request does not wait for it."""
        trouble = self._troubles.get(job.pk) or self._fruitless.get(job.pk)
        if trouble is None or time.monotonic() >= trouble.next_try:
            return True
        return trouble.stop_request is not None and trouble.stop_request != job.stop_request

    def still_running(self, job: Job, status: Status) -> None:
        """The engine says that the container runs: make sure that its log is followed, also after a restart of ours."""
        self._troubles.pop(job.pk, None)
        self._fruitless.pop(job.pk, None)
        job.say(status.reason or CONTAINER_RUNS)
        if self._followers.follow(job):
            log.info("job %s: adopted its container %s, which runs", job.identifier, job.container_name)

    def say_unavailable(self, job: Job, since: float) -> None:
        """Tell that the engine does not answer; the job itself is as well as it was, so nothing is tried for it."""
        job.say(f"The engine does not answer (since {_in_words(since)}). The container is probably still running.")

    def leave_alone(self, job: Job, held: Held) -> None:
        """Its container is in quarantine: nothing is tried for the job, and after the release everything at once."""
        self._troubles.pop(job.pk, None)
        self._fruitless.pop(job.pk, None)
        self._followers.leave(job)
        job.say(quarantine.in_words(job, held), detail=held.error)

    def drive(self, pk: int, stop: threading.Event, hold: Hold | None = None) -> None:
        """Step after step until the job ends, waits for something outside, or meets trouble. Never raises.

        With a `hold` the job is stopped to wait for another attempt, if its command has not ended yet.
        """
        close_old_connections()
        try:
            job = Job.objects.select_related("request").get(pk=pk)
            self._drive(job, Tools(self._executor, self._followers, stop, self._workspaces), hold)
        except Exception as error:
            # The database, or an error while an error was being recorded: nothing is lost by trying again.
            trouble = self._next_trouble(pk)
            # Once with all that is known; a database that is locked for an hour must not fill the disk with it.
            is_news = trouble.tries == 1 and not is_passing(error)
            how = "job number %s: its step could not be done or recorded, it is tried again (try %d): %s"
            log.warning(how, pk, trouble.tries, error, exc_info=is_news)
        finally:
            if not connection.in_atomic_block:  # a caller's own transaction keeps it
                let_go_of_database()

    def _drive(self, job: Job, tools: Tools, hold: Hold | None) -> None:
        with about(**facts_of(job)):
            if job.is_finished and job.retry_requested_at and job.retry_clears:
                self._clear(job, tools)
            elif job.is_finished and job.retry_requested_at:
                finalising_again.answer(job, self._workspaces)
            while self._goes_on(job, tools.stop) and self._step(job, tools, hold):
                pass

    def _clear(self, job: Job, tools: Tools) -> None:
        try:
            finalising_again.clear(job, tools)
        except (Unavailable, InvalidTransition, OperationalError, InterfaceError) as error:
            if not isinstance(error, Unavailable):
                raise
            self._note_trouble(job, error)
        except Exception as error:
            log.exception("job %s: what was kept of it cannot be removed", job.identifier)
            job.refuse_retry(
                "The job runner failed; this is not the study's fault. What was kept of it could not be removed "
                f"({type(error).__name__}); see the runner's log, and remove it by hand: {job.container_name}."
            )

    def _goes_on(self, job: Job, stop: threading.Event) -> bool:
        """Whether there is another step to do now. A requested stop turns the way to `finalizing`."""
        if job.state != State.RUNNING:
            self._troubles.pop(job.pk, None)
            self._fruitless.pop(job.pk, None)
            return False
        job.refresh_from_db(fields=STOP_COLUMNS)
        return job.is_stop_requested or not stop.is_set()

    def _step(self, job: Job, tools: Tools, hold: Hold | None) -> bool:
        """One step; whether another one may follow at once."""
        before = job.status_code
        try:
            self._step_of(job, hold)(job, tools)
        except InvalidTransition as error:
            return self._end_by_our_bug(job, tools, error) if job.is_as_stored() else self._let_go(error)
        except Stopped:
            return True  # `_goes_on` knows whether the job or the whole runner was meant
        except InQuarantine as error:
            self.leave_alone(job, error.held)
            return False
        except Unavailable as error:
            self._note_trouble(job, error)
            return False
        except JobError as error:
            return self._end_by_fault_of_study(job, error)
        except (OperationalError, InterfaceError):
            raise  # the database does not answer; what it refuses is a bug of ours and falls through
        except Exception as error:
            trouble = trouble_of_disk(error) if isinstance(error, OSError) else None
            if trouble is None:
                return self._end_by_our_bug(job, tools, error)
            self._note_trouble(job, trouble)
            return False
        self._troubles.pop(job.pk, None)
        if job.status_code != before:
            return True
        self._note_fruitless(job)
        return False

    def _step_of(self, job: Job, hold: Hold | None) -> Callable[[Job, Tools], None]:
        """What has begun is carried through; then a stop comes first, then what the site needs, then the job's way."""
        if cutting_off.is_begun(job):
            return cutting_off.cut_off
        if job.is_stop_requested and job.status_code in _STOPPABLE:
            return begin_to_finalize
        if requeue.is_due(job, hold):
            return functools.partial(requeue.requeue, hold=hold)
        return STEPS[StatusCode(job.status_code)]

    def _let_go(self, error: InvalidTransition) -> bool:
        """Another attempt or process has moved the job on: whatever this thread found out is void."""
        log.info("%s", error)
        return False

    def _note_fruitless(self, job: Job) -> None:
        """The list called for a closer look, which changed nothing: an engine of two minds must not make the loop spin.

        Usually the list was a moment old, so the first pauses are too short to delay a job's end.
        """
        tries = self._fruitless[job.pk].tries + 1 if job.pk in self._fruitless else 1
        pause = min(LONGEST_FRUITLESS_PAUSE_SECONDS, FIRST_FRUITLESS_PAUSE_SECONDS * 2 ** min(tries - 1, 10))
        self._fruitless[job.pk] = _Trouble("", tries, time.monotonic() + pause, job.stop_request)

    def _note_trouble(self, job: Job, error: Unavailable) -> None:
        """Say since when, and try again after a pause that doubles each time."""
        what = str(error).rstrip(".")
        trouble = self._next_trouble(job.pk, job.stop_request)
        since = f"since {trouble.since}, try {trouble.tries}"
        log.warning("job %s: %s (%s). %s", job.identifier, what, since, error.detail)
        asked = f"{job.stop_requested_by} asked for the job to be stopped. " if job.is_stop_requested else ""
        goes_on = "" if what.endswith("continues automatically") else "; it continues automatically"
        job.say(f"{asked}{what} ({since}{goes_on}).", detail=error.detail)

    def _next_trouble(self, pk: int, stop_request: str | None = None) -> _Trouble:
        old = self._troubles.get(pk)
        since, tries = (old.since, old.tries + 1) if old else (_in_words(time.time()), 1)
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(tries - 1, 10))
        self._troubles[pk] = _Trouble(since, tries, time.monotonic() + pause, stop_request)
        return self._troubles[pk]

    def _end_by_fault_of_study(self, job: Job, error: JobError) -> bool:
        log.info("job %s: %s %s", job.identifier, error, error.detail)
        fault = {
            "outcome_code": StatusCode.JOB_ERROR,
            "outcome_message": str(error),
            "outcome_detail": error.detail,
        }
        if job.status_code == StatusCode.FINALIZING:
            job.record(**fault)
        else:
            job.move_to(StatusCode.FINALIZING, "Saving the log.", **fault)
        return True

    def _end_by_our_bug(self, job: Job, tools: Tools, error: Exception) -> bool:
        if cutting_off.is_begun(job):
            raise error  # ending it fails by itself: with the pauses of `drive`
        log.exception("job %s: failed in %s by a fault of the job runner", job.identifier, job.status_code)
        what = str(error) if isinstance(error, GaveUp) else f"The job runner failed while the job was {job.status_code}"
        return cutting_off.begin(job, tools, what)


def _in_words(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
