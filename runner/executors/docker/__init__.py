"""Runs containers on one Docker engine: the contract of `base` by the engine's API, nothing else.

Knows nothing of Jobs, settings or Django. What a container may do is `profile`; how the engine is reached and
what its silence means is `engine`. Every verb first looks whose container it is: another installation's job may
bear the same name, for the names come from job ids.
"""

import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from docker import APIClient
from docker.errors import APIError, NotFound

from jobs.errors import JobError
from jobs.text import listed
from runner.executors.base import ContainerSpec, ExecutorUnavailable, LogStream, Phase, Status, Usage
from runner.executors.docker import daemonless, life, refusals
from runner.executors.docker import logs as docker_logs
from runner.executors.docker import status as docker_status
from runner.executors.docker.creation import create
from runner.executors.docker.engine import Access, Engine, understanding
from runner.executors.docker.events import EventWatcher
from runner.executors.docker.facts import Kind, kind_of
from runner.executors.docker.profile import (
    ATTEMPT_LABEL,
    INSTANCE_LABEL,
    JOB_LABEL,
    Limits,
    Profile,
    covered_places,
    create_body,
    redacted,
)
from runner.executors.docker.refusals import says
from runner.executors.docker.stats import usage_of
from runner.executors.docker.volumes import Volumes, is_for_files

log = logging.getLogger(__name__)

_VOLUME_GONE = "the volume with the job's files has disappeared from the engine"
_WEDGED_REASON = "the Docker engine went down while it started the container and can never start it again"
# A process that waits for a disk that does not answer cannot be killed by anybody (fact F6).
_CANNOT_END = (
    "The Docker engine cannot end container {name} now: {why}. If this stays so, a disk or network folder that the job "
    "uses has most likely stopped answering"
)
_KILLED = 137


