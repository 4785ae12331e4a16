"""Why a job waits: everything that must be so before it starts, in order, each with what is so and what to do.

The runner decides; this tells from the same facts (flags, its sign of life, jobs) what it would find. A fixed number of
queries, however many jobs wait.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from jobs.durations import longest_seconds, typical_seconds
from jobs.models import Flag, Job, line
from jobs.place_in_line import Estimate, estimate, place
from jobs.signs import Signs
from jobs.states import StatusCode
from jobs.text import counted, duration_in_words, size_in_words

MOST_AWAITED, MOST_OCCUPYING, MOST_LOOKED_AT = 30, 8, 200
# As runner.capacity names its pools.
POOLS = {False: "workers", True: "database workers"}


@dataclass(frozen=True)
class Check:
    """`state`: ok, bad (it holds the job), later (asked once the rest is ok), or off (nobody can say).

    `flag` is one that could be switched off.
    """

    state: str
    title: str
    text: str
    jobs: list[Job] = field(default_factory=list)
    more: int = 0
    flag: Flag | None = None

    @property
    def mark(self) -> str:
        return {"ok": "✓", "bad": "✗", "off": "?", "later": "–"}[self.state]


@dataclass(frozen=True)
class Why:
    """`sentence` is the first reason. `position` is None while something other than a worker is missing."""

    checks: list[Check]
    sentence: str
    position: int | None = None
    estimate: Estimate | None = None


def why(job: Job, flags: Mapping[str, Flag], signs: Signs) -> Why:
    """`flags` are those that are on. Ten queries at most."""
    awaited = _awaited(job)
    checks = [*_asked_to_stop(job), awaited, _runner(signs), *_flags(job, flags), _disks(job, signs)]
    workers, position, guess = _workers(job, signs, is_in_line=awaited.state == "ok")
    checks.append(workers)
    bad = [check for check in checks if check.state == "bad"]
    if awaited.state == "bad":
        position = guess = None
    elif any(check is not workers for check in bad):
        guess = Estimate(None, "no estimate: something else holds the job")
    sentence = bad[0].text if bad else "Nothing holds it: the runner starts it in its next turn."
    return Why(checks, sentence, position, guess)


def _asked_to_stop(job: Job) -> Iterator[Check]:
    if job.is_stop_requested:
        reason = f": {job.stop_reason}" if job.stop_reason else ""
        yield Check("bad", "Asked to stop", f"{job.stop_requested_by} has asked to {job.stop_request} it{reason}.")


def _awaited(job: Job) -> Check:
    jobs, states = line.awaited(job, MOST_AWAITED)
    total = sum(states.values())
    if total == states.get("succeeded", 0):
        text = (
            f"All {total} jobs that it needs have succeeded." if total > 1 else "The job that it needs has succeeded."
        )
        return Check("ok", "Needed jobs", text if total else "It needs no other job.", jobs, total - len(jobs))
    done = states.get("succeeded", 0)
    if failed := states.get("failed", 0):
        text = f"{counted(failed, 'job')} that it needs did not succeed, so it will not run."
    else:
        text = f"It starts when the jobs that it needs have succeeded: {done} of {total} have."
    return Check("bad", "Needed jobs", text, jobs, total - len(jobs))


def _runner(signs: Signs) -> Check:
    if not signs.run.is_fresh:
        text = f"The runner {signs.run.last_heard}, so nothing starts: start `manage.py run`."
        return Check("bad", "Runner", text)
    if signs.run.engine_silent_since:
        return Check("bad", "Runner", f"Docker has not answered since {signs.run.engine_silent_since:%H:%M} UTC.")
    return Check("ok", "Runner", "It runs and Docker answers.")


_SWITCHES = (
    (Flag.Name.REBOOT, "Reboot", "No reboot is prepared.", "Prepared for a reboot"),
    (Flag.Name.PAUSED, "Pause", "The backend is not paused.", "Paused"),
    (Flag.Name.DB_MAINTENANCE, "Database", "There is no database maintenance.", "Database maintenance"),
)


def _flags(job: Job, flags: Mapping[str, Flag]) -> Iterator[Check]:
    for name, title, fine, words in _SWITCHES:
        if name == Flag.Name.DB_MAINTENANCE and not job.requires_db:
            continue
        flag = flags.get(name)
        if flag is None:
            yield Check("ok", title, fine)
            continue
        if not flag.has_come:
            yield _before_reboot(job, flag)
            continue
        until = f", until {flag.expires_at:%Y-%m-%d %H:%M} UTC" if flag.expires_at else ""
        since = f"since {flag.set_at:%Y-%m-%d %H:%M} UTC{until}"
        yield Check("bad", title, f"{words} by {flag.set_by} {since}: {flag.reason}", flag=flag)


def _before_reboot(job: Job, flag: Flag) -> Check:
    """As `runner.window` decides."""
    planned = f"Planned for {flag.due_at:%Y-%m-%d %H:%M} UTC by {flag.set_by}: {flag.reason}"
    lasts = longest_seconds({(job.workspace, job.action): job.pk}).get((job.workspace, job.action))
    if lasts is None:
        return Check("ok", "Reboot", f"{planned}. Its action never succeeded before, so it may start.", flag=flag)
    took = f"Its action has lately taken up to {duration_in_words(lasts)}"
    if lasts > (flag.due_at - timezone.now()).total_seconds():
        return Check("bad", "Reboot", f"{planned}. {took}, longer than is left, so it waits.", flag=flag)
    return Check("ok", "Reboot", f"{planned}. {took}, which will be done before.", flag=flag)


def _disks(job: Job, signs: Signs) -> Check:
    if not signs.run.is_fresh:
        return Check("off", "Disks", "Unknown: the runner is silent.")
    full = [disk for disk in signs.run.disks if disk.is_full]
    if full:
        disk = full[0]
        needed = size_in_words(disk.least)
        text = f"Only {size_in_words(disk.free)} is free for {disk.name}; {needed} are needed. Free space there."
        return Check("bad", "Disks", text)
    return Check("ok", "Disks", "There is room on every disk.")


def _workers(job: Job, signs: Signs, *, is_in_line: bool) -> tuple[Check, int, Estimate]:
    pool = POOLS[job.requires_db]
    used, limit = _slots(pool, signs, job.requires_db)
    running = list(line.occupying(job.requires_db)[:MOST_LOOKED_AT])
    used = len(running) if used is None else used
    busy = Counter(each.workspace for each in running)
    position = place(job.workspace, line.ready_by_workspace(job), busy)
    typical = typical_seconds(running) if running else {}
    guess = estimate(
        position, limit, [(each.action, each.started_at, typical.get(each.pk)) for each in running], timezone.now()
    )
    shown, more = running[:MOST_OCCUPYING], max(0, len(running) - MOST_OCCUPYING)
    said = f"{used:g} of {limit} {pool} are busy"
    if limit < 1:
        return Check("bad", "Workers", f"This backend has no {pool}, so it cannot start here."), position, guess
    if not is_in_line:
        said = f"{said}; it gets in line when the jobs that it needs have succeeded."
        return Check("later", "Workers", said, shown, more), position, guess
    if used < limit and _was_passed_over(job, signs):
        said = f"{said}, but what is at the front of the line counts for more than are free, and is waited for"
        guess = Estimate(None, "no estimate: how much the jobs before it count for is not known here")
        return (
            Check("bad", "Workers", f"{said}. It is about number {position:,} in line.", shown, more),
            position,
            guess,
        )
    if used < limit and position <= limit - used:
        return Check("ok", "Workers", f"{said}; one is free for this job.", shown, more), position, guess
    return Check("bad", "Workers", f"{said}. It is about number {position:,} in line.", shown, more), position, guess


def _was_passed_over(job: Job, signs: Signs) -> bool:
    """Whether the runner has said that workers were left free after it had told the job to wait for one."""
    run, is_told = signs.run, job.status_code in (StatusCode.WAITING_ON_WORKERS, StatusCode.WAITING_ON_DB_WORKERS)
    is_held = run.engine_silent_since or run.why_held.get(POOLS[job.requires_db])
    return bool(is_told and not is_held and run.is_fresh and run.at and job.status_changed_at < run.at)


def _slots(pool: str, signs: Signs, requires_db: bool) -> tuple[float | None, int]:
    """What the runner said, or this process's own settings. A used of None: nobody has said."""
    for slots in signs.run.slots if signs.run.is_fresh else ():
        if slots.pool == pool:
            return slots.used, int(slots.limit)
    return None, settings.MAX_DB_WORKERS if requires_db else settings.MAX_WORKERS


def about(wait: timedelta) -> str:
    """ "at once", "in about 5 minutes", "in about 2 hours"."""
    minutes = round(wait.total_seconds() / 60)
    if minutes < 1:
        return "within a minute"
    amount = counted(minutes, "minute") if minutes < 90 else counted(round(minutes / 60), "hour")
    return f"in about {amount}"
