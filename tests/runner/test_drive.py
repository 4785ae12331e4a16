"""What the loop and the driver do when the world is missing for a while, and that they never spin or give up."""

import errno
import os
import threading
import time
from collections.abc import Iterator

import pytest

from jobs import storage
from jobs.models import Job
from jobs.states import StatusCode
from runner import drive, loop, steps
from runner.containers import spec_for
from runner.executors.base import Phase, Status
from runner.executors.fake import FakeExecutor, FakeRun
from runner.loop import Runner
from tests.factories import make_job, make_request
from tests.git_repositories import make_repository
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class LosingExecutor(FakeExecutor):
    """Its one host cannot be reached. Counts how often somebody asks."""

    asked = 0

    def status(self, name: str) -> Status:
        self.asked += 1
        return Status(Phase.LOST, reason="Host a cannot be reached.")

    def statuses(self) -> dict[str, Status]:
        return dict.fromkeys(super().statuses(), Status(Phase.LOST))


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor(lambda spec: FakeRun(until=threading.Event()))


@pytest.fixture
def runner(executor) -> Iterator[Runner]:
    runner = Runner(executor)
    yield runner
    runner.close()


def row(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def running_job(executor: FakeExecutor) -> Job:
    job = make_job(StatusCode.EXECUTING, status_message=steps.CONTAINER_RUNS)
    executor.start(spec_for(job))
    return job


def tick_until(runner: Runner, job: Job, code: StatusCode) -> None:
    def has_come() -> bool:
        runner.tick()
        return row(job).status_code == code

    wait_until(has_come, what=code)


def test_a_silent_engine_is_told_once_and_forgotten_when_it_answers_again(executor, runner, caplog):
    job = running_job(executor)
    executor.unavailable = "no answer"
    written = set()
    for _ in range(5):
        runner.tick()
        written.add(row(job).updated_at)
    assert "does not answer (since" in row(job).status_message
    assert len(written) == 1
    assert sum("does not answer" in record.getMessage() for record in caplog.records) == 1

    executor.unavailable = ""
    runner.tick()

    assert row(job).status_message == steps.CONTAINER_RUNS


def test_a_container_whose_host_is_lost_is_asked_for_with_growing_pauses():
    executor = LosingExecutor(lambda spec: FakeRun(until=threading.Event()))
    job = running_job(executor)
    runner = Runner(executor)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        runner.tick()
        runner.wake.wait(0.05)
    runner.close()
    assert 1 <= executor.asked <= 3
    assert "Host a cannot be reached (since" in row(job).status_message


def test_an_engine_of_two_minds_does_not_make_the_loop_spin(executor, runner, monkeypatch):
    """Its list says for ever that the container has ended, and the closer look that it runs."""
    job = running_job(executor)
    looks = []
    monkeypatch.setattr(executor, "statuses", lambda: {job.container_name: Status(Phase.EXITED)})
    monkeypatch.setattr(executor, "status", lambda name: looks.append(name) or Status(Phase.RUNNING))
    end = time.monotonic() + 1
    while time.monotonic() < end:
        runner.tick()
        runner.wake.wait(0.05)
    assert 2 <= len(looks) <= 8

    monkeypatch.undo()
    executor.finish(job.container_name, 3)
    tick_until(runner, job, StatusCode.NONZERO_EXIT)


def test_a_new_stop_request_does_not_wait_for_the_pause_after_some_trouble(executor, runner, monkeypatch, settings):
    """The study's repository is gone: the job tries again and again, ever more seldom."""
    settings.ALLOWED_GIT_HOSTS, settings.ALLOWED_GITHUB_ORGS = ("127.0.0.1:1",), ("*",)
    monkeypatch.setattr(drive, "FIRST_PAUSE_SECONDS", 3600)
    monkeypatch.setattr(drive, "LONGEST_PAUSE_SECONDS", 3600)
    job = make_job(StatusCode.PREPARING)
    job.request.repo_url = "https://127.0.0.1:1/study"
    job.request.save()
    wait_until(lambda: runner.tick() and "(since" in row(job).status_message, what="the trouble")

    job.request_cancel(by="alice", reason="")

    tick_until(runner, job, StatusCode.CANCELLED_BY_USER)


def test_what_the_database_refuses_is_our_bug_and_is_not_tried_for_ever(executor, runner, monkeypatch):
    job = make_job(StatusCode.PREPARING)
    monkeypatch.setitem(steps.STEPS, StatusCode.PREPARING, lambda job, tools: job.record(attempt=0))
    tick_until(runner, job, StatusCode.INTERNAL_ERROR)


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO, errno.EMFILE])
def test_trouble_of_a_disk_is_waited_out_wherever_it_shows(executor, runner, monkeypatch, code):
    """Not every look at a disk stands where its trouble is foreseen."""
    job, troubles = make_job(StatusCode.FINALIZED, outcome_code=StatusCode.JOB_ERROR, outcome_message="x"), [1, 2]

    def step(job, tools):
        if troubles:
            troubles.pop()
            raise OSError(code, os.strerror(code), "/storage/high")
        steps.clean_up(job, tools)

    monkeypatch.setitem(steps.STEPS, StatusCode.FINALIZED, step)

    wait_until(lambda: runner.tick() and "/storage/high" in row(job).status_detail, what="the trouble")
    tick_until(runner, job, StatusCode.JOB_ERROR)


