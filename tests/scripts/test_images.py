"""scripts/images.py: the names exist afterwards, whatever was there before, and nothing that was there is replaced."""

import subprocess
import sys
import uuid

import pytest

from tests.engine import sdk, tiny_image
from tests.site import ROOT

pytestmark = pytest.mark.needs_docker


@pytest.fixture
def repository():
    """A repository name of this test's own; its tags are removed afterwards."""
    name = f"jobrunner-test-{uuid.uuid4().hex[:12]}/tool"
    yield name
    with sdk() as client:
        for image in client.images(name):
            for tag in image["RepoTags"]:
                if tag.startswith(name):
                    client.remove_image(tag)


def make_sure_of(*names: str) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "scripts/images.py", *names]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_every_name_gets_an_image_that_runs_a_shell_and_the_tools_of_the_study(repository):
    made = make_sure_of(f"{repository}:v1", f"{repository}:v2")

    assert made.returncode == 0, made.stderr
    with sdk() as client:
        container = client.create_container(
            f"{repository}:v2",
            ["sh", "-c", "for tool in awk sed sort grep; do command -v $tool; done; touch /tmp/x && echo can write"],
            user="12345:12345",
        )
        try:
            client.start(container)
            client.wait(container, timeout=30)
            said = client.logs(container).decode().split("\n")
        finally:
            client.remove_container(container, force=True)
    assert len(said) == 6 and said[4] == "can write"


def test_a_second_call_says_nothing(repository):
    make_sure_of(f"{repository}:v1")

    again = make_sure_of(f"{repository}:v1")

    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_an_image_that_has_the_name_already_stays_what_it_is(repository):
    with sdk() as client:
        container = client.create_container(tiny_image(), ["true"])
        real = client.commit(container, repository, "v1", message="a real image")["Id"]
        client.remove_container(container)

        make_sure_of(f"{repository}:v1", f"{repository}:v2")

        assert client.inspect_image(f"{repository}:v1")["Id"] == real
        assert client.inspect_image(f"{repository}:v2")["Id"] != real
