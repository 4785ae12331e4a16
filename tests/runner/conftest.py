"""What the tests of the runner share: each test with a `rig` runs against the fake executor and a real engine."""

from collections.abc import Iterator

import pytest

from tests import engine
from tests.executor_rigs import DockerRig, FakeRig, Rig


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.needs_docker)])
def rig(request, tmp_path) -> Iterator[Rig]:
    if request.param == "fake":
        rig = FakeRig(tmp_path)
        yield rig
        rig.close()
    else:
        with engine.docker_executor() as executor:
            rig = DockerRig(tmp_path, executor)
            yield rig
            rig.close()
