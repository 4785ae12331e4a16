"""The fates of what goes wrong in a step: whose fault it is, what becomes of the job, and when it is tried again."""

import threading

import pytest
from django.db import InterfaceError, OperationalError

from jobs.errors import JobError, Unavailable
from jobs.models import Job
from jobs.states import StatusCode
from runner import drive, steps
from runner.containers import spec_for
from runner.drive import Driver
from runner.executors.base import Phase
from runner.executors.fake import FakeExecutor, FakeRun
from tests.factories import make_job

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
