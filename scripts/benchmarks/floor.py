"""What the same work costs by hand: the bare engine through its SDK, and bare passes over files.

Nothing of the job runner is used here, so a figure of the product always has something honest beside it.
"""

import hashlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import docker

LABEL = "org.jobrunner.bench"
_BLOCK_BYTES = 1024 * 1024


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class BareEngine:
    """The engine by one kept-open connection. Containers bear a label of this run, for `remove_leftovers`."""

    def __init__(self, address: str, run: str, image: str):
        self._address, self._run, self._image = address, run, image
        self._client = self._connect()

    def close(self) -> None:
        self._client.close()

    def job(self, command: list[str]) -> None:
        """One job as the SDK does it: create, start, wait, remove; no network, nothing mounted, no limits."""
        self._job(self._client, command)

    def chain(self, command: list[str], length: int) -> None:
        for _ in range(length):
            self.job(command)

    def jobs_at_a_time(self, command: list[str], count: int, at_a_time: int) -> None:
        """`count` jobs by `at_a_time` threads, each with a connection of its own."""

        def some(number: int) -> None:
            client = self._connect()
            for _ in range(number, count, at_a_time):
                self._job(client, command)
            client.close()

        with ThreadPoolExecutor(at_a_time) as threads:
            list(threads.map(some, range(at_a_time)))

    @contextmanager
    def volume(self) -> Iterator[tuple[docker.APIClient, str]]:
        """A client and a container that is never started, with a new volume at /workspace."""
        name = f"{self._run}-floor"
        self._client.create_volume(name)
        mount = {"Type": "volume", "Source": name, "Target": "/workspace"}
        body = {"Image": self._image, "Cmd": ["true"], "HostConfig": {"Mounts": [mount]}}
        container_id = self._client.create_container_from_config(body)["Id"]
        try:
            yield self._client, container_id
        finally:
            self._client.remove_container(container_id)
            self._client.remove_volume(name)

    def kill_and_remove(self) -> tuple[float, float]:
        """Of a container that sleeps: seconds from the call to its death, and to its removal."""
        container_id = self._create(self._client, ["sleep", "600"])
        self._client.start(container_id)
        started = time.perf_counter()
        self._client.kill(container_id)
        self._client.wait(container_id)
        dead = time.perf_counter() - started
        self._client.remove_container(container_id)
        return dead, time.perf_counter() - started

    def wait(self, name: str) -> None:
        """Until the engine says that a container has ended."""
        self._client.wait(name)

    def list_containers(self, label: str) -> None:
        """The one call that a tick cannot do without."""
        self._client.containers(all=True, filters={"label": [label]})

    def remove_leftovers(self, *labels: str) -> None:
        """Remove every container of this run, and those with one of the labels; a running one is killed."""
        for label in (f"{LABEL}={self._run}", *labels):
            for container in self._client.containers(all=True, filters={"label": [label]}):
                self._client.remove_container(container["Id"], force=True, v=True)

    def _connect(self) -> docker.APIClient:
        return docker.APIClient(base_url=self._address, version="auto", timeout=60)

    def _job(self, client: docker.APIClient, command: list[str]) -> None:
        container_id = self._create(client, command)
        client.start(container_id)
        client.wait(container_id)
        client.remove_container(container_id)

    def _create(self, client: docker.APIClient, command: list[str]) -> str:
        no_network = client.create_host_config(network_mode="none")
        labels = {LABEL: self._run}
        return client.create_container(self._image, command, host_config=no_network, labels=labels)["Id"]


def hash_file(path: Path) -> None:
    """One pass of sha256 over a file."""
    digest, buffer = hashlib.sha256(), bytearray(_BLOCK_BYTES)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            digest.update(view[:size])


def hash_and_rename(folder: Path, target: Path) -> None:
    """Each file of a folder hashed and renamed into another one, which is made."""
    target.mkdir()
    for file in list(folder.iterdir()):
        hash_file(file)
        file.rename(target / file.name)


@contextmanager
def copied(path: Path) -> Iterator[tuple[float, float]]:
    """Seconds of `cp` and of `cp` with fsync of the copy, which is removed afterwards."""
    copy = path.with_name(f"{path.name}.copy")
    try:
        started = time.perf_counter()
        subprocess.run(["cp", path, copy], check=True)
        without_sync = time.perf_counter() - started
        descriptor = os.open(copy, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        yield without_sync, time.perf_counter() - started
    finally:
        copy.unlink(missing_ok=True)
