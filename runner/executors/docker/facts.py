"""What an operator wants to know of the engine besides containers: its own state, images and networks. Only looks."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from docker.errors import NotFound

from runner.executors.base import ExecutorUnavailable
from runner.executors.docker.creation import create
from runner.executors.docker.engine import Engine, understanding
from runner.executors.docker.profile import WORKSPACE


@dataclass(frozen=True)
class Facts:
    """`ahead_seconds`: by how much the engine's clock is before ours. `warnings` are the engine's own."""

    version: str
    root: str
    is_live_restore: bool
    ahead_seconds: float
    warnings: tuple[str, ...]


def facts(engine: Engine) -> Facts:
    """Raises ExecutorUnavailable."""
    with engine.asked("about itself") as client:
        info, now = client.info(), datetime.now(UTC)
        with understanding("about itself"):
            return Facts(
                version=str(info["ServerVersion"]),
                root=str(info["DockerRootDir"]),
                is_live_restore=bool(info.get("LiveRestoreEnabled")),
                ahead_seconds=(datetime.fromisoformat(info["SystemTime"]) - now).total_seconds(),
                warnings=tuple(str(warning) for warning in info.get("Warnings") or ()),
            )


def tags_of(engine: Engine, registry: str) -> list[str]:
    """Full names with tags of the images of a registry that are there. Raises ExecutorUnavailable."""
    with engine.asked("for its images") as client:
        images = client.images()
        with understanding("for its images"):
            tags = [tag for image in images for tag in image.get("RepoTags") or ()]
    return sorted(tag for tag in tags if tag.startswith(f"{registry}/"))


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
