"""The runner's part of `manage.py doctor`: the engine, its images and networks, its clock, and the runner itself."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from jobs.doctor import BAD, OFF, OK, WARN, Finding
from jobs.signs import Signs
from jobs.text import counted, listed
from runner.executors.base import ExecutorUnavailable
from runner.executors.docker.engine import Engine
from runner.executors.docker.facts import Facts, facts, has_network, sees_folder, tags_of

_MOST_AHEAD_SECONDS = 5.0
_LEAST_VERSION = (20, 10)


def examine_runner() -> Iterator[Finding]:
    run = Signs.read().run
    if run.is_fresh:
        yield Finding("Runner", OK, f"alive, process {run.count('pid')} on {run.sentence('host')}")
    else:
        yield Finding("Runner", WARN, f"it {run.last_heard}", "Start `manage.py run`, its log says why it ended.")


def examine_engine() -> Iterator[Finding]:
    if settings.EXECUTOR != "docker":
        yield Finding("Docker engine", OFF, "EXECUTOR is fake: nothing runs in containers")
        return
    engine = Engine(settings.DOCKER_HOST, settings.DOCKER_TIMEOUT_SECONDS)
    try:
        found = facts(engine)
        yield from _engine(found)
        yield _clock(found)
        tags = tags_of(engine, settings.DOCKER_REGISTRY)
        yield from _images(tags)
        yield from _folders(engine, tags)
        yield _network(engine)
    except ExecutorUnavailable as error:
        what = "See whether `docker info` answers for this user, and DOCKER_HOST."
        yield Finding("Docker engine", BAD, str(error), what)


def _engine(found: Facts) -> Iterator[Finding]:
    version = tuple(int(part) for part in found.version.split(".")[:2] if part.isdigit())
    if version and version < _LEAST_VERSION:
        yield Finding("Docker engine", BAD, f"version {found.version} is too old", "Install Docker 20.10 or later.")
    else:
        yield Finding("Docker engine", OK, f"version {found.version}, its files are in {found.root}")
    is_here = settings.DOCKER_HOST.startswith("unix:")
    if is_here and settings.DOCKER_ROOT_DIR and found.root.rstrip("/") != settings.DOCKER_ROOT_DIR.rstrip("/"):
        what = f"Set DOCKER_ROOT_DIR={found.root}: jobs wait while that disk is full."
        yield Finding("Docker's own files", WARN, f"DOCKER_ROOT_DIR is {settings.DOCKER_ROOT_DIR}", what)
    if not found.is_live_restore:
        what = 'Set "live-restore": true in its daemon.json: then a restart of the engine alone ends no job.'
        yield Finding("Live restore", WARN, "off", what)
    for warning in found.warnings:
        yield Finding(
            "Docker engine", WARN, warning, "Its limits for jobs may not hold here: see Docker's documentation."
        )


def _clock(found: Facts) -> Finding:
    """Of two machines only if the engine is elsewhere; on one it shows that nothing is badly wrong."""
    if abs(found.ahead_seconds) <= _MOST_AHEAD_SECONDS:
        return Finding("Clock", OK, "this machine and the engine agree")
    side = "ahead of" if found.ahead_seconds > 0 else "behind"
    said = f"the engine's is {abs(found.ahead_seconds):.0f} s {side} this machine's"
    return Finding("Clock", BAD, said, "Let both keep time (NTP): who stopped what is told by times.")


def _images(tags: list[str]) -> Iterator[Finding]:
    registry = settings.DOCKER_REGISTRY
    there = {name: [tag for tag in tags if tag.startswith(f"{registry}/{name}:")] for name in settings.ALLOWED_IMAGES}
    found = [tag for tags in there.values() for tag in tags]
    missing = [name for name, tags in there.items() if not tags]
    if not found:
        what = f"Nothing can run: docker pull {registry}/{settings.ALLOWED_IMAGES[0]}:… for what studies use."
        yield Finding("Images", BAD, f"none of {registry} is there", what)
        return
    said = f"{counted(len(found), 'image')} of {registry}"
    if missing:
        what = f"Actions with these end as job_error. Pull what studies use: docker pull {registry}/{missing[0]}:…"
        yield Finding("Images", WARN, f"{said}; none of {listed(missing)}", what)
    else:
        yield Finding("Images", OK, said)


def _folders(engine: Engine, tags: list[str]) -> Iterator[Finding]:
    """A runner in a container has paths of its own, and the engine knows the host's. Needs an image to ask with."""
    if not tags or not settings.DOCKER_HOST.startswith("unix:"):
        return
    name, place = "Jobs' folders", settings.HOST_WORK_DIR
    try:
        with tempfile.TemporaryDirectory(dir=settings.WORK_DIR, prefix=".doctor-") as folder:
            is_seen = sees_folder(engine, tags[0], place / Path(folder).name)
    except OSError:
        return  # what is wrong with the work directory is told where places are examined
    if is_seen:
        yield Finding(name, OK, f"the engine sees them in {place}")
    else:
        what = "Set HOST_WORK_DIR to the path that WORK_DIR has on the engine's host: no job can start."
        yield Finding(name, BAD, f"the engine does not see them in {place}", what)


def _network(engine: Engine) -> Finding:
    name = settings.DATABASE_ACCESS_NETWORK
    if not any(settings.DATABASE_URLS.values()):
        return Finding("Database network", OFF, "no database is given to jobs")
    if has_network(engine, name):
        return Finding("Database network", OK, name)
    return Finding("Database network", BAD, f"there is no Docker network {name}", f"docker network create {name}")
