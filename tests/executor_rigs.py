"""The sides of the executor's contract, each with the means to have containers that do something on it.

`occupy`, `stop_from_outside` and `start_from_outside` are what others do to containers on the same engine.
"""

import contextlib
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from runner.executors.base import ContainerSpec, Executor, ExecutorUnavailable, Phase
from runner.executors.docker import DockerExecutor
from runner.executors.fake import FakeExecutor, FakeRun
from tests import engine
from tests.site import wait_until


class Rig:
    """One executor and the means to have containers that do something on it."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._names: list[str] = []

    def spec(self, script: str = "true", fake: FakeRun | None = None, **fields) -> ContainerSpec:
        """The same command for both: `script` for a real container, `fake` for a fake one."""
        name = f"contract-{uuid.uuid4().hex[:12]}"
        self._names.append(name)
        self.runs[name] = fake or FakeRun()
        folder = engine.make_workspace(self._folder / name)
        return ContainerSpec(name, name, 1, self.image, ("sh", "-c", script), folder, **fields)

    def endless(self) -> ContainerSpec:
        """A container that ends when it is released; it says first that it has begun."""
        return self.spec("echo begun; until [ -e go ]; do sleep 0.02; done", FakeRun(log=b"begun\n", until=self.go))

    def release(self, spec: ContainerSpec) -> None:
        (spec.workspace_folder / "go").touch()
        self.go.set()

    def run(self, spec: ContainerSpec) -> None:
        self.executor.start(spec)
        self.wait_for(spec, Phase.EXITED)

    def wait_for(self, spec: ContainerSpec, phase: Phase) -> None:
        wait_until(lambda: self.executor.status(spec.name).phase is phase, what=f"phase {phase}")

    def close(self) -> None:
        """An engine may be busy with a container that is just ending: the loop, too, would ask again."""
        for name in self._names:
            wait_until(lambda name=name: self._is_removed(name), 60, f"the removal of {name}")

    def _is_removed(self, name: str) -> bool:
        with contextlib.suppress(ExecutorUnavailable):
            self.executor.remove(name)
            return True
        return False


class FakeRig(Rig):
    """`guard` is what stands before the executor."""

    image = "anything:1"

    def __init__(self, folder: Path, guard: Callable[[Executor], Executor] = lambda executor: executor):
        super().__init__(folder)
        self.runs: dict[str, FakeRun] = {}
        self.go = threading.Event()
        self.fake = FakeExecutor(lambda spec: self.runs[spec.name])
        self.executor = guard(self.fake)

    def create_only(self, spec: ContainerSpec) -> None:
        self.fake.create(spec)

    def occupy(self, spec: ContainerSpec) -> None:
        self.fake.occupy(spec.name)

    def stop_from_outside(self, spec: ContainerSpec) -> None:
        self.fake.interrupt(spec.name)

    def start_from_outside(self, spec: ContainerSpec) -> None:
        self.fake.interrupt(spec.name)

    def without_image(self, spec: ContainerSpec) -> ContainerSpec:
        self.fake.missing.add("nowhere.example/nothing:v1")
        return replace(spec, image="nowhere.example/nothing:v1")

    def unavailable(self) -> FakeExecutor:
        broken = FakeExecutor()
        broken.unavailable = "The engine does not answer."
        return broken


class DockerRig(Rig):
    """An engine that speaks Docker's API, at `address`."""

    image = engine.TINY_IMAGE

    def __init__(self, folder: Path, executor: DockerExecutor, address: str = engine.BASE_URL):
        super().__init__(folder)
        self.runs = {}
        self.go = threading.Event()
        self.executor = executor
        self._address = address
        self._other = ""

    def create_only(self, spec: ContainerSpec) -> None:
        engine.create_only(self.executor.instance, spec, self._address)

    def occupy(self, spec: ContainerSpec) -> None:
        self._other = f"other-{uuid.uuid4().hex[:12]}"
        engine.create_only(self._other, spec, self._address)

    def stop_from_outside(self, spec: ContainerSpec) -> None:
        """As `docker stop` does it."""
        with engine.sdk(self._address) as client:
            client.stop(spec.name, timeout=10)

    def start_from_outside(self, spec: ContainerSpec) -> None:
        with engine.sdk(self._address) as client:
            client.start(spec.name)

    def without_image(self, spec: ContainerSpec) -> ContainerSpec:
        return replace(spec, image="nowhere.example/nothing:v1")

    def close(self) -> None:
        super().close()
        if self._other:
            engine.remove_all(self._other, self._address)

    def unavailable(self) -> DockerExecutor:
        return DockerExecutor("nobody", uid=1, gid=1, base_url="unix:///nonexistent.sock")


class PodmanRig(DockerRig):
    def stop_from_outside(self, spec: ContainerSpec) -> None:
        """As `podman kill --signal TERM` does it: of `podman stop` Podman tells nobody (docs/podman.md)."""
        with engine.sdk(self._address) as client:
            client.kill(spec.name, "TERM")
            client.wait(spec.name, timeout=10)