class DockerExecutor:
    """See `runner.executors.base.Executor`. Constructing it does not connect and never fails.

    `host_path` turns a path of ours into the path of the same folder on the engine's host.
    """

    def __init__(
        self,
        instance: str,
        *,
        uid: int,
        gid: int,
        base_url: str = "unix:///var/run/docker.sock",
        host_path: Callable[[Path], Path] = lambda path: path,
        limits: Limits | None = None,
        read_only_root: bool = False,
        call_timeout_seconds: float = 15,
        access: Access | None = None,
    ):
        self.instance = instance
        self._profile = Profile(instance, uid, gid, limits or Limits(), read_only_root)
        self._host_path = host_path
        self._timeout_seconds = call_timeout_seconds
        self._engine = Engine(base_url, call_timeout_seconds, access)
        self.volumes = Volumes(self._engine, self._profile)
        # Ids of containers that an event has told dead. The list shows it only when the engine has tidied up:
        # 10 ms later, or 0.35 s where 1 GiB was still to be written to disk (measured). One that somebody starts again
        # stays among them, for it is to be looked at closely.
        self._died: set[str] = set()
        # Name -> why there is no container of that name any more.
        self._given_up: dict[str, str] = {}
        self._half_made = daemonless.HalfMade()
        self._has_complained = False

    # --- starting

    def start(self, spec: ContainerSpec) -> None:
        """A container that can never be started is removed and stays absent: its run needs another name and folder.

        In 3 of 140 cases its command runs on although the engine knows nothing of it (fact F3), in the same folder.
        """
        with self._engine.asked(f"to start {spec.name}") as client:
            if spec.workspace_volume and not self.volumes.is_there(spec.workspace_volume):
                # The engine would make a new one by itself, with nothing in it.
                self._given_up[spec.name] = _VOLUME_GONE
                return
            kind = kind_of(client.told)
            profile = replace(self._profile, log_driver=kind.log_driver)
            body = create_body(profile, spec, self._host_path(spec.workspace_folder))
            container_id = create(client, body, spec.name) or self._adopt(client, spec)
            if container_id is None:
                return
            if spec.workspace_volume and not self.volumes.is_still_ours(client, container_id, spec.workspace_volume):
                self._given_up[spec.name] = _VOLUME_GONE
                return
            self._refuse_covered_workspace(client, container_id, spec)
            if spec.workspace_volume and kind.gives_volumes_away:
                self.volumes.keep_owner(container_id, spec.workspace_volume)
            try:
                client.start(container_id)
            except APIError as error:
                if not says(error, refusals.WEDGED):
                    # It never ran. Made anew by the next try, its start follows its creation again (see `life`).
                    with contextlib.suppress(APIError):
                        client.remove_container(container_id, v=True)
                    refusals.refuse_missing_network(error, spec.network)
                    raise
                log.warning("container %s cannot be started any more and is removed: %s", spec.name, error)
                client.remove_container(container_id, v=True, force=True)
                self._given_up[spec.name] = _WEDGED_REASON

    def _refuse_covered_workspace(self, client: APIClient, container_id: str, spec: ContainerSpec) -> None:
        """What is written to a volume of the image's goes away with the container. Raises JobError."""
        with understanding(f"about {spec.name}"):
            description = self._engine.description(client, container_id, spec.name)
            places = covered_places(description, spec.workspace_volume)
        if places:
            client.remove_container(container_id, v=True, force=True)
            raise JobError(
                f"The image {spec.image} declares a volume at {listed(places)}, where the job's outputs would be lost. "
                "Whoever builds the image has to remove that VOLUME, or move it out of /workspace."
            )

    def _adopt(self, client: APIClient, spec: ContainerSpec) -> str | None:
        """The id of the container of that name if it is still to be started; None if it runs or has ended."""
        try:
            container = self._engine.description(client, spec.name, spec.name)
        except NotFound as error:
            if kind_of(client.told).ends_with_host_only:
                self._half_made.seen(client, spec.name)
            raise ExecutorUnavailable(f"The engine is still busy making or removing container {spec.name}.") from error
        self._half_made.forget(spec.name)
        with understanding(f"about {spec.name}"):
            container_id, status = container["Id"], docker_status.of_inspect(container)
            found, wanted = docker_status.labels_of(container), self._identity(spec)
        if any(found.get(label) != value for label, value in wanted.items()):
            raise ExecutorUnavailable(
                f"The container name {spec.name} is taken by a container that is not this installation's. "
                f"If nobody needs that one, remove it with: docker rm -f {spec.name}"
            )
        if status.phase is Phase.STARTING:
            return container_id
        if status.phase is Phase.LOST:
            raise ExecutorUnavailable(f"Container {spec.name} of an earlier try is still there: {status.reason}")
        return None

    def _identity(self, spec: ContainerSpec) -> dict[str, str]:
        return {INSTANCE_LABEL: self.instance, JOB_LABEL: spec.job_id, ATTEMPT_LABEL: str(spec.attempt)}

    # --- looking

    def statuses(self) -> dict[str, Status]:
        """An entry that cannot be read takes nobody else's with it: its container is asked about alone."""
        what = "to list the containers"
        with self._engine.asked(what) as client:
            entries = client.containers(all=True, filters={"label": [f"{INSTANCE_LABEL}={self.instance}"]})
        with understanding(what):
            readable = [entry for entry in docker_status.entries_of(entries) if not is_for_files(entry)]
        self._died &= {entry["Id"] for entry in readable}
        return {(name := docker_status.name_of(entry)): self._of_list_entry(entry, name) for entry in readable}

    def _of_list_entry(self, entry: Mapping, name: str) -> Status:
        try:
            with understanding("to list the containers"):
                status = docker_status.of_list_entry(entry)
        except ExecutorUnavailable as error:
            return self._closer_look(name, error)
        # `status` waits until the engine has tidied up, and then knows exit code and all.
        return Status(Phase.EXITED) if status.phase is Phase.RUNNING and entry["Id"] in self._died else status

    def _closer_look(self, name: str, why: ExecutorUnavailable) -> Status:
        log.log(logging.DEBUG if self._has_complained else logging.WARNING, "%s (%s: %s)", why, name, why.detail)
        self._has_complained = True
        try:
            return self.status(name)
        except ExecutorUnavailable as error:
            return Status(Phase.LOST, reason=str(error))

    def status(self, name: str) -> Status:
        what = f"how {name} is doing"
        with self._engine.asked(what) as client:
            container, kind = self._find(client, name), kind_of(client.told)
        if container is None:
            return Status(Phase.ABSENT, reason=self._given_up.get(name, ""))
        with understanding(what):
            container_id, status = container["Id"], docker_status.of_inspect(container)
            created_at, has_run_before = docker_status.created_at(container), docker_status.has_run_before(container)
        if status.phase is Phase.EXITED:
            return self._judged(kind, container_id, status, created_at)
        if status.phase is Phase.RUNNING:
            self._died.discard(container_id)
        return replace(status, phase=Phase.INTERRUPTED, reason=life.STARTED_AGAIN) if has_run_before else status

    def _judged(self, kind: Kind, container_id: str, status: Status, created_at: datetime) -> Status:
        judge = daemonless if kind.ends_with_host_only else life
        if why := judge.why_the_end_does_not_count(self._engine, container_id, status, created_at):
            return replace(status, phase=Phase.INTERRUPTED, exit_code=None, reason=why)
        if status.exit_code == _KILLED and not status.out_of_memory:
            return replace(status, out_of_memory=judge.ran_out_of_memory(self._engine, container_id, status))
        return status

    def logs(self, name: str, *, since: str = "", follow: bool = False) -> LogStream:
        what = f"for the log of {name}"
        with self._engine.asked(what) as client:
            container = self._find(client, name)
        if container is None:
            return LogStream((), lambda: None)
        parameters = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": str(int(follow))}
        if since:
            parameters["since"] = docker_logs.engine_since(since)
        stream = self._engine.stream(what, f"/containers/{container['Id']}/logs", parameters, patient=follow)
        error_stamps: list[bytes] = []
        return LogStream(docker_logs.lines(stream, since, error_stamps), stream.close, error_stamps)

    def metadata(self, name: str) -> dict:
        with self._engine.asked(f"about {name}") as client:
            container = self._find(client, name)
        if container is None:
            return {}
        with understanding(f"about {name}"):
            return redacted(container)

    def usage(self, name: str) -> Usage | None:
        """Without the pause that the engine makes for a second reading: `one_shot`, in its API since 1.41."""
        what = f"what {name} uses"
        with self._engine.asked(what) as client:
            container = self._find(client, name)
            with understanding(what):
                runs = container is not None and docker_status.of_inspect(container).phase is Phase.RUNNING
            try:
                answer = client.stats(container["Id"], stream=False, one_shot=True) if runs else None
            except NotFound:
                return None
        with understanding(what):
            return usage_of(answer) if answer else None

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        watcher = EventWatcher(self._engine, self.instance, died=self._died.add, changed=changed)
        watcher.start()
        return watcher.stop

    def describe(self) -> str:
        with self._engine.asked("its version") as client:
            version = client.version()
            with understanding("its version"):
                name = f"{kind_of(client.told).name} {version['Version']}"
                where = "" if self._engine.address.startswith("unix:") else f", {self._engine.address}"
                return f"{name} (API {client.api_version}) on {version['Os']}/{version['Arch']}{where}"

    def _find(self, client: APIClient, name: str) -> Mapping | None:
        """What the engine knows of our container of this name; None if there is none or it is another's."""
        try:
            container = self._engine.description(client, name, name)
        except NotFound:
            return None
        with understanding(f"about {name}"):
            is_ours = docker_status.labels_of(container).get(INSTANCE_LABEL) == self.instance
        return container if is_ours else None

    # --- ending

    def stop(self, name: str) -> None:
        """Takes twice the time of one call at most."""
        with self._engine.asked(f"to stop {name}") as client:
            container = self._find(client, name)
            if container is None:
                return
            try:
                client.kill(container["Id"], "KILL")
                client.wait(container["Id"], timeout=self._timeout_seconds, condition="not-running")
            except NotFound:
                return
            except APIError as error:
                if not refusals.is_not_running(error):
                    raise ExecutorUnavailable(_CANNOT_END.format(name=name, why=error.explanation or error)) from error

    def remove(self, name: str) -> None:
        """Also removes the anonymous volumes that the image declares."""
        with self._engine.asked(f"to remove {name}") as client:
            container = self._find(client, name)
            if container is not None:
                with contextlib.suppress(NotFound):
                    client.remove_container(container["Id"], v=True, force=True)
        self._given_up.pop(name, None)
