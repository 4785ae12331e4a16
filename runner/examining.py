"""The runner's part of `manage.py doctor`: the engine, its images and networks, its clock, and the runner itself."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from jobs.doctor import BAD, OFF, OK, WARN, Finding
from jobs.errors import JobError
from jobs.signs import Signs
from jobs.text import counted, listed
from runner.executors import engine_of_site, on_the_engines_host
from runner.executors.base import ExecutorUnavailable
from runner.executors.docker.engine import Engine
from runner.executors.docker.facts import Facts, facts, has_network, sees_mark, tags_of

_MOST_AHEAD_SECONDS = 5.0
_LEAST_VERSIONS = {"Docker": (20, 10), "Podman": (4, 3)}


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
    engine = engine_of_site()
    try:
        found = facts(engine)
        yield from _engine(found)
        yield _clock(found)
        tags = tags_of(engine, settings.DOCKER_REGISTRY)
        yield from _images(tags)
        yield _workspaces(engine, tags)
        yield _network(engine)
    except ExecutorUnavailable as error:
        what = "See whether `docker info` answers for this user, and DOCKER_HOST."
        yield Finding("Docker engine", BAD, str(error), what)


def _engine(found: Facts) -> Iterator[Finding]:
    is_here = settings.DOCKER_HOST.startswith("unix:")
    version = tuple(int(part) for part in found.version.split(".")[:2] if part.isdigit())
    least, said = _LEAST_VERSIONS[found.name], f"{found.name} {found.version}"
    if version and version < least:
        what = f"Install {found.name} {'.'.join(map(str, least))} or later."
        yield Finding("Docker engine", BAD, f"{said} is too old", what)
    else:
        where = "" if is_here else f" at {settings.DOCKER_HOST}"
        yield Finding("Docker engine", OK, f"{said}{where}, its files are in {found.root}")
    if is_here and settings.DOCKER_ROOT_DIR and found.root.rstrip("/") != settings.DOCKER_ROOT_DIR.rstrip("/"):
        what = f"Set DOCKER_ROOT_DIR={found.root}: jobs wait while that disk is full."
        yield Finding("Docker's own files", WARN, f"DOCKER_ROOT_DIR is {settings.DOCKER_ROOT_DIR}", what)
    if not found.survives_restart:
        what = 'Set "live-restore": true in its daemon.json: then a restart of the engine alone ends no job.'
        yield Finding("Live restore", WARN, "off", what)
    if found.is_rootless:
        what = "Its jobs cannot write to their folders: let the runner use a rootful engine (docs/podman.md)."
        yield Finding("Docker engine", BAD, f"this {found.name} is rootless", what)
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


def _workspaces(engine: Engine, images: list[str]) -> Finding:
    """A folder of ours that the engine looks for in vain, or finds to be another one, costs every job."""
    if settings.WORKSPACE_KIND == "volume":
        return Finding("Workspaces", OK, "volumes of the engine: it needs no folder of this machine")
    if not images:
        return Finding("Workspaces", OFF, "cannot be tried without an image")
    try:
        with tempfile.TemporaryDirectory(dir=settings.WORK_DIR, prefix=".seen-by-the-engine-") as name:
            (Path(name) / "mark").touch()
            is_seen = sees_mark(engine, images[0], on_the_engines_host(Path(name)), "mark")
    except (OSError, JobError) as error:
        return Finding("Workspaces", OFF, f"could not be tried: {error}")
    if is_seen:
        return Finding("Workspaces", OK, f"the engine sees {settings.WORK_DIR} as {settings.HOST_WORK_DIR}")
    what = (
        "Set HOST_WORK_DIR to WORK_DIR's path on the engine's own host; where it has none, WORKSPACE_KIND=volume. See "
        "docs/engines.md."
    )
    return Finding("Workspaces", BAD, f"the engine does not find {settings.WORK_DIR} at {settings.HOST_WORK_DIR}", what)


def _network(engine: Engine) -> Finding:
    name = settings.DATABASE_ACCESS_NETWORK
    if not any(settings.DATABASE_URLS.values()):
        return Finding("Database network", OFF, "no database is given to jobs")
    if has_network(engine, name):
        return Finding("Database network", OK, name)
    return Finding("Database network", BAD, f"there is no Docker network {name}", f"docker network create {name}")
