"""Volumes of the engine's, filled and read through its archive API: for engines that see no folder of ours.

The API knows only the files of containers. So a volume is opened by a container that is made for it, has the volume
where a job has it, and is never started; it goes away as soon as the files are in or out. Nothing of a volume passes
through our memory or disk but what is asked for, as it comes. Like containers, volumes of other installations are not
ours. Knows tar streams only as bytes: what is in them is `runner.workspaces`' affair.
"""

import base64
import contextlib
import json
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from docker import APIClient
from docker.errors import NotFound

from runner.executors.base import ContainerSpec, ExecutorUnavailable
from runner.executors.docker.creation import create
from runner.executors.docker.engine import Engine, Stream, understanding
from runner.executors.docker.profile import (
    INSTANCE_LABEL,
    JOB_LABEL,
    LABEL,
    WORKSPACE,
    Profile,
    create_body,
)

_ROLE_LABEL = LABEL + "role"
_FILES = "files"
# The engine answers when all has been unpacked, which may lag behind what its buffers have taken.
_PATIENCE = 20
# How Go writes what a file is into the mode of an answer.
_GO_KINDS = {1 << 31: "folder", 1 << 27: "link", 1 << 26: "device", 1 << 25: "fifo", 1 << 24: "socket"}


class VolumeGone(Exception):
    """There is no volume of this name (any more)."""


@dataclass(frozen=True)
class Look:
    """What stands at a path: "file", "folder", "link", "device", "fifo" or "socket"; a link's target, its size."""

    kind: str
    size: int  # bytes
    target: str = ""


def is_for_files(entry: Mapping) -> bool:
    """Whether an entry of the list of containers is one of those that only open volumes."""
    labels = entry.get("Labels")
    return isinstance(labels, Mapping) and labels.get(_ROLE_LABEL) == _FILES


class OpenVolume:
    """A volume that can be written to and read. Paths are relative to the workspace, "" is the workspace itself."""

    def __init__(self, engine: Engine, container_id: str, name: str):
        self._engine, self._id, self._name = engine, container_id, name

    def give_to(self, uid: int, gid: int) -> None:
        """The workspace itself becomes somebody's; a new volume is root's. Raises ExecutorUnavailable.

        It has to be unpacked above: an entry for "." changes nothing (fact F16).
        """
        root = tarfile.TarInfo(WORKSPACE.strip("/"))
        root.type, root.mode, root.uid, root.gid, root.mtime = tarfile.DIRTYPE, 0o755, uid, gid, time.time()
        self._unpack("/", [root.tobuf(tarfile.GNU_FORMAT) + bytes(2 * tarfile.BLOCKSIZE)])

    def put(self, pieces: Iterable[bytes]) -> None:
        """Unpack a tar stream in the workspace. Raises ExecutorUnavailable.

        An exception of the pieces' own breaks it off and comes out as it is.
        """
        self._unpack(WORKSPACE, pieces)

    def _unpack(self, at: str, pieces: Iterable[bytes]) -> None:
        what = f"to take the files of {self._name}"
        watched = _Watched(pieces)
        with self._engine.asked(what) as client:
            try:
                answer = client.put(
                    self._address(client),
                    params={"path": at},
                    data=iter(watched),
                    timeout=(self._engine.timeout_seconds, self._engine.timeout_seconds * _PATIENCE),
                    stream=True,  # the whole would have to be over within one call's time otherwise
                )
            except Exception as error:
                if watched.error is not None:
                    raise watched.error from error
                raise
            with contextlib.closing(answer):
                client._raise_for_status(answer)

    def look(self, path: bytes) -> Look | None:
        """What stands there; None if nothing does. Links on the way are followed: look at each part before the next."""
        what = f"about a file of {self._name}"
        with self._engine.asked(what) as client:
            answer = client.head(self._address(client), params={"path": self._path(path)}, timeout=client.timeout)
            if answer.status_code == 404:
                client.inspect_container(self._id)  # which somebody may have removed: then nothing is known of the file
                return None
            client._raise_for_status(answer)
        with understanding(what):
            told = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
            kinds = [kind for bit, kind in _GO_KINDS.items() if told["mode"] & bit]
            target = str(told["linkTarget"])
            if target and target.encode() != self._path(path):
                kinds = ["link"]  # Docker names a target for links alone, Podman for everything
            return Look(kinds[0] if kinds else "file", int(told["size"]), target)

    def read(self, path: bytes) -> Stream:
        """What stands there with all that is below it, as a tar stream; names begin with the path's last part.

        A link at its end is not followed. Raises ExecutorUnavailable.
        """
        return self._engine.stream(
            f"for files of {self._name}", f"/containers/{self._id}/archive", {"path": self._path(path)}, patient=False
        )

    def _address(self, client: APIClient) -> str:
        return f"{client.base_url}/v{client.api_version}/containers/{self._id}/archive"

    @staticmethod
    def _path(path: bytes) -> bytes:
        return WORKSPACE.encode() + (b"/" + path if path else b"")


