"""The whole system on Podman: the demo study by real processes, one of which is killed, and what doctor says."""

import os
import signal

import pytest

from jobs.doctor import BAD, OK
from runner import examining
from tests.git_repositories import repository_of
from tests.private_podman import make_images
from tests.site import DEMO_STUDY, Site, wait_until

pytestmark = [pytest.mark.needs_podman, pytest.mark.slow_test]


def test_the_demo_study_runs_to_its_end_on_podman_though_the_runner_is_killed_in_the_middle(podman, tmp_path):
    make_images(podman, "jobrunner-demo/python:v2", "jobrunner-demo/r:v2")
    study = repository_of(DEMO_STUDY, tmp_path / "study")
    with Site(tmp_path, DOCKER_HOST=podman.address, INSTANCE="podman-story") as site:
        site.manage("add_job", str(study), "run_all", "--workspace", "demo")
        first = site.start("run")
        wait_until(lambda: "executing" in site.statuses().values(), what="the first container")
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(10)

        table = site.manage("run", "--until-idle")

        assert set(site.statuses().values()) == {"succeeded"}, table
        assert site.query("SELECT max(attempt) FROM jobs_job") == [(1,)]
        for path in site.manifest(site.high, "demo")["outputs"]:
            assert (site.high / "workspaces" / "demo" / path).is_file()
        with podman.client() as client:
            assert client.containers(all=True) == []


def test_doctor_names_podman_and_finds_its_images_and_networks(podman, settings):
    settings.EXECUTOR, settings.DOCKER_HOST = "docker", podman.address
    settings.DOCKER_REGISTRY, settings.ALLOWED_IMAGES = "jobrunner-demo", ("busybox",)
    settings.DATABASE_URLS, settings.DATABASE_ACCESS_NETWORK = {"default": "x"}, "jobrunner-no-such-network"

    found = {finding.name: finding for finding in examining.examine_engine()}

    assert found["Docker engine"].state == OK and found["Docker engine"].said.startswith("Podman ")
    assert found["Clock"].state == OK and found["Images"].state == OK
    assert found["Database network"].state == BAD
    assert "Live restore" not in found
