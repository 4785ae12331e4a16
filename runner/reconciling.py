"""What is left over on the engine and on the disks without a job that needs it, and what jobs lack.

The loop cleans up after each job; this is for what a lost database, a crash at the worst moment or a hand has left. It
looks only at what bears this installation's label or lies in a place that only the runner writes to, spares what is
younger than GRACE, and everything that a job may still need: of active jobs their current attempt, of jobs that a fault
of ours cut off all, as an operator may have them finalised again. Each removal asks anew whether it may.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from jobs import asking, storage
from jobs.models import Job, Quarantine, Who
from jobs.reasons import cleaned_reason
from jobs.text import listed
from runner.executors.base import Executor, ExecutorUnavailable, Phase, Status
from runner.plan import FETCHED, STAGING
from runner.verifying import workspaces
from runner.workspaces.choice import volumes_on
from runner.workspaces.removal import remove_tree

CONTAINER, VOLUME, FOLDER, STAGED = "container", "volume", "folder", "staged outputs"
GRACE = timedelta(minutes=10)
UNKNOWN_JOB = "no job of this database has this identifier"
_AT_ONCE = 500
_ASKED = ("identifier", "state", "status_code", "attempt", "was_cleared")
_NAME = re.compile(r"jobrunner-([a-z2-7]{16})-([1-9]\d{0,5})")
_IDENTIFIER = re.compile(r"[a-z2-7]{16}")
_ATTEMPT = re.compile(r"[1-9]\d{0,5}")


@dataclass(frozen=True)
class Leftover:
    """`name` is the container's, or the path; `job` and `attempt` are whose it was; `since` its age, if it is known."""

    kind: str
    name: str
    job: str
    attempt: int
    since: datetime | None
    why: str = ""


@dataclass
class Found:
    """`young` is how many are spared for their age. `missing`: sentences about jobs without their container."""

    leftovers: list[Leftover] = field(default_factory=list)
    young: int = 0
    missing: list[str] = field(default_factory=list)


def look(executor: Executor) -> Found:
    """Changes nothing. Raises ExecutorUnavailable: without the engine's answer nothing can be told apart."""
    statuses = executor.statuses()
    found = Found(missing=[*_missing(statuses), *_unknown_and_running(statuses)])
    running = set(_running(statuses))
    for leftover in _without_a_job([*_containers(executor, statuses), *_volumes(executor), *_folders(), *_staged()]):
        container = f"jobrunner-{leftover.job}-{leftover.attempt}"
        if leftover.why == UNKNOWN_JOB and container in running:
            continue
        if leftover.since is not None and timezone.now() - leftover.since < GRACE:
            found.young += 1
        else:
            found.leftovers.append(leftover)
    return found


def _unknown_and_running(statuses: Mapping[str, Status]) -> Iterator[str]:
    """Whose database is this? What runs for a job that it does not know is somebody's work, and is never removed."""
    running = {name: found[1] for name in _running(statuses) if (found := _NAME.fullmatch(name))}
    known = _jobs_called(sorted(set(running.values())))
    for name, job in sorted(running.items()):
        if job not in known:
            yield (
                f"container {name} runs for a job that this database does not know, and is spared: is DATABASE_URL the "
                f"right one? If nobody needs it: docker rm -f {name}"
            )


def _running(statuses: Mapping[str, Status]) -> list[str]:
    return [name for name, status in statuses.items() if status.phase in (Phase.RUNNING, Phase.QUEUED)]


def remove(leftover: Leftover, executor: Executor, who: Who, reason: str) -> str:
    """Remove it, with an audit row, unless a job needs it by now. Returns why not, or nothing. Raises NoReason."""
    reason = cleaned_reason(reason)
    if not list(_without_a_job([leftover])):
        return f"job {leftover.job} needs it now"
    if leftover.kind == CONTAINER:
        try:
            executor.remove(leftover.name)
        except ExecutorUnavailable as error:
            return str(error)
    elif leftover.kind == VOLUME:
        try:
            volumes_on(executor).remove(leftover.name)
        except ExecutorUnavailable as error:
            return str(error)
    elif left := remove_tree(Path(leftover.name)):
        return f"could not remove {listed([str(path) for path in left[:3]])}; remove it by hand"
    asking.note_removal(leftover.kind, leftover.name, leftover.why, who, reason)
    return ""


