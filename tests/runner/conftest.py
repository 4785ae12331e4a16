"""What the tests of the runner share: each test with a `rig` runs against real engines and the fake executor, which is
guarded, too."""

from collections.abc import Iterator

import pytest

from runner.executors.guarded import GuardedExecutor
from tests import engine
from tests.executor_rigs import DockerRig, FakeRig, PodmanRig, Rig

SIDES = [
    "fake",
    "guarded",
    pytest.param("docker", marks=pytest.mark.needs_docker),
    pytest.param("podman", marks=pytest.mark.needs_podman),
]


@pytest.fixture(params=SIDES)
def rig(request, tmp_path) -> Iterator[Rig]:
    if request.param in ("docker", "podman"):
        yield from real_rig(request, tmp_path)
    else:
        rig = FakeRig(tmp_path, **{"guard": GuardedExecutor} if request.param == "guarded" else {})
        yield rig
        rig.close()


def real_rig(request, tmp_path) -> Iterator[Rig]:
    if request.param == "docker":
        engine.tiny_image()
        made_of, address = DockerRig, engine.BASE_URL
    else:
        made_of, address = PodmanRig, request.getfixturevalue("podman").address
    with engine.docker_executor(base_url=address) as executor:
        rig = made_of(tmp_path, executor, address)
        yield rig
        rig.close()
