"""Which waiting jobs may start now, in what order, and what the others are told.

Pure decisions: numbers and names in, primary keys out; no database, no engine. There are two pools that do not borrow
from each other: workers for ordinary jobs and database workers for jobs that read the patients' database. Inside a pool
the order is fair: first the workspace with the least running, then age.
"""

import configparser
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.models import Flag
from jobs.states import StatusCode

ORDINARY, DATABASE = "workers", "database workers"


@dataclass(frozen=True)
class Candidate:
    """A job that is ready or running, as far as capacity cares. `pk` is also its age: smaller is older."""

    pk: int
    workspace: str
    action: str
    run_command: str
    requires_db: bool

    @property
    def pool(self) -> str:
        return pool_of(self.requires_db)


@dataclass(frozen=True)
class Hold:
    """Why no job of a pool may start, whatever is free, or why those that run are stopped and wait with the others."""

    code: StatusCode
    message: str


class BadWeights(Exception):
    """The file of weights cannot be used; the message names it and what is wrong."""


class Weights:
    """How many workers a job counts for; by default one.

    Read from an INI file: a section for each workspace (`*` for all), in it lines `pattern = weight`, where the pattern
    is a regular expression that is looked for in "<action> <run command>". The first match of the workspace's own
    section counts, then the first of `*`.
    """

    def __init__(self, rules: Mapping[str, list[tuple[re.Pattern, float]]] | None = None):
        self._rules = rules or {}

    @classmethod
    def from_file(cls, path: Path) -> "Weights":
        """Raises BadWeights naming file and line's content for what is not a pattern or not a positive number."""
        parser = configparser.RawConfigParser(delimiters=("=",), strict=True, interpolation=None)
        parser.optionxform = str
        try:
            parser.read_string(path.read_text(encoding="utf-8"))
            if parser.defaults():
                raise ValueError("there is no section DEFAULT: [*] is for all workspaces")
            return cls({name: [_rule(*line) for line in parser.items(name)] for name in parser.sections()})
        except (OSError, configparser.Error, re.error, ValueError) as error:
            raise BadWeights(f"JOB_RESOURCE_WEIGHTS_FILE {path} cannot be used: {error}") from error

    def of(self, job: Candidate) -> float:
        text = f"{job.action} {job.run_command}"
        for section in (job.workspace, "*"):
            for pattern, weight in self._rules.get(section, ()):
                if pattern.search(text):
                    return weight
        return 1.0


def _rule(pattern: str, weight: str) -> tuple[re.Pattern, float]:
    try:
        number = float(weight)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise ValueError(f"the weight of {pattern!r} must be a number greater than 0, not {weight!r}")
    return re.compile(pattern), number


class Capacity:
    """How much of each pool is taken, and by which workspaces. Made anew for every tick."""

    def __init__(self, limits: Mapping[str, int], weights: Weights, running: Iterable[Candidate]):
        self.limits, self._weights = limits, weights
        self._used: dict[str, float] = defaultdict(float)
        self._busy: dict[tuple[str, str], float] = defaultdict(float)
        for job in running:
            self._take(job)

    def is_free(self, pool: str) -> bool:
        """Whether any job at all could start in the pool."""
        return self._used[pool] < self.limits[pool]

    def slots(self) -> dict[str, dict[str, float]]:
        """Pool -> how much of it is used, by weight, and how much there is."""
        return {pool: {"used": round(self._used[pool], 2), "limit": limit} for pool, limit in self.limits.items()}

    def choose(self, ready: Iterable[Candidate]) -> list[int]:
        """Primary keys of the jobs of one pool to start now, in order; they count as running from here on.

        Strictly in order: a heavy job at the front is waited for, or light ones would starve it for ever. A job heavier
        than its whole pool starts when the pool is empty.
        """
        queues: dict[str, list[Candidate]] = defaultdict(list)
        for job in sorted(ready, key=lambda job: job.pk, reverse=True):
            queues[job.workspace].append(job)
        chosen = []
        while queues:
            job = min((queue[-1] for queue in queues.values()), key=self._turn)
            if not self._fits(job):
                break
            self._take(job)
            chosen.append(job.pk)
            queues[job.workspace].pop()
            if not queues[job.workspace]:
                del queues[job.workspace]
        return chosen

    def waiting(self, pool: str) -> Hold:
        """What a ready job of the pool is told that was not chosen."""
        limit = self.limits[pool]
        code = StatusCode.WAITING_ON_DB_WORKERS if pool == DATABASE else StatusCode.WAITING_ON_WORKERS
        if limit == 0:
            return Hold(code, f"This backend has no {pool}, so this job cannot start here.")
        if self.is_free(pool):
            return Hold(
                code, f"Waiting: the job at the front of the queue needs more of the {limit} {pool} than are free."
            )
        return Hold(code, f"Waiting: all {limit} {pool} are busy.")

    def _turn(self, job: Candidate) -> tuple[float, int]:
        return self._busy[job.pool, job.workspace], job.pk

    def _weight(self, job: Candidate) -> float:
        return min(self._weights.of(job), self.limits[job.pool]) or 1.0

    def _fits(self, job: Candidate) -> bool:
        # A tenth of a thousandth forgives what ten weights of 0.1 do not add up to.
        return self._used[job.pool] + self._weight(job) <= self.limits[job.pool] + 1e-4

    def _take(self, job: Candidate) -> None:
        weight = self._weight(job)
        self._used[job.pool] += weight
        self._busy[job.pool, job.workspace] += weight