def _missing(statuses: Mapping[str, Status]) -> Iterator[str]:
    for job in Job.objects.executing().order_by("pk"):
        if job.container_name not in statuses:
            yield (
                f"job {job.identifier} ({job.workspace}: {job.action}) should have a container and has none; the "
                "runner runs it again by itself"
            )


def _containers(executor: Executor, statuses: Mapping[str, Status]) -> Iterator[Leftover]:
    """Those in quarantine are left out: whatever is asked about them hangs."""
    held = set(Quarantine.objects.values_list("name", flat=True))
    for name, status in sorted(statuses.items()):
        if name not in held and (found := _NAME.fullmatch(name)):
            since = status.finished_at or _made_at(executor, name)
            yield Leftover(CONTAINER, name, found[1], int(found[2]), since)


def _made_at(executor: Executor, name: str) -> datetime:
    try:
        return datetime.fromisoformat(executor.metadata(name)["Created"])
    except (ExecutorUnavailable, KeyError, TypeError, ValueError):
        return timezone.now()  # of an age that nobody knows: it is spared


def _volumes(executor: Executor) -> Iterator[Leftover]:
    volumes = volumes_on(executor)
    for name, (_, made_at) in sorted(volumes.found().items() if volumes else ()):
        if found := _NAME.fullmatch(name):
            yield Leftover(VOLUME, name, found[1], int(found[2]), made_at)


def _folders() -> Iterator[Leftover]:
    for of_job in _folders_in(settings.WORK_DIR / "jobs"):
        for folder in _folders_in(of_job) if _IDENTIFIER.fullmatch(of_job.name) else ():
            if _ATTEMPT.fullmatch(folder.name):
                yield Leftover(FOLDER, str(folder), of_job.name, int(folder.name), _touched_at(folder))


def _staged() -> Iterator[Leftover]:
    for workspace in workspaces():
        for of in (storage.high_privacy_workspace, storage.medium_privacy_workspace):
            for folder in _folders_in(of(workspace) / STAGING):
                if found := _NAME.fullmatch(folder.name.removesuffix(FETCHED)):
                    yield Leftover(STAGED, str(folder), found[1], int(found[2]), _touched_at(folder))


def _folders_in(root: Path) -> list[Path]:
    if root.is_symlink() or not root.is_dir():
        return []
    return sorted(folder for folder in root.iterdir() if folder.is_dir() and not folder.is_symlink())


def _touched_at(folder: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(folder.lstat().st_mtime, UTC)
    except OSError:
        return None


def _without_a_job(candidates: Iterable[Leftover]) -> Iterator[Leftover]:
    """Those that no job needs, each with why. A query for every 500 jobs."""
    candidates = list(candidates)
    jobs = _jobs_called(sorted({candidate.job for candidate in candidates}))
    for candidate in candidates:
        job = jobs.get(candidate.job)
        if job is None:
            yield replace(candidate, why=UNKNOWN_JOB)
        elif job.is_active and job.attempt != candidate.attempt:
            yield replace(
                candidate, why=f"of attempt {candidate.attempt} of a job that is now in attempt {job.attempt}"
            )
        elif not (job.is_active or job.is_cut_off):
            yield replace(candidate, why=f"its job has ended ({job.status_code})")


def _jobs_called(identifiers: list[str]) -> dict[str, Job]:
    found: dict[str, Job] = {}
    for start in range(0, len(identifiers), _AT_ONCE):
        jobs = Job.objects.filter(identifier__in=identifiers[start : start + _AT_ONCE])
        found |= {job.identifier: job for job in jobs.only(*_ASKED)}
    return found
