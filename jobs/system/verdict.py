"""One sentence above all checks: does this backend work, and if not, why not?"""

from dataclasses import dataclass
from datetime import datetime

from jobs.problems import Problem
from jobs.signs import Signs
from jobs.system.check import BAD, OK, WARN
from jobs.system.reboot import OFF, PLANNED, Readiness

# Problems in spite of which jobs start and end.
JOBS_GO_ON = ("job-server", "plans", "posts", "quarantine", "storage")


@dataclass(frozen=True)
class Verdict:
    """`word` and `text` are read together, then `what` to do; `at` is when it began, or the last poll if it is well."""

    state: str
    word: str
    text: str
    at: datetime | None = None
    what: str = ""


def verdict(
    signs: Signs, problems: list[Problem], warnings: list[Problem], running: int, waiting: int, reboot: Readiness
) -> Verdict:
    if problems:
        first = problems[0]
        word = "Needs attention" if first.kind in JOBS_GO_ON else "Not working"
        return Verdict(BAD, word, first.text, first.since, first.what)
    held = [warning for warning in warnings if warning.kind in ("reboot", "paused")]
    if reboot.state == PLANNED:
        held = [warning for warning in held if warning.kind == "paused"]
    if reboot.state not in (OFF, PLANNED):
        return Verdict(WARN, reboot.word, f"{reboot.text.removesuffix('.')}, {waiting} waiting", held[0].since)
    if held:
        text = f"no new job starts, {_jobs(running)} {'goes' if running == 1 else 'go'} on, {waiting} waiting"
        return Verdict(WARN, "Paused", text, held[0].since)
    text = ", ".join(_used(slots.used, slots.limit, slots.pool) for slots in signs.run.slots) or _jobs(running)
    polled_at = signs.sync.time("last_poll_at") if signs.sync.is_needed else None
    return Verdict(WARN if warnings else OK, "Working", f"{text} busy, {waiting} waiting", polled_at)


def _jobs(number: int) -> str:
    return f"{number} running job{'s' if number != 1 else ''}"


def _used(used: float, limit: int, pool: str) -> str:
    return f"{used:g} of {limit} {pool}"
