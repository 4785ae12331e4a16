"""The seam to whatever runs containers: `base` is the contract, `docker` and `fake` are its two sides."""

import hashlib
from pathlib import Path

from django.conf import settings

from runner.executors.base import Executor


def instance() -> str:
    """What this installation's containers are labelled with; work directories on one engine never share it."""
    if settings.INSTANCE:
        return settings.INSTANCE
    return f"{settings.BACKEND}-{hashlib.sha256(str(settings.WORK_DIR).encode()).hexdigest()[:8]}"


def from_settings() -> Executor:
    """The executor that the site has chosen. Connecting comes later: making one never fails."""
    if settings.EXECUTOR == "fake":
        from runner.executors.fake import FakeExecutor

        return FakeExecutor()
    from runner.executors.docker import DockerExecutor, Limits

    return DockerExecutor(
        instance(),
        base_url=settings.DOCKER_HOST,
        uid=settings.JOB_USER_ID,
        gid=settings.JOB_GROUP_ID,
        host_path=on_the_engines_host,
        limits=Limits(pids=settings.JOB_PIDS_LIMIT, fsize_bytes=settings.JOB_MAX_FILE_BYTES),
        call_timeout_seconds=settings.DOCKER_TIMEOUT_SECONDS,
        access=access(),
    )


def engine_of_site():
    """The site's engine, for whoever asks it about something else than containers. Making it never fails."""
    from runner.executors.docker.engine import Engine

    return Engine(settings.DOCKER_HOST, settings.DOCKER_TIMEOUT_SECONDS, access())


def access():
    """What the site has for reaching an engine on another machine."""
    from runner.executors.docker.engine import Access

    return Access(settings.DOCKER_CERT_PATH, settings.SSH_KEY_FILE, settings.SSH_KNOWN_HOSTS_FILE)


def on_the_engines_host(path: Path) -> Path:
    """A path below WORK_DIR as the engine sees it; they differ when the runner itself runs in a container."""
    return settings.HOST_WORK_DIR / path.relative_to(settings.WORK_DIR)
