"""What an operator wants to know of the engine besides containers: its own state, images and networks. Only looks."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from docker.errors import NotFound

from runner.executors.base import ExecutorUnavailable
from runner.executors.docker.creation import create
from runner.executors.docker.engine import Engine, understanding
from runner.executors.docker.profile import WORKSPACE

_UNSAID_PLACES = ("docker.io/library/", "docker.io/", "localhost/")


@dataclass(frozen=True)
class Facts:
    """`ahead_seconds`: by how much the engine's clock is before ours. `warnings` are the engine's own.

    `survives_restart`: whether a restart of the engine alone ends no container. `is_rootless`: it is an ordinary
    user's, and a user inside its containers is another one outside.
    """

    name: str
    version: str
    root: str
    survives_restart: bool
    is_rootless: bool
    ahead_seconds: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """What one has to know of an engine to speak with it. `kind_of` is the only place that asks who it is."""

    name: str
    log_driver: str  # bounds a log, and lets it be read
    # Its containers are no daemon's children: they end with the host alone.
    ends_with_host_only: bool
    # The first container that starts with a volume makes the volume's root belong to whom the image's folder belongs.
    gives_volumes_away: bool


DOCKER = Kind("Docker", "local", ends_with_host_only=False, gives_volumes_away=False)
PODMAN = Kind("Podman", "k8s-file", ends_with_host_only=True, gives_volumes_away=True)


def kind_of(told: Mapping) -> Kind:
    """By the answer of GET /version. Raises ExecutorUnavailable."""
    with understanding("its version"):
        parts = [str(part["Name"]) for part in told.get("Components") or ()]
    return PODMAN if any("podman" in part.lower() for part in parts) else DOCKER


def facts(engine: Engine) -> Facts:
    """Raises ExecutorUnavailable."""
    with engine.asked("about itself") as client:
        kind, info, now = kind_of(client.told), client.info(), datetime.now(UTC)
        with understanding("about itself"):
            return Facts(
                name=kind.name,
                version=str(info["ServerVersion"]),
                root=str(info["DockerRootDir"]),
                survives_restart=kind.ends_with_host_only or bool(info.get("LiveRestoreEnabled")),
                is_rootless=bool(info.get("Rootless")) or "name=rootless" in (info.get("SecurityOptions") or ()),
                ahead_seconds=(datetime.fromisoformat(info["SystemTime"]) - now).total_seconds(),
                warnings=tuple(str(warning) for warning in info.get("Warnings") or ()),
            )


def tags_of(engine: Engine, registry: str) -> list[str]:
    """Full names with tags of the images of a registry that are there. Raises ExecutorUnavailable.

    Podman writes out which registry a name without one belongs to: both are the same name.
    """
    with engine.asked("for its images") as client:
        images = client.images()
        with understanding("for its images"):
            tags = [tag for image in images for tag in image.get("RepoTags") or ()]
    short = {tag.removeprefix(next((place for place in _UNSAID_PLACES if tag.startswith(place)), "")) for tag in tags}
    return sorted(tag for tag in {*tags, *short} if tag.startswith(f"{registry}/"))


def sees_mark(engine: Engine, image: str, folder: Path, mark: str) -> bool:
    """Whether the engine's host has a folder at that path with a file of that name. Raises ExecutorUnavailable.

    Asked through a container that has the folder, is never started, and is removed at once.
    """
    mount = {"Type": "bind", "Source": str(folder), "Target": WORKSPACE, "ReadOnly": True}
    body = {"Image": image, "Cmd": ["never-started"], "HostConfig": {"NetworkMode": "none", "Mounts": [mount]}}
    with engine.asked(f"whether it sees {folder}") as client:
        try:
            container_id = create(client, body, f"jobrunner-sees-{uuid.uuid4().hex[:12]}")
        except ExecutorUnavailable:
            return False
        try:
            parameters = {"path": f"{WORKSPACE}/{mark}"}
            address = f"{client.base_url}/v{client.api_version}/containers/{container_id}/archive"
            return client.head(address, params=parameters, timeout=client.timeout).status_code == 200
        finally:
            client.remove_container(container_id, v=True, force=True)


def has_network(engine: Engine, name: str) -> bool:
    """Raises ExecutorUnavailable."""
    with engine.asked(f"about the network {name}") as client:
        try:
            client.inspect_network(name)
        except NotFound:
            return False
    return True
