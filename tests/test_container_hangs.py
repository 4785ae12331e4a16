"""What becomes of jobs when the real engine does not answer about one of their containers, with everything together."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import asking, storage
from jobs.models import AuditEntry, Job, Quarantine, ResourceSample, Who
from jobs.states import StatusCode
from runner import drive, sampling
from runner.executors.docker import DockerExecutor
from runner.loop import Runner
from tests import engine
from tests.factories import make_job, make_request
from tests.git_repositories import make_repository
from tests.hanging_engine import HangingEngine, hanging_engine
from tests.site import wait_until

pytestmark = [pytest.mark.needs_docker, pytest.mark.slow_test, pytest.mark.django_db(transaction=True)]
SCRIPT = """
mkdir -p output
echo begun
until [ -e go ]; do sleep 0.02; done
echo whole > output/run.txt
"""
TIMEOUT_SECONDS = 1.5


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(sampling, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(drive, "FIRST_PAUSE_SECONDS", 0.1)


@pytest.fixture
def before_the_engine(tmp_path) -> Iterator[HangingEngine]:
    with hanging_engine(tmp_path) as hanging:
        yield hanging


@pytest.fixture
def executor(before_the_engine) -> Iterator[DockerExecutor]:
    """Whatever is left of it is removed behind its back."""
    options = {"base_url": before_the_engine.address, "call_timeout_seconds": TIMEOUT_SECONDS}
    with engine.docker_executor(**options) as executor:
        yield executor


@pytest.fixture
def runner(executor) -> Iterator[Runner]:
    runner = Runner(executor)
    yield runner
    runner.close()


@pytest.fixture
def pair(tmp_path, runner, settings) -> tuple[Job, Job]:
    """Two jobs that run."""
    settings.MAX_WORKERS = 2
    commit = make_repository(tmp_path / "study", {"make.sh": SCRIPT})
    name, _, tag = engine.tiny_image().rpartition("/")[2].partition(":")
    request = make_request(repo_url=str(tmp_path / "study"), commit=commit)
    jobs = tuple(
        make_job(
            request=request,
            action=action,
            image=f"{name}:{tag}",
            arguments=["sh", "make.sh"],
            output_spec={"highly_sensitive": {"run": f"output/*.{extension}"}},
        )
        for action, extension in (("first", "txt"), ("second", "t*t"))
    )
    tick_until(
        runner, lambda: all(log_of(job).exists() and b"begun" in log_of(job).read_bytes() for job in jobs), "both"
    )
    return jobs


def log_of(job: Job) -> Path:
    return storage.job_log(job)


def row(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def tick_until(runner: Runner, condition, what: str) -> object:
    def turn() -> object:
        runner.tick()
        return condition()

    return wait_until(turn, seconds=60, what=what)


def let_finish(job: Job) -> None:
    (storage.job_workspace(job) / "go").touch()


def release(job: Job) -> None:
    (result,) = asking.release_containers([job.container_name], Who("olive", AuditEntry.Via.COMMAND), "it is back")
    assert result.was_done


def in_quarantine(runner: Runner, before_the_engine: HangingEngine, job: Job) -> None:
    before_the_engine.hang(job.container_name)
    tick_until(runner, lambda: Quarantine.objects.filter(job=job), "the quarantine")
    runner.tick()
    assert "Docker has not answered about this job's container since" in row(job).status_message


def test_the_other_job_succeeds_with_its_figures_and_the_first_one_does_after_its_release(
    runner, before_the_engine, pair
):
    job, other = pair
    in_quarantine(runner, before_the_engine, job)
    asked, looked = len(before_the_engine.questions), ResourceSample.objects.filter(job=other).count()
    let_finish(job)
    tick_until(runner, lambda: ResourceSample.objects.filter(job=other).count() > looked, "more figures of the other")
    let_finish(other)
    tick_until(runner, lambda: row(other).is_finished, "the end of the other")
    assert row(other).status_code == StatusCode.SUCCEEDED
    tick_until(runner, lambda: runner._engine.statuses()[job.container_name].phase == "exited", "the end in the list")
    assert row(job).status_code == StatusCode.EXECUTING
    assert len(before_the_engine.questions) == asked

    before_the_engine.let_go()
    release(job)
    tick_until(runner, lambda: row(job).is_finished, "the end")

    assert (row(job).status_code, row(job).exit_code, row(job).attempt) == (StatusCode.SUCCEEDED, 0, 1)
    assert b"begun" in log_of(job).read_bytes()


def test_a_cancel_waits_for_the_release_also_through_a_restart_of_the_runner(runner, executor, before_the_engine, pair):
    job, other = pair
    in_quarantine(runner, before_the_engine, job)
    for each in pair:
        row(each).request_cancel("alice", "not needed any more")
    tick_until(runner, lambda: row(other).status_code == StatusCode.CANCELLED_BY_USER, "the end of the other")
    assert "alice asked for the job to be stopped" in row(job).status_message
    runner.close()

    asked = len(before_the_engine.questions)
    again = Runner(executor)
    for _ in range(3):
        again.tick()
    assert len(before_the_engine.questions) == asked and row(job).status_code == StatusCode.EXECUTING
    before_the_engine.let_go()
    release(job)
    tick_until(again, lambda: row(job).status_code == StatusCode.CANCELLED_BY_USER, "the end")
    again.close()
    assert executor.statuses() == {}


def test_a_container_that_is_removed_by_hand_ends_its_quarantine_and_the_job_runs_again(
    runner, before_the_engine, pair
):
    job, other = pair
    in_quarantine(runner, before_the_engine, job)
    with engine.sdk() as client:
        client.remove_container(job.container_name, force=True)
    tick_until(runner, lambda: not Quarantine.objects.exists(), "the end of the quarantine")
    before_the_engine.let_go()
    tick_until(
        runner, lambda: (row(job).attempt, row(job).status_code) == (2, StatusCode.EXECUTING), "the next attempt"
    )
    for each in (row(job), other):
        let_finish(each)
    tick_until(runner, lambda: not Job.objects.active().exists(), "the end of both")
    assert {each.status_code for each in Job.objects.all()} == {StatusCode.SUCCEEDED}
