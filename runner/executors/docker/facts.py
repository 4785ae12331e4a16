"""What an operator wants to know of the engine besides containers: its own state, images and networks. Only looks."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from docker.errors import APIError, NotFound

from runner.executors.docker.engine import Engine, understanding


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


def has_network(engine: Engine, name: str) -> bool:
    """Raises ExecutorUnavailable."""
    with engine.asked(f"about the network {name}") as client:
        try:
            client.inspect_network(name)
        except NotFound:
            return False
    return True


def sees_folder(engine: Engine, image: str, folder: Path) -> bool:
    """Whether a folder is there where the engine would mount it from. Raises ExecutorUnavailable.

    It says so when a container is made that would have it. That one is never started, and removed at once.
    """
    mounts = [{"Type": "bind", "Source": str(folder), "Target": "/there", "ReadOnly": True}]
    body = {"Image": image, "Cmd": ["none"], "HostConfig": {"Mounts": mounts, "NetworkMode": "none"}}
    with engine.asked("whether it sees the jobs' folders") as client:
        try:
            made = client.create_container_from_config(body)
        except APIError as error:
            if "bind source path does not exist" in str(error):
                return False
            raise
        client.remove_container(made["Id"], force=True)
    return True
