"""Running jobs that the site takes back, for a reboot or database maintenance: when, how, and what is kept."""

import dataclasses
import threading
import time

import pytest

from jobs import storage
from jobs.models import Flag, Job, StatusChange
from jobs.signs import Signs
from jobs.states import PENDING_CODES, RUNNING_CODES, State, StatusCode
from jobs.system.reboot import SAFE, readiness
from runner import database_status, loop, steps
from runner.capacity import Hold, takes_back
from runner.containers import spec_for
from runner.executors.base import ExecutorUnavailable, Phase
from runner.executors.fake import FakeExecutor, FakeRun
from runner.followers import Followers
from runner.loop import Runner
from runner.requeue import is_due, requeue
from runner.steps import Tools
from tests.factories import make_flag, make_job, make_request
from tests.git_repositories import make_repository
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

REBOOT = Hold(StatusCode.WAITING_ON_REBOOT, "Stopped for a reboot (olive: new kernel).")
TAKEN_BACK = (StatusCode.INITIATED, StatusCode.PREPARING, StatusCode.PREPARED, StatusCode.EXECUTING)


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor(lambda spec: FakeRun(until=threading.Event(), log=b"reading the patients\n"))


@pytest.fixture
def tools(executor):
    followers = Followers(executor)
    yield Tools(executor, followers, threading.Event())
    followers.close()


@pytest.fixture
def runner(executor):
    runner = Runner(executor)
    yield runner
    runner.close()


def executing(executor: FakeExecutor, **columns) -> Job:
    job = make_job(StatusCode.EXECUTING, **columns)
    StatusChange.objects.create(
        job=job, from_code=StatusCode.PREPARED, to_code=StatusCode.EXECUTING, attempt=job.attempt, at=job.created_at
    )
    executor.start(spec_for(job))
    return job


def turn_until(runner: Runner, condition, what: str) -> None:
    def turned() -> bool:
        runner.tick()
        return condition()

    wait_until(turned, 20, what)


