"""The contract where others act on the same engine, an image is missing, or a secret might be told: fake and real."""

import threading

import pytest

from runner.executors.base import ContainerSpec, ExecutorUnavailable, ImageMissing, Phase
from runner.executors.fake import FakeRun
from tests.executor_rigs import Rig
from tests.site import wait_until


def wait_for_line(rig: Rig, spec: ContainerSpec) -> None:
    wait_until(lambda: list(rig.executor.logs(spec.name)), what="the first line")


def test_the_name_of_another_installations_container_is_refused_and_the_rest_sees_nothing(rig):
    spec = rig.spec()
    rig.occupy(spec)

    with pytest.raises(ExecutorUnavailable, match="not this installation's"):
        rig.executor.start(spec)
    rig.executor.stop(spec.name)
    rig.executor.remove(spec.name)

    assert rig.executor.status(spec.name).phase is Phase.ABSENT
    assert rig.executor.statuses() == {}
    assert list(rig.executor.logs(spec.name)) == []
    assert rig.executor.metadata(spec.name) == {}
    with pytest.raises(ExecutorUnavailable, match="not this installation's"):
        rig.executor.start(spec)


def test_a_missing_image_is_the_jobs_failure_names_the_image_and_leaves_nothing(rig):
    spec = rig.without_image(rig.spec())

    with pytest.raises(ImageMissing, match=r"nowhere\.example/nothing:v1 is not"):
        rig.executor.start(spec)

    assert rig.executor.status(spec.name).phase is Phase.ABSENT


def test_a_container_that_somebody_stops_was_interrupted_even_if_it_then_exits_with_0(rig):
    spec = rig.spec(
        "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done",
        FakeRun(log=b"ready\n", until=threading.Event()),
    )
    rig.executor.start(spec)
    wait_for_line(rig, spec)

    rig.stop_from_outside(spec)

    assert_interrupted(rig, spec)


@pytest.mark.parametrize("exit_code", [0, 3])
def test_a_container_that_somebody_starts_again_was_interrupted_whatever_it_exits_with(rig, exit_code):
    spec = rig.spec(f"echo row >> table; exit {exit_code}", FakeRun(exit_code=exit_code))
    rig.run(spec)

    rig.start_from_outside(spec)

    assert_interrupted(rig, spec)


def test_an_interrupted_container_can_be_removed_and_its_name_is_free(rig):
    """It may still run."""
    spec = rig.spec("[ -e table ] && sleep 60; touch table; exit 5", FakeRun(exit_code=5))
    rig.run(spec)
    rig.start_from_outside(spec)
    assert_interrupted(rig, spec)

    rig.executor.remove(spec.name)

    assert rig.executor.statuses() == {}
    (spec.workspace_folder / "table").unlink(missing_ok=True)
    rig.run(spec)
    assert rig.executor.status(spec.name).exit_code == 5


def assert_interrupted(rig: Rig, spec: ContainerSpec) -> None:
    status = rig.executor.status(spec.name)
    assert (status.phase, status.exit_code) == (Phase.INTERRUPTED, None)
    assert status.reason


def test_the_metadata_of_a_container_tells_its_image_and_no_secret(rig):
    spec = rig.spec(environment={"DATABASE_URL": "mssql://user:hunter2@host/db", "STATA_LICENSE": "hunter2"})
    rig.run(spec)

    metadata = rig.executor.metadata(spec.name)

    assert rig.image in str(metadata)
    assert "hunter2" not in str(metadata)
