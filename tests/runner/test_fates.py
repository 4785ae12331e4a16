"""The fates of what goes wrong in a step: whose fault it is, what becomes of the job, and when it is tried again."""

import threading

import pytest
from django.db import DataError, InterfaceError, OperationalError

from jobs.errors import JobError, Unavailable
from jobs.models import Job
from jobs.states import StatusCode
from runner import drive, steps
from runner.capacity import Hold
from runner.containers import spec_for
from runner.drive import Driver
from runner.executors.base import ExecutorUnavailable, Phase
from runner.executors.fake import FakeExecutor, FakeRun
from runner.loop import Runner
from tests.factories import make_job
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class Clock:
    """Stands where a test puts it."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(drive, "time", clock)
    return clock


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor(lambda spec: FakeRun(until=threading.Event()))


@pytest.fixture
def driver(executor):
    driver = Driver(executor)
    yield driver
    driver.close()


@pytest.fixture
def failing(monkeypatch):
    """Let a status's step raise these errors, one each time; then it is itself again."""

    def make(code: StatusCode, *errors: Exception) -> None:
        rest, itself = list(errors), steps.STEPS[code]

        def step(job, tools) -> None:
            if rest:
                raise rest.pop(0)
            itself(job, tools)

        monkeypatch.setitem(steps.STEPS, code, step)

    return make


def drive_once(driver: Driver) -> Job:
    driver.drive(Job.objects.get().pk, threading.Event())
    return Job.objects.get()


@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("connection is closed")])
def test_a_database_that_does_not_answer_is_no_fault_of_the_job(driver, failing, clock, error):
    make_job(StatusCode.INITIATED)
    failing(StatusCode.INITIATED, error)

    job = drive_once(driver)

    assert job.status_code == StatusCode.INITIATED
    assert not driver.may_try(job)
    clock.now += drive.FIRST_PAUSE_SECONDS
    assert driver.may_try(job)


def test_a_bug_of_ours_stops_the_container_and_keeps_it(driver, executor, failing):
    job = make_job(StatusCode.EXECUTING)
    executor.start(spec_for(job))
    failing(StatusCode.EXECUTING, RuntimeError("a bug"))

    job = drive_once(driver)

    assert job.status_code == StatusCode.INTERNAL_ERROR
    assert executor.status(job.container_name).phase is Phase.EXITED


class Killed(BaseException):
    """As kill -9: nothing of ours comes after it."""


@pytest.fixture
def killed_before_the_end(monkeypatch):
    itself = Job.move_to

    def move_to(job, code, *words, **facts):
        if code == StatusCode.INTERNAL_ERROR:
            raise Killed
        return itself(job, code, *words, **facts)

    with monkeypatch.context() as patch:
        patch.setattr(Job, "move_to", move_to)
        yield patch


@pytest.mark.parametrize("code", [StatusCode.PREPARED, StatusCode.EXECUTING])
def test_our_own_kill_is_never_taken_for_the_study_s_end(driver, executor, failing, killed_before_the_end, code):
    """A runner killed after it has stopped the container; the next one finds an exit code of 137."""
    job = make_job(code)
    executor.start(spec_for(job))
    failing(code, RuntimeError("a bug"))
    with pytest.raises(Killed):
        drive_once(driver)
    assert executor.status(job.container_name).phase is Phase.EXITED
    killed_before_the_end.undo()

    job = drive_once(Driver(executor))

    assert (job.status_code, job.outcome_code, job.outcome_message) == (StatusCode.INTERNAL_ERROR, "", "")
    assert f"failed while the job was {code}" in job.status_message


def test_what_was_not_stopped_is_stopped_by_the_next_process(executor, failing):
    """Killed between the record and the stop: the loop does not take a container that runs for all being well."""
    job = make_job(StatusCode.EXECUTING, outcome_code=StatusCode.INTERNAL_ERROR, outcome_message="A fault of ours.")
    executor.start(spec_for(job))
    runner = Runner(executor)
    wait_until(lambda: runner.tick() == 0, what="the end")
    runner.close()
    assert executor.status(job.container_name).phase is Phase.EXITED
    assert Job.objects.get().status_message == "A fault of ours."


@pytest.mark.parametrize(
    "code", [StatusCode.INITIATED, StatusCode.PREPARING, StatusCode.PREPARED, StatusCode.EXECUTING]
)
@pytest.mark.parametrize("wish", ["cancel", "reboot"])
def test_what_was_cut_off_is_ended_before_anybody_else_s_wish(driver, executor, code, wish):
    """A cancel would end it by another name, and a reboot would have it run again with our fault written on it."""
    job = make_job(code, outcome_code=StatusCode.INTERNAL_ERROR, outcome_message="A fault of ours.")
    hold = Hold(StatusCode.WAITING_ON_REBOOT, "Stopped for a reboot.") if wish == "reboot" else None
    if wish == "cancel":
        job.request_cancel(by="alice", reason="x")
    driver.drive(job.pk, threading.Event(), hold)
    job = Job.objects.get()
    assert (job.status_code, job.outcome_code, job.attempt) == (StatusCode.INTERNAL_ERROR, "", 1)


