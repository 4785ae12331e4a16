"""What becomes of a job when somebody else acts on its engine: crash, stop, pause, restart, a planned reboot."""

import contextlib
import time
from pathlib import Path

import docker
import pytest

from jobs import storage
from jobs.models import Flag, Job, StatusChange
from jobs.signs import Signs
from jobs.states import StatusCode
from jobs.system.reboot import SAFE, readiness
from runner.executors.docker import DockerExecutor
from runner.loop import Runner
from tests import engine
from tests.factories import make_flag, make_job, make_request
from tests.git_repositories import make_repository
from tests.private_engine import PrivateEngine, private_engine
from tests.site import wait_until

pytestmark = [pytest.mark.needs_docker, pytest.mark.slow_test, pytest.mark.django_db(transaction=True)]

# It handles SIGTERM: whoever ends its engine makes it end well, with half its outputs.
SCRIPT = """
trap 'exit 0' TERM
mkdir -p output
cat /proc/sys/kernel/random/uuid > output/run.txt
until [ -e go ]; do sleep 0.02; done
echo whole >> output/run.txt
"""


def make_the_job(folder: Path) -> Job:
    commit = make_repository(folder / "study", {"make.sh": SCRIPT})
    name, _, tag = engine.tiny_image().rpartition("/")[2].partition(":")
    return make_job(
        request=make_request(repo_url=str(folder / "study"), commit=commit),
        image=f"{name}:{tag}",
        arguments=["sh", "make.sh"],
        output_spec={"highly_sensitive": {"run": "output/*.txt"}},
    )


def tick_until(runner: Runner, condition, what: str) -> object:
    def turn() -> object:
        runner.tick()
        return condition()

    return wait_until(turn, what=what)


def half_written(attempt: int) -> Path | None:
    """The output of a run that has got half way in this attempt."""
    job = Job.objects.get()
    if (job.status_code, job.attempt) != (StatusCode.EXECUTING, attempt):
        return None
    run = storage.job_workspace(job) / "output" / "run.txt"
    return run if run.exists() and run.read_text() else None


def let_it_finish() -> None:
    with contextlib.suppress(FileNotFoundError):  # an interrupted attempt's folder goes away
        (storage.job_workspace(Job.objects.get()) / "go").touch()


@pytest.fixture(scope="module")
def shared_engine():
    with private_engine() as private:
        yield private


@pytest.mark.parametrize("end", [PrivateEngine.kill, PrivateEngine.terminate], ids=["a crash", "an orderly stop"])
def test_a_job_whose_engine_ends_in_the_middle_succeeds_in_its_next_attempt_with_that_ones_outputs(
    shared_engine, tmp_path, end
):
    make_the_job(tmp_path)
    executor = DockerExecutor("interferes", uid=engine.UID, gid=engine.GID, base_url=shared_engine.address)
    runner = Runner(executor)
    first = tick_until(runner, lambda: half_written(1), "the first attempt").read_text()

    end(shared_engine)
    tick_until(runner, lambda: "engine does not answer" in Job.objects.get().status_message, "the silence")
    shared_engine.start()
    second = tick_until(runner, lambda: half_written(2), "the second attempt").read_text()
    let_it_finish()
    tick_until(runner, lambda: not Job.objects.active().exists(), "the end")
    runner.close()

    job = Job.objects.get()
    assert (job.status_code, job.attempt, job.exit_code) == (StatusCode.SUCCEEDED, 2, 0)
    stored = storage.high_privacy_workspace(job.workspace) / "output" / "run.txt"
    assert stored.read_text() == second + "whole\n" != first + "whole\n"
    interrupted = StatusChange.objects.get(to_code=StatusCode.WAITING_ON_NEW_TASK)
    assert interrupted.message == (
        "Interrupted: the Docker engine, or its host, was restarted while the container ran. "
        "It will be run again (attempt 2 of 3)."
    )
    assert executor.statuses() == {}
    assert list((storage.job_folder(job).parent.parent).iterdir()) == []


def test_a_job_whose_engine_crashes_while_it_starts_the_container_succeeds_with_whole_outputs(shared_engine, tmp_path):
    """Mostly the container can never be started again (fact F3): 12 times of 14."""
    make_the_job(tmp_path)
    executor = DockerExecutor("interferes", uid=engine.UID, gid=engine.GID, base_url=shared_engine.address)
    runner = Runner(executor)
    tick_until(runner, executor.statuses, "the container")

    shared_engine.kill()
    shared_engine.start()

    def has_ended_when_let() -> bool:
        if half_written(Job.objects.get().attempt):
            let_it_finish()
        return not Job.objects.active().exists()

    tick_until(runner, has_ended_when_let, "the end")
    runner.close()

    job = Job.objects.get()
    assert job.status_code == StatusCode.SUCCEEDED
    stored = storage.high_privacy_workspace(job.workspace) / "output" / "run.txt"
    assert stored.read_text().endswith("whole\n")
    assert executor.statuses() == {}