def test_a_long_chain_behind_a_failed_job_does_not_hold_up_the_loop(executor, runner, monkeypatch):
    monkeypatch.setattr(loop, "LONGEST_END_OF_MANY_SECONDS", 0)
    jobs = [make_job(StatusCode.NONZERO_EXIT)]
    for _ in range(30):
        jobs.append(make_job(StatusCode.WAITING_ON_DEPENDENCIES, waits_for=[jobs[-1]]))
    assert runner.tick() > 0  # the turn has given up, and another follows
    wait_until(lambda: runner.tick() == 0, what="the end of the whole chain")
    assert set(Job.objects.exclude(pk=jobs[0].pk).values_list("status_code", flat=True)) == {"dependency_failed"}


def test_the_cancel_of_a_whole_backend_does_not_hold_up_the_loop(executor, runner, monkeypatch):
    """Slices are short transactions; a turn gives up after a while and the next one follows at once."""
    monkeypatch.setattr(loop, "LONGEST_END_OF_MANY_SECONDS", 0)
    monkeypatch.setattr(loop, "ENDED_AT_ONCE", 4)
    for _ in range(10):
        make_job(StatusCode.WAITING_ON_WORKERS)
    Job.objects.request_cancel(by="alice", reason="wrong study")

    left, follows_at_once = [], []
    for _ in range(3):
        while runner.wake._is_hinted_within(0):
            pass
        left.append(runner.tick())
        follows_at_once.append(runner.wake._is_hinted_within(0))

    assert left == [6, 2, 0]
    assert follows_at_once[:2] == [True, True]
    assert set(Job.objects.values_list("status_code", flat=True)) == {"cancelled_by_user"}


def test_what_names_files_survives_trouble_in_the_clean_up():
    engine = FakeExecutor()
    job = make_job(
        StatusCode.FINALIZED,
        outcome_code=StatusCode.SUCCEEDED,
        outcome_message="Completed successfully.",
        outcome_detail="Kept back: output/big.csv.",
    )
    runner = Runner(engine)
    engine.unavailable = "down"
    wait_until(lambda: (runner.tick(), "since" in Job.objects.get().status_message)[1])
    engine.unavailable = ""

    wait_until(lambda: runner.tick() == 0)

    runner.close()
    job.refresh_from_db()
    assert (job.status_code, job.status_detail) == (StatusCode.SUCCEEDED, "Kept back: output/big.csv.")


def test_what_an_earlier_life_left_under_the_same_name_is_never_taken_for_this_job():
    """The database was lost and the request came again: same identifier, same container name."""
    job = make_job(StatusCode.PREPARING)
    executor = FakeExecutor(lambda spec: FakeRun(log=b"of the earlier life\n"))
    storage.job_log(job).parent.mkdir(parents=True)
    storage.job_log(job).write_text("of the earlier life")
    executor.start(spec_for(job))
    wait_until(lambda: executor.status(job.container_name).phase is Phase.EXITED)

    steps.clear_earlier_life(job, steps.Tools(executor, None, None))

    assert executor.status(job.container_name).phase is Phase.ABSENT
    assert not storage.job_log(job).exists()


def test_a_job_is_never_ended_by_the_container_that_an_earlier_life_left(tmp_path):
    commit = make_repository(tmp_path / "study", {"make.sh": "true"})
    job = make_job(request=make_request(repo_url=str(tmp_path / "study"), commit=commit))
    exit_codes = iter([0, 3])
    executor = FakeExecutor(lambda spec: FakeRun(exit_code=next(exit_codes)))
    executor.start(spec_for(job))
    runner = Runner(executor)

    wait_until(lambda: runner.tick() == 0)

    runner.close()
    job.refresh_from_db()
    assert (job.status_code, job.exit_code) == (StatusCode.NONZERO_EXIT, 3)