def test_after_the_command_s_end_an_engine_that_is_silent_does_not_hold_up_the_end(
    driver, executor, failing, monkeypatch
):
    make_job(StatusCode.EXECUTED, exit_code=0)
    failing(StatusCode.EXECUTED, RuntimeError("a bug"))
    monkeypatch.setattr(executor, "stop", lambda name: raise_(ExecutorUnavailable("no answer")))
    assert drive_once(driver).status_code == StatusCode.INTERNAL_ERROR


def test_a_fault_that_cannot_be_recorded_leaves_the_container_alone(driver, executor, failing, monkeypatch):
    job = make_job(StatusCode.EXECUTING)
    executor.start(spec_for(job))
    failing(StatusCode.EXECUTING, RuntimeError("a bug"))

    def refuse(job, **facts):
        raise OperationalError("cannot execute UPDATE in a read-only transaction")

    monkeypatch.setattr(Job, "record", refuse)
    assert drive_once(driver).status_code == StatusCode.EXECUTING
    assert executor.status(job.container_name).phase is Phase.RUNNING


def test_an_engine_that_cannot_stop_a_container_of_ours_now_is_asked_again(
    driver, executor, failing, clock, monkeypatch
):
    job = make_job(StatusCode.EXECUTING)
    executor.start(spec_for(job))
    failing(StatusCode.EXECUTING, RuntimeError("a bug"))
    answers = [ExecutorUnavailable("no answer")]
    itself = executor.stop
    monkeypatch.setattr(executor, "stop", lambda name: itself(name) if not answers else raise_(answers.pop()))

    assert drive_once(driver).status_code == StatusCode.EXECUTING
    assert executor.status(job.container_name).phase is Phase.RUNNING
    clock.now += 3600
    assert drive_once(driver).status_code == StatusCode.INTERNAL_ERROR
    assert executor.status(job.container_name).phase is Phase.EXITED


def test_an_end_that_fails_by_itself_is_tried_again_after_a_pause(driver, executor, failing, monkeypatch):
    """A sequence that is wrong after a restore, a lost right: not a thousand lines of log a second."""
    job = make_job(StatusCode.EXECUTING)
    executor.start(spec_for(job))
    failing(StatusCode.EXECUTING, RuntimeError("a bug"))
    tries = []

    def refuse(job, *words, **facts):
        tries.append(words)
        raise DataError("out of range")

    monkeypatch.setattr(Job, "move_to", refuse)
    assert drive_once(driver).status_code == StatusCode.EXECUTING
    assert len(tries) == 1 and not driver.may_try(job)


def raise_(error: Exception) -> None:
    raise error


def test_a_fault_of_the_study_found_while_finalising_ends_the_job_with_its_words(driver, failing):
    make_job(StatusCode.FINALIZING, exit_code=0)
    failing(StatusCode.FINALIZING, JobError("Two patterns take the same file.", detail="output/x.csv"))

    job = drive_once(driver)

    assert job.status_code == StatusCode.JOB_ERROR
    assert (job.status_message, job.status_detail) == ("Two patterns take the same file.", "output/x.csv")


def test_the_pause_after_trouble_doubles_up_to_a_limit(driver, failing, clock):
    make_job(StatusCode.INITIATED)
    failing(StatusCode.INITIATED, *[Unavailable("no answer")] * 9)
    pauses = []
    for _ in range(9):
        job, began = drive_once(driver), clock.now
        while not driver.may_try(job):
            clock.now += 0.25
        pauses.append(clock.now - began)

    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_trouble_that_is_over_does_not_count_for_the_next_one(driver, failing, clock):
    make_job(StatusCode.FINALIZING, outcome_code=StatusCode.JOB_ERROR, outcome_message="x")
    failing(StatusCode.FINALIZING, Unavailable("no disk"), Unavailable("no disk"))
    failing(StatusCode.FINALIZED, Unavailable("no engine"))

    told = [drive_once(driver).status_message for _ in range(3)]

    assert "no disk" in told[0] and "try 1;" in told[0]
    assert "no disk" in told[1] and "try 2;" in told[1]
    assert "no engine" in told[2] and "try 1;" in told[2]


def test_a_new_stop_request_ends_the_pause_and_the_same_one_does_not(driver, failing, clock):
    make_job(StatusCode.FINALIZED, outcome_code=StatusCode.JOB_ERROR, outcome_message="x")
    failing(StatusCode.FINALIZED, Unavailable("no engine"), Unavailable("no engine"))
    job = drive_once(driver)
    assert not driver.may_try(job)

    job.request_kill(by="olive", reason="")

    assert driver.may_try(job)
    assert not driver.may_try(drive_once(driver))