@pytest.fixture
def site(tmp_path):
    """A job that runs on the machine's engine, and what drives it."""
    with engine.docker_executor() as executor:
        job = make_the_job(tmp_path)
        runner = Runner(executor)
        tick_until(runner, lambda: half_written(1), "the job's run")
        yield runner, job.container_name
        runner.close()


def test_a_paused_job_says_how_to_let_it_go_on_and_can_be_cancelled(site):
    runner, name = site
    with engine.sdk() as client:
        client.pause(name)
        tick_until(
            runner, lambda: f"docker unpause {name}" in Job.objects.get().status_message, "the word of the pause"
        )
        client.unpause(name)
        tick_until(runner, lambda: "paused" not in Job.objects.get().status_message, "the word that it runs")
        client.pause(name)

    Job.objects.get().request_cancel(by="alice", reason="it does not go on")
    tick_until(runner, lambda: not Job.objects.active().exists(), "the end")

    assert Job.objects.get().status_code == StatusCode.CANCELLED_BY_USER


def restart(client: docker.APIClient, name: str) -> None:
    client.restart(name, timeout=0)


def stop_and_start(client: docker.APIClient, name: str) -> None:
    client.kill(name, "TERM")
    client.wait(name)
    client.start(name)


@pytest.mark.parametrize("interfere", [restart, stop_and_start])
def test_a_container_that_a_stranger_restarts_is_run_again_and_does_not_keep_the_loop_busy(site, interfere):
    """No turn comes between, so the runner sees only the second run: with the outputs of the first one below it."""
    runner, name = site
    first = half_written(1).read_text()
    with engine.sdk() as client:
        interfere(client, name)
    second = tick_until(runner, lambda: half_written(2), "the second attempt").read_text()

    began, ticks = time.process_time(), 0
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        runner.wake.wait(deadline - time.monotonic())
        ticks += 1
        runner.tick()

    let_it_finish()
    tick_until(runner, lambda: not Job.objects.active().exists(), "the end")
    assert ticks < 10, f"{ticks} turns in a second, {time.process_time() - began:.2f} s of processor time"
    assert_whole_in_the_second_attempt(first, second)


def test_a_restart_that_only_the_engine_remembers_is_found_at_the_end(site):
    """The runner was not there, and sees an end with 0 of a container whose files two runs have written."""
    runner, name = site
    first = half_written(1).read_text()
    with engine.sdk() as client:
        client.restart(name, timeout=0)
        let_it_finish()
        client.wait(name)

    second = tick_until(runner, lambda: half_written(2), "the second attempt").read_text()
    let_it_finish()
    tick_until(runner, lambda: not Job.objects.active().exists(), "the end")

    assert_whole_in_the_second_attempt(first, second)


def assert_whole_in_the_second_attempt(first: str, second: str) -> None:
    job = Job.objects.get()
    assert (job.status_code, job.attempt) == (StatusCode.SUCCEEDED, 2)
    stored = storage.high_privacy_workspace(job.workspace) / "output" / "run.txt"
    assert stored.read_text() == second + "whole\n" != first + "whole\n"
    interrupted = StatusChange.objects.get(to_code=StatusCode.WAITING_ON_NEW_TASK)
    assert "somebody restarted the container from outside" in interrupted.message


def test_a_planned_reboot_ends_no_job_unseen_and_afterwards_each_runs_again(shared_engine, tmp_path):
    """Prepared, found safe, everything killed at once, started again, switched off."""
    make_the_job(tmp_path)
    executor = DockerExecutor("reboots", uid=engine.UID, gid=engine.GID, base_url=shared_engine.address)
    runner = Runner(executor)
    first = tick_until(runner, lambda: half_written(1), "the first attempt").read_text()

    flag = make_flag(Flag.Name.REBOOT, reason="a new kernel")
    tick_until(runner, lambda: readiness({flag.name: flag}, Signs.read()).state == SAFE, "safety")
    assert executor.statuses() == {}
    job = Job.objects.get()
    assert (job.status_code, job.attempt, job.times_requeued) == (StatusCode.WAITING_ON_REBOOT, 2, 1)

    runner.close()
    shared_engine.kill()
    shared_engine.start()
    runner = Runner(executor)
    runner.tick()
    assert Job.objects.get().status_code == StatusCode.WAITING_ON_REBOOT
    make_flag(Flag.Name.REBOOT, value="", reason="it is done")
    second = tick_until(runner, lambda: half_written(2), "the second attempt").read_text()
    let_it_finish()
    tick_until(runner, lambda: not Job.objects.active().exists(), "the end")
    runner.close()

    job = Job.objects.get()
    assert (job.status_code, job.attempt) == (StatusCode.SUCCEEDED, 2)
    output = storage.high_privacy_workspace(job.workspace) / "output" / "run.txt"
    assert output.read_text().startswith(second.strip()) and second != first
    codes = StatusChange.objects.filter(attempt=1).values_list("to_code", flat=True)
    assert StatusCode.EXECUTED not in codes
