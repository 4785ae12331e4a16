"""What a real engine's end makes of its containers: an engine of the tests' own is killed, stopped and started again.

The first half runs on one engine without live-restore, the second on engines of other kinds.
"""

import signal
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.executors.base import ContainerSpec, ExecutorUnavailable, Phase, Status
from runner.executors.docker import DockerExecutor
from tests import engine
from tests.private_engine import PrivateEngine, private_engine
from tests.site import wait_until

pytestmark = [pytest.mark.needs_docker, pytest.mark.slow_test]

# A study that handles SIGTERM: it ends well, with half of its outputs.
POLITE = "trap 'exit 0' TERM; touch ready; while :; do sleep 0.02; done"
UNTIL_GO = "until [ -e go ]; do sleep 0.02; done; exit 7"
# More than an engine remembers.
MANY_EVENTS = 257
# What happens to the engine, and the exit code that it leaves to a polite container.
ENDS: dict[str, tuple[Callable[[PrivateEngine], None], int]] = {
    "a crash": (PrivateEngine.kill, 0),
    "an orderly stop": (PrivateEngine.terminate, 0),
    "a crash of the host": (PrivateEngine.lose_power, 255),
}


class Rig:
    """An executor on a private engine, and specifications for it."""

    def __init__(self, private: PrivateEngine, folder: Path):
        self.private = private
        instance = f"restarts-{uuid.uuid4().hex[:12]}"
        self.executor = DockerExecutor(instance, uid=engine.UID, gid=engine.GID, base_url=private.address)
        self._folder = folder

    def started(self, script: str) -> ContainerSpec:
        name = f"restarts-{uuid.uuid4().hex[:12]}"
        folder = engine.make_workspace(self._folder / name)
        spec = ContainerSpec(name, name, 1, engine.TINY_IMAGE, ("sh", "-c", script), folder)
        self.executor.start(spec)
        return spec

    def started_polite(self) -> ContainerSpec:
        spec = self.started(POLITE)
        wait_until((spec.workspace_folder / "ready").exists, what="the trap")
        return spec

    def exit_code_of(self, spec: ContainerSpec) -> int:
        """What the container's own state says, whatever the executor makes of it."""
        with self.private.client() as client:
            return client.inspect_container(spec.name)["State"]["ExitCode"]

    def ended(self, spec: ContainerSpec) -> Status:
        """The container's status once it does not run any more."""
        wait_until(lambda: self.executor.statuses()[spec.name].phase is not Phase.RUNNING, what="the end")
        return self.executor.status(spec.name)

    def make_many_events(self) -> None:
        with self.private.client() as client:
            for _ in range(MANY_EVENTS):
                client.tag(engine.TINY_IMAGE, "jobrunner-test/many", "events")

    def restart_after(self, end: Callable[[PrivateEngine], None]) -> None:
        end(self.private)
        self.private.start()


@pytest.fixture(scope="module")
def shared_engine():
    with private_engine() as private:
        yield private


@pytest.fixture
def rig(shared_engine, tmp_path):
    rig = Rig(shared_engine, tmp_path)
    yield rig
    for name in rig.executor.statuses():
        rig.executor.remove(name)


@pytest.mark.parametrize(("end", "exit_code"), ENDS.values(), ids=ENDS)
def test_a_container_whose_engine_ended_was_interrupted_whatever_its_exit_code_says(rig, end, exit_code):
    polite, plain = rig.started_polite(), rig.started("sleep 1000")

    rig.restart_after(end)

    assert rig.exit_code_of(polite) == exit_code
    for spec in (polite, plain):
        status = rig.ended(spec)
        assert (status.phase, status.exit_code) == (Phase.INTERRUPTED, None)
        assert "engine, or its host, was restarted while the container ran" in status.reason
    after = rig.started("exit 143")
    assert (rig.ended(after).phase, rig.ended(after).exit_code) == (Phase.EXITED, 143)