def stored(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


# One job


def test_a_job_that_is_taken_back_waits_for_its_next_attempt_and_says_why(executor, tools):
    job = executing(executor)
    folder = storage.job_workspace(job)
    folder.mkdir(parents=True)
    (folder / "input.csv").write_text("patients")

    requeue(job, tools, hold=REBOOT)

    after = stored(job)
    assert (after.state, after.status_code, after.attempt) == (State.PENDING, StatusCode.WAITING_ON_REBOOT, 2)
    assert after.status_message == "Stopped for a reboot (olive: new kernel). It will be run again (attempt 2)."
    assert (after.times_requeued, after.requeue_code, after.exit_code) == (1, "", None)
    assert executor.statuses() == {} and not folder.exists()


def test_what_it_had_said_until_then_is_kept(executor, tools):
    job = executing(executor)
    log = storage.job_log(job)
    requeue(job, tools, hold=REBOOT)
    assert b"reading the patients" in log.read_bytes()


@pytest.mark.parametrize("exit_code", [0, 3])
def test_a_command_that_has_ended_by_itself_is_not_run_again(executor, tools, exit_code):
    job = executing(executor)
    executor.finish(job.container_name, exit_code)
    requeue(job, tools, hold=REBOOT)
    after = stored(job)
    assert (after.status_code, after.exit_code, after.attempt) == (StatusCode.EXECUTED, exit_code, 1)
    assert (after.requeue_code, after.times_requeued) == ("", 0)


@pytest.mark.parametrize("verb", ["stop", "remove"])
def test_a_runner_that_is_killed_on_the_way_never_takes_our_own_kill_for_the_study_s_failure(
    executor, tools, monkeypatch, verb
):
    job, real = executing(executor), getattr(executor, verb)

    def killed_after(name: str) -> None:
        real(name)
        raise KeyboardInterrupt

    monkeypatch.setattr(executor, verb, killed_after)
    with pytest.raises(KeyboardInterrupt):
        requeue(job, tools, hold=REBOOT)
    monkeypatch.setattr(executor, verb, real)

    # The next life; the switch was switched off meanwhile.
    again = stored(job)
    assert is_due(again, None)
    requeue(again, tools, hold=None)

    after = stored(job)
    assert (after.status_code, after.attempt, after.exit_code) == (StatusCode.WAITING_ON_REBOOT, 2, None)
    assert after.status_message == "Stopped for a reboot. It will be run again (attempt 2)."


def test_an_engine_that_does_not_answer_leaves_the_job_where_it_is(executor, tools):
    job = executing(executor)
    executor.unavailable = "The engine is silent."
    with pytest.raises(ExecutorUnavailable):
        requeue(job, tools, hold=REBOOT)
    assert (stored(job).status_code, stored(job).requeue_code) == (StatusCode.EXECUTING, "")


@pytest.mark.parametrize("code", RUNNING_CODES)
def test_what_is_taken_back_is_what_has_not_run_to_its_end(code):
    assert is_due(make_job(code), REBOOT) == (code in TAKEN_BACK)


@pytest.mark.parametrize("code", [*PENDING_CODES, StatusCode.SUCCEEDED, StatusCode.NONZERO_EXIT])
def test_what_does_not_run_is_never_taken_back(code):
    assert not is_due(make_job(code), REBOOT)


def test_being_taken_back_uses_up_no_attempt(executor, tools, settings):
    """MAX_ATTEMPTS is about what goes wrong."""
    settings.MAX_ATTEMPTS = 2
    job = executing(executor, attempt=3, times_requeued=2)
    executor.interrupt(job.container_name)
    steps.observe(job, tools)
    after = stored(job)
    assert (after.status_code, after.attempt, after.times_requeued) == (StatusCode.WAITING_ON_NEW_TASK, 4, 2)
    assert "(attempt 4 of 4)" in after.status_message


# Which jobs


def test_a_reboot_takes_all_back_maintenance_only_database_jobs_and_a_pause_none():
    assert takes_back({}) == {}
    assert takes_back({"paused": make_flag(Flag.Name.PAUSED)}) == {}
    maintenance = make_flag(Flag.Name.DB_MAINTENANCE, reason="index rebuilt")
    ((pool, hold),) = takes_back({"db-maintenance": maintenance}).items()
    assert (pool, hold.code) == ("database workers", StatusCode.WAITING_DB_MAINTENANCE)
    assert "index rebuilt" in hold.message and "olive" in hold.message
    both = takes_back({"db-maintenance": maintenance, "reboot": make_flag(Flag.Name.REBOOT)})
    assert {hold.code for hold in both.values()} == {StatusCode.WAITING_ON_REBOOT} and len(both) == 2


def test_a_switch_that_is_off_takes_nothing_back():
    assert takes_back({"reboot": make_flag(Flag.Name.REBOOT, value="")}) == {}


@pytest.mark.parametrize("code", TAKEN_BACK)
def test_in_the_loop_a_reboot_takes_a_job_back_from_each_state_before_its_command_has_ended(executor, runner, code):
    job = make_job(code)
    if code == StatusCode.EXECUTING:
        executor.start(spec_for(job))
    make_flag(Flag.Name.REBOOT)
    turn_until(runner, lambda: stored(job).status_code == StatusCode.WAITING_ON_REBOOT, "the job to wait")
    turn_until(runner, lambda: "Waiting for a reboot" in stored(job).status_message, "its reason")
    assert (stored(job).attempt, executor.statuses()) == (2, {})


def test_maintenance_leaves_jobs_alone_that_need_no_database(executor, runner):
    ordinary, database = executing(executor), executing(executor, requires_db=True)
    make_flag(Flag.Name.DB_MAINTENANCE)
    turn_until(runner, lambda: stored(database).status_code == StatusCode.WAITING_DB_MAINTENANCE, "the database job")
    assert stored(ordinary).status_code == StatusCode.EXECUTING
    assert executor.status(ordinary.container_name).phase is Phase.RUNNING


def test_a_job_that_was_to_be_cancelled_is_cancelled_and_not_taken_back(executor, runner):
    job = executing(executor)
    make_flag(Flag.Name.REBOOT)
    job.request_cancel("alice", "wrong branch")
    turn_until(runner, lambda: stored(job).is_finished, "the job's end")
    assert (stored(job).status_code, stored(job).attempt) == (StatusCode.CANCELLED_BY_USER, 1)


def test_a_copy_under_way_is_broken_off(executor, runner, monkeypatch):
    job, copies, goes_on = make_job(StatusCode.PREPARING), threading.Event(), threading.Event()

    def prepare(job: Job, tools: Tools) -> None:
        copies.set()
        wait_until(tools.stop.is_set, 20, "the word to stop")
        goes_on.set()

    monkeypatch.setitem(steps.STEPS, StatusCode.PREPARING, prepare)
    runner.tick()
    assert copies.wait(20)
    make_flag(Flag.Name.REBOOT)
    turn_until(runner, lambda: stored(job).status_code == StatusCode.WAITING_ON_REBOOT, "the job to wait")
    assert goes_on.is_set()


def test_afterwards_it_runs_again_and_only_that_attempt_counts(tmp_path):
    runs = iter(
        [
            FakeRun(until=threading.Event(), files={"output/table.csv": b"first"}),
            FakeRun(files={"output/table.csv": b"second"}),
        ]
    )
    commit = make_repository(tmp_path / "study", {"make.sh": "true"})
    job = make_job(request=make_request(repo_url=str(tmp_path / "study"), commit=commit))
    executor = FakeExecutor(lambda spec: next(runs))
    runner = Runner(executor)
    try:
        turn_until(runner, lambda: stored(job).status_code == StatusCode.EXECUTING, "the first attempt")
        make_flag(Flag.Name.REBOOT)
        turn_until(runner, lambda: stored(job).status_code == StatusCode.WAITING_ON_REBOOT, "the job to wait")
        make_flag(Flag.Name.REBOOT, value="")
        turn_until(runner, lambda: stored(job).is_finished, "the job's end")
    finally:
        runner.close()
    assert (stored(job).status_code, stored(job).attempt) == (StatusCode.SUCCEEDED, 2)
    path = storage.high_privacy_workspace(job.workspace) / "output/table.csv"
    assert path.read_bytes() == b"second"


# Safe to reboot


def is_safe() -> bool:
    flags = {name: flag for name, flag in Flag.objects.current().items() if flag.value}
    return readiness(flags, Signs.read()).state == SAFE


def test_it_is_safe_to_reboot_when_the_last_container_is_gone_and_not_before(executor, runner, monkeypatch):
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 3600)  # what is new is said at once
    job = executing(executor)
    seen = []
    make_flag(Flag.Name.REBOOT)
    turn_until(runner, lambda: seen.append((is_safe(), len(executor.statuses()))) or is_safe(), "safety")
    assert stored(job).status_code == StatusCode.WAITING_ON_REBOOT
    assert all(containers == 0 for safe, containers in seen if safe)


