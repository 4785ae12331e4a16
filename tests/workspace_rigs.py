"""The two kinds of workspace, each with the means to run a command in it on a real engine, and to see what is there."""

import contextlib
import io
import tarfile
from collections.abc import Iterator

import docker
from django.conf import settings

from jobs import storage
from jobs.models import Job, JobOutput
from runner import outputs
from runner.containers import spec_for
from runner.executors.base import Phase
from runner.executors.docker import DockerExecutor
from runner.workspaces import Workspaces, folder
from runner.workspaces.volume import VolumeWorkspaces
from tests import engine
from tests.job_folders import CODE, tar
from tests.publication import never
from tests.site import wait_until


class WorkspaceRig:
    """A kind of workspace on the engine at `address`; `close` leaves nothing of it there."""

    def __init__(self, executor: DockerExecutor, workspaces: Workspaces, address: str = engine.BASE_URL):
        self.executor, self.workspaces, self.address = executor, workspaces, address
        self._jobs: dict[int, Job] = {}

    def prepare(self, job: Job, *members, wanted=None, should_stop=never) -> list[str]:
        self._jobs[job.pk] = job
        rows = JobOutput.objects.none() if wanted is None else wanted
        return self.workspaces.prepare(job, tar(*(members or CODE)), rows, should_stop=should_stop)

    def run(self, job: Job, script: str) -> str:
        """Run a shell script as the job's command; returns what it said."""
        job.arguments = ["sh", "-c", script]
        self.executor.start(spec_for(job, self.workspaces.volume_of(job)))
        wait_until(
            lambda: self.executor.status(job.container_name).phase is Phase.EXITED, 60, f"the end of {script[:60]!r}"
        )
        said = b"".join(self.executor.logs(job.container_name))
        return "".join(line.partition(b" ")[2].decode(errors="replace") for line in said.splitlines(keepends=True))

    def collect(self, job: Job, should_stop=never) -> tuple[outputs.Matched, outputs.Plan | None]:
        return outputs.collect(job, self.workspaces, should_stop=should_stop)

    def found(self, job: Job) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
        """What is in the workspace, by the engine's archive of a container that has it, with the files' content."""
        with contextlib.closing(docker.APIClient(base_url=self.address, version="auto", timeout=30)) as client:
            client.create_container_from_config(self._looker(job), f"{job.container_name}-look")
            try:
                stream, _ = client.get_archive(f"{job.container_name}-look", "/workspace")
                whole = io.BytesIO(b"".join(stream))
            finally:
                client.remove_container(f"{job.container_name}-look", force=True)
        found = {}
        with tarfile.open(fileobj=whole, encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                content = archive.extractfile(member).read() if member.isreg() else b""
                found[member.name.removeprefix("workspace").lstrip("/")] = (member, content)
        return found

    def files(self, job: Job) -> dict[str, bytes]:
        return {path: content for path, (member, content) in self.found(job).items() if member.isreg()}

    def _looker(self, job: Job) -> dict:
        volume = self.workspaces.volume_of(job)
        mount = (
            {"Type": "volume", "Source": volume, "VolumeOptions": {"NoCopy": True}}
            if volume
            else {"Type": "bind", "Source": str(storage.job_workspace(job))}
        )
        return {
            "Image": f"{settings.DOCKER_REGISTRY}/{job.image}",
            "Cmd": ["true"],
            "HostConfig": {"NetworkMode": "none", "Mounts": [mount | {"Target": "/workspace"}]},
        }

    def close(self) -> None:
        for job in self._jobs.values():
            self.executor.remove(job.container_name)
            self.workspaces.remove(job)


@contextlib.contextmanager
def workspace_rig(kind: str, address: str = engine.BASE_URL) -> Iterator[WorkspaceRig]:
    """On the machine's engine, or another that has the demo's images."""
    engine.demo_images()
    with engine.docker_executor(base_url=address) as executor:
        workspaces = VolumeWorkspaces(executor.volumes) if kind == "volume" else folder
        rig = WorkspaceRig(executor, workspaces, address)
        try:
            yield rig
        finally:
            rig.close()
