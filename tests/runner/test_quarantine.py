"""Jobs whose container the engine does not answer about: they stay, others go on, and a release tries them again."""

import threading
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs import asking, storage
from jobs.models import AuditEntry, Job, Quarantine, ResourceSample, StatusChange, Who
from jobs.states import ACTIVE_CODES, State, StatusCode, state_of
from runner import drive, loop, sampling
from runner.containers import spec_for
from runner.executors.base import Phase
from runner.executors.fake import FakeExecutor, FakeRun
from runner.loop import Runner
from runner.steps import CONTAINER_RUNS
from tests.factories import make_flag, make_job, make_request
from tests.git_repositories import make_repository
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
OLIVE = Who("olive", AuditEntry.Via.DASHBOARD)
SAYS = "Nothing more is asked about the container until an operator releases it"
# Every status in which a step asks the engine about the job's own container.
AT_THE_ENGINE = {
    StatusCode.PREPARING: {},
    StatusCode.PREPARED: {},
    StatusCode.EXECUTING: {},
    StatusCode.FINALIZING: {"exit_code": 0},
    StatusCode.FINALIZED: {"outcome_code": StatusCode.NONZERO_EXIT, "outcome_message": "x"},
}


class CountingExecutor(FakeExecutor):
    """Counts what it is asked about each container."""

    def __init__(self) -> None:
        super().__init__(lambda spec: FakeRun(until=threading.Event(), log=b"begun\n"))
        self.asked: list[str] = []

    def _answer(self, name: str = "") -> None:
        if name:
            self.asked.append(name)
        super()._answer(name)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(drive, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(sampling, "LOOK_SECONDS", 3600.0)


@pytest.fixture
def engine() -> CountingExecutor:
    return CountingExecutor()


@pytest.fixture
def runner(engine) -> Iterator[Runner]:
    runner = Runner(engine)
    yield runner
    runner.close()


def row(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def tick_until(runner: Runner, condition, what: str) -> object:
    def turn() -> object:
        runner.tick()
        return condition()

    return wait_until(turn, what=what)


def wedged(engine: FakeExecutor, code: StatusCode = StatusCode.EXECUTING, **columns) -> Job:
    """A job in that status, whose container is there and hangs. Of an executing one the list tells that it has ended:
    only then the loop asks about it."""
    job = make_job(code, **AT_THE_ENGINE.get(code, {}) | columns)
    engine.start(spec_for(job))
    engine.finish(job.container_name, 0)
    engine.silent.add(job.container_name)
    return job


def until_quarantine(runner: Runner, job: Job) -> Quarantine:
    tick_until(runner, lambda: SAYS in row(job).status_message and Quarantine.objects.exists(), "the quarantine")
    return Quarantine.objects.get()


def release(job: Job) -> None:
    (result,) = asking.release_containers([job.container_name], OLIVE, "the disk is back")
    assert result.was_done


@pytest.mark.parametrize("code", AT_THE_ENGINE)
def test_in_every_status_the_job_stays_and_is_not_tried_again(engine, runner, code):
    job = wedged(engine, code)
    found = until_quarantine(runner, job)
    assert (found.name, found.job) == (job.container_name, job)
    changes, asked = StatusChange.objects.count(), len(engine.asked)
    for _ in range(5):
        runner.tick()
    assert (row(job).status_code, StatusChange.objects.count()) == (code, changes)
    assert len(engine.asked) == asked
    assert "did not answer in time" in row(job).status_detail


@pytest.mark.parametrize("code", AT_THE_ENGINE)
@pytest.mark.parametrize("ask", [Job.request_cancel, Job.request_kill])
def test_a_stop_is_kept_and_done_after_the_release(engine, runner, code, ask):
    job = wedged(engine, code)
    until_quarantine(runner, job)
    ask(row(job), "alice", "not needed any more")
    asked = len(engine.asked)
    tick_until(runner, lambda: "alice asked for the job to be stopped" in row(job).status_message, "the word of it")
    assert row(job).state == State.RUNNING and len(engine.asked) == asked

    engine.silent.clear()
    release(job)
    tick_until(runner, lambda: row(job).is_finished, "the end")

    ended = {Job.request_cancel: StatusCode.CANCELLED_BY_USER, Job.request_kill: StatusCode.KILLED_BY_ADMIN}[ask]
    wanted = StatusCode.NONZERO_EXIT if code == StatusCode.FINALIZED else ended  # its outcome stands already
    assert row(job).status_code == wanted
    assert engine.statuses() == {} and not Quarantine.objects.exists()


def test_other_jobs_go_on_meanwhile_and_the_worker_stays_taken(engine, runner, settings, tmp_path):
    settings.MAX_WORKERS = 2
    job, other = wedged(engine), make_job(StatusCode.EXECUTING)
    engine.start(spec_for(other))
    commit = make_repository(tmp_path / "study", {"make.sh": "true"})
    request = make_request(repo_url=str(tmp_path / "study"), commit=commit, workspace="other")
    waiting = [make_job(request=request), make_job(request=request)]
    until_quarantine(runner, job)
    assert [row(each).state for each in waiting] == [State.PENDING] * 2

    engine.finish(other.container_name, 3)
    tick_until(runner, lambda: row(waiting[0]).status_code == StatusCode.EXECUTING, "the next job")

    assert row(other).status_code == StatusCode.NONZERO_EXIT
    assert row(waiting[1]).state == State.PENDING
    assert runner._engine.unavailable_since is None


def test_a_release_tries_the_container_again_at_once(engine, runner, monkeypatch):
    job = wedged(engine, StatusCode.FINALIZED)
    until_quarantine(runner, job)
    monkeypatch.setattr(drive, "FIRST_PAUSE_SECONDS", 3600)
    engine.silent.clear()
    release(job)
    tick_until(runner, lambda: row(job).status_code == StatusCode.NONZERO_EXIT, "the end")


def test_what_hangs_after_the_release_as_well_is_in_quarantine_again(engine, runner):
    job = wedged(engine)
    first = until_quarantine(runner, job)
    asked = engine.asked.count(job.container_name)
    release(job)
    tick_until(runner, lambda: Quarantine.objects.exclude(pk=first.pk).exists(), "the next quarantine")
    runner.tick()
    assert SAYS in row(job).status_message
    assert not Quarantine.objects.get().release_requested_at
    assert engine.asked.count(job.container_name) == asked + 1


def test_a_job_that_ran_on_says_so_after_the_release_and_succeeds_or_fails_as_ever(engine, runner):
    """While it ran only its figures were asked for."""
    job = make_job(StatusCode.EXECUTING)
    engine.start(spec_for(job))
    engine.silent.add(job.container_name)
    for _ in range(2):
        runner._sampler.look()
    until_quarantine(runner, job)
    engine.finish(job.container_name, 3)
    runner.tick()
    assert row(job).status_code == StatusCode.EXECUTING

    engine.silent.clear()
    release(job)
    tick_until(runner, lambda: row(job).is_finished, "the end")
    assert (row(job).status_code, row(job).exit_code) == (StatusCode.NONZERO_EXIT, 3)


def test_a_container_that_still_runs_at_the_release_is_followed_again(engine, runner):
    job = make_job(StatusCode.EXECUTING)
    engine.start(spec_for(job))
    engine.silent.add(job.container_name)
    for _ in range(2):
        runner._sampler.look()
    until_quarantine(runner, job)
    assert runner._driver._followers._following == {}

    engine.silent.clear()
    release(job)
    tick_until(runner, lambda: row(job).status_message == CONTAINER_RUNS, "the word that it runs")
    wait_until(lambda: storage.job_log(job).exists() and b"begun" in storage.job_log(job).read_bytes(), what="the log")


def test_a_container_that_vanishes_from_the_list_ends_its_quarantine_and_its_job_runs_again(engine, runner):
    job = wedged(engine)
    until_quarantine(runner, job)
    engine.vanish(job.container_name)
    tick_until(runner, lambda: not Quarantine.objects.exists(), "the end of the quarantine")
    tick_until(runner, lambda: row(job).attempt == 2, "the next attempt")
    assert not AuditEntry.objects.exists()


def test_a_stop_is_done_when_the_container_vanishes(engine, runner):
    job = wedged(engine)
    until_quarantine(runner, job)
    row(job).request_cancel("alice", "not needed any more")
    runner.tick()
    engine.vanish(job.container_name)
    tick_until(runner, lambda: row(job).status_code == StatusCode.CANCELLED_BY_USER, "the end")


def test_a_silent_engine_ends_no_quarantine_and_begins_none(engine, runner):
    job, other = wedged(engine), make_job(StatusCode.EXECUTING)
    engine.start(spec_for(other))
    until_quarantine(runner, job)
    engine.unavailable = "The engine does not answer."
    for _ in range(3):
        runner.tick()
        runner._sampler.look()
    assert Quarantine.objects.get().name == job.container_name
    assert SAYS in row(job).status_message
    assert "The engine does not answer (since" in row(other).status_message


def test_a_quarantine_outlives_the_runner(engine, runner):
    job = wedged(engine)
    before = until_quarantine(runner, job)
    runner.close()
    engine.asked.clear()
    again = Runner(engine)
    for _ in range(5):
        again.tick()
    assert engine.asked == [] and Quarantine.objects.get() == before
    assert row(job).status_code == StatusCode.EXECUTING

    engine.silent.clear()
    release(job)
    tick_until(again, lambda: row(job).is_finished or row(job).exit_code is not None, "the look at its end")
    again.close()


def test_a_release_that_was_asked_for_while_no_runner_was_there_is_done_by_the_next(engine, runner):
    job = wedged(engine, StatusCode.FINALIZED)
    until_quarantine(runner, job)
    runner.close()
    engine.silent.clear()
    release(job)
    again = Runner(engine)
    tick_until(again, lambda: row(job).status_code == StatusCode.NONZERO_EXIT, "the end")
    again.close()


def test_a_container_that_was_removed_while_no_runner_was_there_is_let_go_by_the_next(engine, runner):
    job = wedged(engine)
    until_quarantine(runner, job)
    runner.close()
    engine.vanish(job.container_name)
    again = Runner(engine)
    tick_until(again, lambda: not Quarantine.objects.exists(), "the end of the quarantine")
    again.close()


def test_neither_a_reboot_nor_a_new_attempt_touches_a_container_in_quarantine(engine, runner):
    job = wedged(engine)
    until_quarantine(runner, job)
    make_flag("reboot")
    asked = len(engine.asked)
    for _ in range(3):
        runner.tick()
    assert (row(job).status_code, row(job).requeue_code, len(engine.asked)) == (StatusCode.EXECUTING, "", asked)


def test_the_figures_of_the_other_containers_are_taken_all_the_same(engine, runner):
    job, other = (make_job(StatusCode.EXECUTING) for _ in range(2))
    for each in (job, other):
        engine.start(spec_for(each))
    engine.silent.add(job.container_name)
    for _ in range(4):
        runner._sampler.look()
    assert engine.asked.count(job.container_name) == 1 + 2  # its start, and two looks
    assert set(ResourceSample.objects.values_list("job_id", flat=True)) == {other.pk}


def test_a_turn_costs_the_same_with_many_in_quarantine(engine, runner, monkeypatch):
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 3600)

    def queries(number: int) -> int:
        jobs = [wedged(engine) for _ in range(number)]
        tick_until(runner, lambda: all(SAYS in row(each).status_message for each in jobs), "the quarantines")
        runner.tick()
        with CaptureQueriesContext(connection) as captured:
            runner.tick()
        return len(captured)

    few = queries(1)
    assert queries(7) <= few  # with all workers taken nothing is looked for


def test_every_status_in_which_the_engine_is_asked_is_tried_here():
    asks_nothing = {StatusCode.INITIATED, StatusCode.EXECUTED}
    running = {code for code in ACTIVE_CODES if state_of(code) == State.RUNNING}
    assert running - asks_nothing == set(AT_THE_ENGINE)


def test_the_status_is_that_of_the_list_and_never_an_end(engine, runner):
    job = wedged(engine)
    until_quarantine(runner, job)
    assert engine.statuses()[job.container_name].phase is Phase.EXITED
    assert runner._driver._executor.status(job.container_name).phase is Phase.LOST