class Volumes:
    """The volumes of one installation. All verbs may be repeated, and raise ExecutorUnavailable."""

    def __init__(self, engine: Engine, profile: Profile):
        self._engine, self._profile = engine, profile

    def make(self, name: str, job_id: str) -> None:
        """An empty one. One of that name that has something in it has to be removed first."""
        labels = {INSTANCE_LABEL: self._profile.instance, JOB_LABEL: job_id}
        with self._engine.asked(f"to make the volume {name}") as client:
            client.create_volume(name, driver="local", labels=labels)
            if not self._is_ours(client, name):
                raise ExecutorUnavailable(
                    f"The volume name {name} is taken by a volume that is not this installation's. If nobody needs "
                    f"that one, remove it with: docker volume rm {name}"
                )

    def is_there(self, name: str) -> bool:
        with self._engine.asked(f"about the volume {name}") as client:
            return self._is_ours(client, name)

    def remove_of(self, job_id: str) -> None:
        """All of a job's, and what opens them. Their other containers have to be removed before."""
        for name in self.found(job_id):
            self.remove(name)

    def remove(self, name: str) -> None:
        with self._engine.asked(f"to remove the volume {name}") as client:
            if self._is_ours(client, name):
                self._close(client, name)
                with contextlib.suppress(NotFound):
                    client.remove_volume(name)

    def found(self, job_id: str = "") -> dict[str, tuple[str, datetime]]:
        """Name -> job's identifier and when it was made (aware, UTC), of a job's volumes or of all."""
        labels = [f"{INSTANCE_LABEL}={self._profile.instance}", *([f"{JOB_LABEL}={job_id}"] if job_id else [])]
        what = "to list the volumes"
        with self._engine.asked(what) as client:
            answer = client.volumes(filters={"label": labels})
        with understanding(what):
            return {
                str(volume["Name"]): (
                    str(volume["Labels"].get(JOB_LABEL, "")),
                    datetime.fromisoformat(volume["CreatedAt"]).astimezone(UTC),
                )
                for volume in answer["Volumes"] or []
            }

    @contextlib.contextmanager
    def opened(self, name: str, image: str) -> Iterator[OpenVolume]:
        """A volume as long as the block runs. `image` is any that is on the engine; nothing of it is used.

        Raises VolumeGone, and ImageMissing if there is no such image.
        """
        with self._engine.asked(f"to open the volume {name}") as client:
            if not self._is_ours(client, name):
                raise VolumeGone(f"the volume {name} is gone")
            self._close(client, name)
            container_id = create(client, self._opener(name, image), _opener_name(name))
            if container_id is None:
                raise ExecutorUnavailable(f"The engine is still busy removing container {_opener_name(name)}.")
            if not self.is_still_ours(client, container_id, name):
                raise VolumeGone(f"the volume {name} is gone")
        try:
            yield OpenVolume(self._engine, container_id, name)
        finally:
            # What cannot be removed now is met by the next opening, or goes with the volume.
            with contextlib.suppress(ExecutorUnavailable), self._engine.asked("to close a volume") as client:
                self._close(client, name)

    def keep_owner(self, container_id: str, name: str) -> None:
        """Before a container is started that has the volume: see `Kind.gives_volumes_away`."""
        OpenVolume(self._engine, container_id, name).give_to(self._profile.uid, self._profile.gid)

    def is_still_ours(self, client: APIClient, container_id: str, name: str) -> bool:
        """To be asked once a container was made that has the volume: for a volume that was removed a moment before the
        engine has made a new one, with nothing in it. Then both are removed."""
        if self._is_ours(client, name):
            return True
        client.remove_container(container_id, v=True, force=True)
        with contextlib.suppress(NotFound):
            if not client.inspect_volume(name).get("Labels"):
                client.remove_volume(name)
        return False

    def _opener(self, name: str, image: str) -> dict:
        """As strict as a job's own, although it never runs."""
        spec = ContainerSpec(_opener_name(name), "", 0, image, ("never-started",), Path("/"), workspace_volume=name)
        body = create_body(replace(self._profile, read_only_root=False), spec, Path("/"))
        # The log of what never runs; which drivers there are depends on the engine.
        del body["HostConfig"]["LogConfig"]
        return body | {"Labels": {INSTANCE_LABEL: self._profile.instance, _ROLE_LABEL: _FILES}}

    def _close(self, client: APIClient, name: str) -> None:
        """Remove what has opened it, now or in a life that was cut short."""
        try:
            labels = client.inspect_container(_opener_name(name))["Config"]["Labels"] or {}
        except NotFound:
            return
        if labels.get(INSTANCE_LABEL) == self._profile.instance and labels.get(_ROLE_LABEL) == _FILES:
            with contextlib.suppress(NotFound):
                client.remove_container(_opener_name(name), v=True, force=True)

    def _is_ours(self, client: APIClient, name: str) -> bool:
        try:
            volume = client.inspect_volume(name)
        except NotFound:
            return False
        with understanding(f"about the volume {name}"):
            return (volume.get("Labels") or {}).get(INSTANCE_LABEL) == self._profile.instance


def _opener_name(volume: str) -> str:
    return f"{volume}-files"


class _Watched:
    """Pieces whose own exception is kept: the HTTP client would make trouble of the engine's of it."""

    def __init__(self, pieces: Iterable[bytes]):
        self._pieces = pieces
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._pieces
        except Exception as error:
            self.error = error
            raise