def test_a_container_that_ended_unseen_before_its_engine_did_is_run_again_too(rig):
    """Nobody can tell its end from one that the engine's own end made."""
    spec = rig.started("exit 0")
    wait_until(lambda: rig.executor.statuses()[spec.name].phase is Phase.EXITED, what="the end")

    rig.restart_after(PrivateEngine.kill)

    assert rig.ended(spec).phase is Phase.INTERRUPTED


@pytest.mark.parametrize("exit_code", [0, 137, 143, 255])
def test_the_exit_codes_of_a_dying_engine_count_when_a_study_ends_with_them_by_itself(rig, exit_code):
    status = rig.ended(rig.started(f"exit {exit_code}"))

    assert (status.phase, status.exit_code) == (Phase.EXITED, exit_code)


def test_a_killed_container_has_ended_by_its_exit_code_when_the_engine_lives(rig):
    spec = rig.started("sleep 1000")
    with rig.private.client() as client:
        client.kill(spec.name)

    assert (rig.ended(spec).phase, rig.ended(spec).exit_code) == (Phase.EXITED, 137)


def test_an_engine_that_is_going_down_says_nothing_about_the_end_of_a_container(rig):
    """It still answers on the connections that it has, while it ends its containers one by one."""
    polite, stubborn = rig.started_polite(), rig.started("trap '' TERM; until [ -e go ]; do sleep 0.02; done")
    rig.executor.statuses()
    rig.private.send(signal.SIGTERM)
    wait_until(lambda: rig.executor.statuses()[polite.name].phase is Phase.EXITED, what="the told end")

    with pytest.raises(ExecutorUnavailable, match="is it running"):
        rig.executor.status(polite.name)

    (stubborn.workspace_folder / "go").touch()
    rig.private.wait_until_down()
    rig.private.start()
    assert rig.ended(polite).phase is Phase.INTERRUPTED


def test_a_long_run_counts_though_the_engine_has_forgotten_its_start(rig):
    by_itself, killed = rig.started(UNTIL_GO), rig.started("sleep 1000")
    rig.make_many_events()

    (by_itself.workspace_folder / "go").touch()
    rig.ended(by_itself)
    with rig.private.client() as client:
        client.kill(killed.name)

    assert (rig.ended(by_itself).phase, rig.ended(by_itself).exit_code) == (Phase.EXITED, 7)
    assert (rig.ended(killed).phase, rig.ended(killed).exit_code) == (Phase.EXITED, 137)


def test_an_engine_that_has_forgotten_much_since_its_restart_is_known_by_its_networks(tmp_path):
    with private_engine("--iptables=false", bridge=True) as private:
        rig = Rig(private, tmp_path)
        interrupted = rig.started_polite()
        rig.restart_after(PrivateEngine.kill)
        killed = rig.started("sleep 1000")
        rig.make_many_events()
        with private.client() as client:
            client.kill(killed.name)

        assert rig.ended(interrupted).phase is Phase.INTERRUPTED
        assert (rig.ended(killed).phase, rig.ended(killed).exit_code) == (Phase.EXITED, 137)


def test_with_live_restore_a_run_that_outlives_its_engine_counts_and_one_that_went_with_the_host_does_not(tmp_path):
    with private_engine("--live-restore") as private:
        rig = Rig(private, tmp_path)
        spec, lost = rig.started(UNTIL_GO), rig.started("sleep 1000")
        rig.restart_after(PrivateEngine.terminate)
        assert rig.executor.statuses()[spec.name].phase is Phase.RUNNING
        rig.restart_after(PrivateEngine.kill)

        (spec.workspace_folder / "go").touch()
        assert (rig.ended(spec).phase, rig.ended(spec).exit_code) == (Phase.EXITED, 7)
        rig.restart_after(PrivateEngine.lose_power)
        assert rig.ended(lost).phase is Phase.INTERRUPTED
