"""The real engine for tests: images, an executor that leaves nothing behind, and the SDK for a second opinion."""

import contextlib
import functools
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker

from runner.executors.base import ContainerSpec
from runner.executors.docker import DockerExecutor
from runner.executors.docker.facts import kind_of
from runner.executors.docker.profile import INSTANCE_LABEL, Limits, Profile, create_body

ROOT = Path(__file__).resolve().parent.parent
BASE_URL = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
TINY_IMAGE = "jobrunner-demo/busybox:1"
# As the service does it: never root inside a container.
UID = os.getuid() or 10001
GID = os.getgid() or 10001


def demo_images() -> None:
    """Make sure of the images that the demo study asks for."""
    _make_sure_of("jobrunner-demo/python:v2", "jobrunner-demo/r:v2")


def tiny_image() -> str:
    """The name of an image with a busybox in it, which is on the engine."""
    _make_sure_of(TINY_IMAGE)
    return TINY_IMAGE


@functools.cache
def _make_sure_of(*names: str) -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "images.py", *names], check=True)


def make_workspace(folder: Path) -> Path:
    """A job's folder that the job's user may write to."""
    folder.mkdir(parents=True)
    os.chown(folder, UID, GID)
    return folder


@contextlib.contextmanager
def sdk(base_url: str = BASE_URL) -> Iterator[docker.APIClient]:
    client = docker.APIClient(base_url=base_url, version="auto", timeout=30)
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def docker_executor(**options: object) -> Iterator[DockerExecutor]:
    """An executor whose instance label is its own; afterwards none of its containers is left.

    AssertionError if the test itself left one that still runs.
    """
    instance = f"test-{uuid.uuid4().hex[:12]}"
    options = {"uid": UID, "gid": GID, "base_url": BASE_URL} | options
    executor = DockerExecutor(instance, **options)
    try:
        yield executor
    finally:
        left = remove_all(instance, options["base_url"])
        assert not left, f"the test left running containers: {left}"


def remove_all(instance: str, base_url: str = BASE_URL) -> list[str]:
    """Remove an instance's containers; returns the names of those that were running."""
    with sdk(base_url) as client:
        found = client.containers(all=True, filters={"label": [f"{INSTANCE_LABEL}={instance}"]})
        for container in found:
            client.remove_container(container["Id"], force=True, v=True)
        return [container["Names"][0].lstrip("/") for container in found if container["State"] == "running"]


def create_only(instance: str, spec: ContainerSpec, base_url: str = BASE_URL) -> None:
    """What a runner leaves that is killed between creating a container and starting it."""
    with sdk(base_url) as client:
        profile = Profile(instance, UID, GID, Limits(), log_driver=kind_of(client.version()).log_driver)
        body = create_body(profile, spec, spec.workspace_folder)
        client.create_container_from_config(body, spec.name)


def run_ordinary(client: docker.APIClient, script: str) -> str:
    """What a shell script writes in a container as the engine makes it by default (root), but without a network."""
    host_config = client.create_host_config(network_mode="none")
    container = client.create_container(tiny_image(), ["sh", "-c", script], host_config=host_config)
    try:
        client.start(container)
        client.wait(container)
        return client.logs(container).decode()
    finally:
        client.remove_container(container, force=True)
