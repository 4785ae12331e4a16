"""What one turn of the loop costs, and that nothing slow or silent ever holds it up."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings

from jobs.models import Flag, Heartbeat, Job
from jobs.states import StatusCode
from runner import engine_view, loop, starting, steps
from runner.containers import spec_for
from runner.executors.base import Status
from runner.executors.fake import FakeExecutor, FakeRun
from runner.loop import Runner
from runner.workspaces.files import check_stop
from tests.factories import make_flag, make_job, make_request
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class HangingExecutor(FakeExecutor):
    """While `hangs` is set the list call does not return."""

    def __init__(self) -> None:
        super().__init__(lambda spec: FakeRun(until=threading.Event()))
        self.hangs = threading.Event()
        self.goes_on = threading.Event()
        self.lists = 0

    def statuses(self) -> dict[str, Status]:
        self.lists += 1
        if self.hangs.is_set():
            self.goes_on.wait(30)
        return super().statuses()


@pytest.fixture
def executor() -> HangingExecutor:
    return HangingExecutor()


@pytest.fixture
def runner(executor) -> Iterator[Runner]:
    runner = Runner(executor)
    yield runner
    executor.goes_on.set()
    runner.close()


def running_job(executor: FakeExecutor, **columns) -> Job:
    job = make_job(StatusCode.EXECUTING, status_message=steps.CONTAINER_RUNS, **columns)
    executor.start(spec_for(job))
    return job


def code_of(job: Job) -> str:
    return Job.objects.get(pk=job.pk).status_code


def test_a_turn_costs_one_list_call_and_the_same_queries_for_any_number_of_jobs(executor, runner, settings):
    settings.MAX_WORKERS = 0
    request = make_request()
    for _ in range(2):
        running_job(executor, request=request)
    costs = []
    for more in (3, 300):
        for _ in range(more):
            make_job(request=request)
        runner.tick()  # tells the new ones why they wait
        executor.lists = 0
        with CaptureQueriesContext(
            connection,
        ) as queries:
            runner.tick()
        costs.append((executor.lists, len(queries)))
    assert costs[0] == costs[1]
    assert costs[0][0] == 1


def test_the_engine_s_own_disk_is_looked_at_where_the_engine_is_here(settings, tmp_path):
    settings.EXECUTOR, settings.DOCKER_HOST, settings.DOCKER_ROOT_DIR = "docker", "unix:///x.sock", str(tmp_path)
    assert loop._folders()["Docker's own files"] == tmp_path
    for name, value in (
        ("DOCKER_ROOT_DIR", ""), ("DOCKER_ROOT_DIR", str(tmp_path / "none")), ("DOCKER_HOST", "ssh://elsewhere"),
        ("EXECUTOR", "fake"),
    ):  # fmt: skip
        with override_settings(**{name: value}):
            assert list(loop._folders()) == ["the jobs' folders", "high privacy storage", "medium privacy storage"]


def test_telling_very_many_jobs_a_new_reason_is_spread_over_turns(executor, runner, monkeypatch):
    monkeypatch.setattr(starting, "MOST_TOLD_IN_A_TURN", 10)
    make_flag(Flag.Name.PAUSED)
    request = make_request()
    jobs = [make_job(request=request) for _ in range(25)]
    paused = Job.objects.filter(status_code=StatusCode.PAUSED).order_by("pk")

    told = []
    for _ in range(4):
        runner.tick()
        told.append([job.pk for job in paused.all()])

    assert [len(pks) for pks in told] == [10, 20, 25, 25]
    assert told[0] == [job.pk for job in jobs[:10]]


def test_the_turns_that_tell_the_rest_follow_at_once(executor, runner, monkeypatch):
    monkeypatch.setattr(starting, "MOST_TOLD_IN_A_TURN", 2)
    make_flag(Flag.Name.PAUSED)
    request = make_request()
    for _ in range(3):
        make_job(request=request)
    runner.tick()
    started = time.monotonic()
    runner.wake.wait(20)
    assert time.monotonic() - started < 10


def test_an_engine_that_hangs_holds_up_no_other_turn(executor, runner, monkeypatch, caplog):
    monkeypatch.setattr(engine_view, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 0)
    caplog.set_level("INFO", "runner")
    job = running_job(executor)
    executor.hangs.set()
    runner.tick()
    assert "does not answer (since" in Job.objects.get(pk=job.pk).status_message
    waiting = make_job(StatusCode.WAITING_ON_WORKERS)
    waiting.request_cancel(by="alice", reason="")
    executor.lists = 0
    monkeypatch.setattr(engine_view, "PATIENCE_SECONDS", 20)  # a call that was waited for once holds up no second turn

    started = time.monotonic()
    runner.tick()

    assert time.monotonic() - started < 5
    assert code_of(waiting) == StatusCode.CANCELLED_BY_USER
    assert Heartbeat.objects.get(name="run").detail["engine_unavailable_since"]
    assert executor.lists == 0  # the call that hangs is still the only one

    executor.hangs.clear()
    executor.goes_on.set()
    wait_until(
        lambda: runner.tick() and Job.objects.get(pk=job.pk).status_message == steps.CONTAINER_RUNS,
        what="the running container's own message",
    )
    assert sum("answers again" in record.getMessage() for record in caplog.records) == 1


def test_a_late_answer_wakes_the_loop(executor, runner, monkeypatch):
    monkeypatch.setattr(engine_view, "PATIENCE_SECONDS", 0.05)
    running_job(executor)
    executor.hangs.set()
    runner.tick()
    drain(runner)
    threading.Timer(0.1, executor.goes_on.set).start()

    started = time.monotonic()
    runner.wake.wait(20)

    assert time.monotonic() - started < 10


def test_a_runner_whose_engine_hangs_says_that_it_cannot_end_quietly(executor, runner, monkeypatch):
    monkeypatch.setattr(engine_view, "PATIENCE_SECONDS", 0.05)
    running_job(executor)
    executor.hangs.set()
    runner.tick()
    assert runner.close(0.1) is False
    executor.goes_on.set()
    wait_until(lambda: runner.close(0.1), what="a quiet end")


@pytest.mark.parametrize("ask", ["cancel", "kill", "close"])
def test_a_stop_reaches_a_long_copy_that_is_under_way(executor, runner, monkeypatch, ask):
    """The step is in the middle of its work when the stop is asked for; only the loop can tell it."""
    is_copying, was_stopped = threading.Event(), threading.Event()

    def copy_for_long(job, tools):
        is_copying.set()
        was_stopped_in_time = tools.stop.wait(20)
        if was_stopped_in_time:
            was_stopped.set()
        check_stop(tools.stop.is_set)

    monkeypatch.setitem(steps.STEPS, StatusCode.PREPARING, copy_for_long)
    job = make_job(StatusCode.PREPARING)
    runner.tick()
    assert is_copying.wait(10)

    if ask == "close":
        assert runner.close()
        assert code_of(job) == StatusCode.PREPARING
    else:
        getattr(job, f"request_{ask}")(by="alice", reason="")
        wait_until(lambda: runner.tick() == 0, seconds=10, what="the end of the job")
        assert code_of(job) == (StatusCode.CANCELLED_BY_USER if ask == "cancel" else StatusCode.KILLED_BY_ADMIN)
    assert was_stopped.is_set()


def test_running_jobs_are_touched_so_that_the_job_server_sees_them_live(executor, runner, monkeypatch):
    monkeypatch.setattr(loop, "TOUCH_SECONDS", 0)
    job = running_job(executor)
    runner.tick()
    before = Job.objects.get(pk=job.pk).updated_at
    runner.tick()
    assert Job.objects.get(pk=job.pk).updated_at > before


def test_a_cancel_ends_a_container_that_runs(executor, runner):
    job = running_job(executor)
    runner.tick()
    job.request_cancel(by="alice", reason="")
    wait_until(lambda: runner.tick() == 0, what="the end of the job")
    assert code_of(job) == StatusCode.CANCELLED_BY_USER
    assert executor.statuses() == {}


def test_a_slow_copy_never_delays_another_job(executor, runner, monkeypatch):
    """As many as run at most, older and younger ones, and all but one of them slow."""
    goes_on = threading.Event()
    jobs = [make_job(StatusCode.PREPARING) for _ in range(settings.MAX_WORKERS + settings.MAX_DB_WORKERS)]
    quick, slow = jobs[1], [jobs[0], *jobs[2:]]

    def step(job, tools):
        if job.pk != quick.pk:
            goes_on.wait(20)
        job.move_to(StatusCode.PREPARED, "Code and inputs are in place.")

    monkeypatch.setitem(steps.STEPS, StatusCode.PREPARING, step)
    wait_until(lambda: runner.tick() and code_of(quick) == StatusCode.EXECUTING, seconds=15, what="the quick one")
    assert {code_of(job) for job in slow} == {StatusCode.PREPARING}
    goes_on.set()


def test_a_thread_that_is_done_wakes_the_loop_though_it_has_written_nothing(executor, runner, monkeypatch):
    goes_on = threading.Event()
    monkeypatch.setattr(runner._driver, "drive", lambda pk, stop, hold: goes_on.wait(20))
    make_job(StatusCode.PREPARING)
    runner.tick()
    drain(runner)
    goes_on.set()
    assert runner.wake._is_hinted_within(20)


def drain(runner: Runner) -> None:
    while runner.wake._is_hinted_within(0):
        pass


def test_a_job_never_has_two_threads(executor, runner, monkeypatch):
    threads, goes_on = [], threading.Event()

    def slow(job, tools):
        threads.append(threading.current_thread().name)
        goes_on.wait(20)
        job.move_to(StatusCode.PREPARED, "Code and inputs are in place.")

    monkeypatch.setitem(steps.STEPS, StatusCode.PREPARING, slow)
    job = make_job(StatusCode.PREPARING)
    for _ in range(5):
        runner.tick()
    goes_on.set()
    wait_until(lambda: code_of(job) != StatusCode.PREPARING, what="the next step")
    assert len(threads) == 1
