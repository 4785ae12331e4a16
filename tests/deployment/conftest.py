"""The image of production, built once for all tests of it, as on a machine that no registry answers."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site import ROOT

# Of this run alone: two checkouts may be tested on one engine.
IMAGE = f"jobrunner-test:prod-{os.getpid()}"
# Stands in what the build is given of this machine, and must stand nowhere in the image.
MARK = "only-this-machine-knows.invalid"


@pytest.fixture(scope="session")
def built() -> Iterator[str]:
    """What `make docker-build` has said; afterwards IMAGE is there."""
    if os.getuid() != 0 or not shutil.which("docker"):
        report = pytest.fail if os.environ.get("CI") else pytest.skip
        report("building the image without a registry needs root and the docker command")
    environment = os.environ | {"ENV": "prod", "JOB_RUNNER_IMAGE": IMAGE, "PIP_TRUSTED_HOST": MARK}
    done = subprocess.run(
        ["scripts/docker/build.sh"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield done.stdout
    subprocess.run(["docker", "image", "rm", IMAGE], capture_output=True)


def in_image(*command: str, user: str = "", stdin: str = "") -> str:
    """What a command in the image prints; without a network."""
    words = ["docker", "run", "--rm", "-i", "--network", "none", *(["--user", user] if user else [])]
    return subprocess.run(
        [*words, "--entrypoint", command[0], IMAGE, *command[1:]],
        input=stdin, capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip


@pytest.fixture
def dotenv(tmp_path) -> Path:
    return tmp_path / "settings.env"
