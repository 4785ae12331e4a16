"""What the tests of the runner share: each test with a `rig` runs against a real engine and the fake executor, which is
guarded, too."""

from collections.abc import Iterator

import pytest

from runner.executors.guarded import GuardedExecutor
from tests import engine
from tests.executor_rigs import DockerRig, FakeRig, Rig


@pytest.fixture(params=["fake", "guarded", pytest.param("docker", marks=pytest.mark.needs_docker)])
def rig(request, tmp_path) -> Iterator[Rig]:
    if request.param != "docker":
        rig = FakeRig(tmp_path, **{"guard": GuardedExecutor} if request.param == "guarded" else {})
        yield rig
        rig.close()
    else:
        with engine.docker_executor() as executor:
            rig = DockerRig(tmp_path, executor)
            yield rig
            rig.close()