def test_a_container_of_ours_that_no_job_knows_of_makes_it_unsafe(executor, runner, monkeypatch):
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 0)
    orphan = make_job(StatusCode.NONZERO_EXIT)
    executor.start(spec_for(orphan))
    make_flag(Flag.Name.REBOOT)
    for _ in range(3):
        runner.tick()
        assert not is_safe()
    executor.finish(orphan.container_name, 0)
    turn_until(runner, is_safe, "safety")


def test_the_question_to_the_database_is_no_job(executor, runner, monkeypatch):
    """Its container may die in a reboot."""
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 0)
    executor.start(dataclasses.replace(spec_for(make_job(StatusCode.NONZERO_EXIT)), name=database_status.NAME))
    make_flag(Flag.Name.REBOOT)
    turn_until(runner, is_safe, "safety")


def test_an_answer_of_the_engine_that_is_older_than_the_last_job_s_end_does_not_make_it_safe(runner, monkeypatch):
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 0)
    make_flag(Flag.Name.REBOOT)
    monkeypatch.setattr(runner._engine, "statuses", dict)  # an answer that comes late: asked_at stays
    runner.tick()
    assert not is_safe()
    runner._engine.asked_at = time.monotonic()
    runner.tick()
    assert is_safe()


def test_an_engine_that_does_not_answer_is_not_safe(executor, runner, monkeypatch):
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 0)
    make_flag(Flag.Name.REBOOT)
    executor.unavailable = "The engine is silent."
    for _ in range(3):
        runner.tick()
        assert not is_safe()


def test_nothing_is_finalised_again_before_the_reboot_is_over(executor, runner):
    job = make_job(StatusCode.INTERNAL_ERROR)
    job.request_retry("olive", "the disk is back")
    make_flag(Flag.Name.REBOOT)
    turn_until(runner, is_safe, "safety")
    assert stored(job).retry_requested_at is not None
    make_flag(Flag.Name.REBOOT, value="")
    turn_until(runner, lambda: stored(job).retry_requested_at is None, "the answer to the wish")