def holds(flags: Mapping[str, Flag], no_room: str = "") -> dict[str, Hold]:
    """Pool -> why it is held back: operators have closed it by a flag, or `no_room` says that disks are full."""
    reboot, paused = reboot_of(flags), flags.get(Flag.Name.PAUSED)
    maintenance = flags.get(Flag.Name.DB_MAINTENANCE)
    held = {}
    if no_room:
        held = {
            ORDINARY: Hold(StatusCode.WAITING_ON_WORKERS, no_room),
            DATABASE: Hold(StatusCode.WAITING_ON_DB_WORKERS, no_room),
        }
    if maintenance and maintenance.value:
        held[DATABASE] = Hold(
            StatusCode.WAITING_DB_MAINTENANCE,
            f"Waiting for the end of database maintenance ({_who_and_why(maintenance)}).",
        )
    if paused and paused.value:
        hold = Hold(StatusCode.PAUSED, f"The backend is paused ({_who_and_why(paused)}).")
        held = {ORDINARY: hold, DATABASE: hold}
    if reboot:
        hold = Hold(StatusCode.WAITING_ON_REBOOT, f"Waiting for a reboot ({_who_and_why(reboot)}).")
        held = {ORDINARY: hold, DATABASE: hold}
    return held


def takes_back(flags: Mapping[str, Flag]) -> dict[str, Hold]:
    """Pool -> why its running jobs are stopped now and wait for another attempt."""
    reboot, maintenance = reboot_of(flags), flags.get(Flag.Name.DB_MAINTENANCE)
    taken = {}
    if maintenance and maintenance.value:
        said = f"Stopped for database maintenance ({_who_and_why(maintenance)})."
        taken[DATABASE] = Hold(StatusCode.WAITING_DB_MAINTENANCE, said)
    if reboot:
        hold = Hold(StatusCode.WAITING_ON_REBOOT, f"Stopped for a reboot ({_who_and_why(reboot)}).")
        taken = {ORDINARY: hold, DATABASE: hold}
    return taken


def reboot_of(flags: Mapping[str, Flag]) -> Flag | None:
    """The switch, if it is on and the time has come."""
    flag = flags.get(Flag.Name.REBOOT)
    return flag if flag and flag.value and flag.has_come else None


def planned_reboot_of(flags: Mapping[str, Flag]) -> Flag | None:
    """The switch, if it is on for a time to come."""
    flag = flags.get(Flag.Name.REBOOT)
    return flag if flag and flag.value and not flag.has_come else None


def until_planned_reboot(flag: Flag) -> Hold:
    """What a job is told whose action has lasted longer than is left."""
    return Hold(
        StatusCode.WAITING_ON_REBOOT,
        f"Waiting for the reboot that is planned for {flag.due_at:%Y-%m-%d %H:%M} UTC: its action has lately taken "
        f"longer than is left ({_who_and_why(flag)}).",
    )


def pool_of(requires_db: bool) -> str:
    return DATABASE if requires_db else ORDINARY


def _who_and_why(flag: Flag) -> str:
    return f"{flag.set_by}, {flag.set_at:%Y-%m-%d %H:%M} UTC: {flag.reason}"
