"""What a flag would change at once, in sentences, before somebody switches it. One query."""

from datetime import datetime

from jobs.models import Flag
from jobs.models.queue import active_by_pool


def effects(name: str, turns_on: bool, due: datetime | None = None) -> list[str]:
    """Of switching that flag on or off now; `due` is when a planned reboot begins."""
    only_database = name == Flag.Name.DB_MAINTENANCE
    counts = active_by_pool()
    waiting, running = (sum(_of(counts, state, only_database)) for state in ("pending", "running"))
    kind = "database job" if only_database else "job"
    if due and turns_on:
        return [
            f"Until {due:%Y-%m-%d %H:%M} UTC jobs start as ever, if they will by their past runs be done by then; the "
            "others wait.",
            "What still runs then is stopped, and runs again from the beginning after the reboot.",
            "After the reboot the runner switches this off by itself.",
        ]
    if not turns_on:
        return [
            f"{_jobs(waiting, f'waiting {kind}')} may start, as workers become free."
            if waiting
            else f"No {kind} waits."
        ]
    found = [
        f"{_jobs(waiting, f'waiting {kind}')} will not start until it is switched off."
        if waiting
        else f"No {kind} waits now; those that come will not start until it is switched off.",
    ]
    if running:
        found.append(_of_running(name, running, _jobs(running, f"running {kind}")))
    if only_database:
        found.append("Jobs that need no database are not touched.")
    return [*found, "Requests are planned as before, and their jobs wait."]


def _of_running(name: str, number: int, jobs: str) -> str:
    if name == Flag.Name.PAUSED:
        return f"{jobs} {'goes' if number == 1 else 'go'} on to the end."
    are, they_have, they_are = ("is", "it has", "it is") if number == 1 else ("are", "they have", "they are")
    return (
        f"{jobs} {are} stopped, and what {they_have} done so far is lost: {they_are} run again from the beginning when "
        "it is switched off. A job whose command has ended is still saved."
    )


def _of(counts: dict[tuple[str, bool], int], state: str, only_database: bool) -> list[int]:
    return [
        count for (its, requires_db), count in counts.items() if its == state and (requires_db or not only_database)
    ]


def _jobs(number: int, kind: str) -> str:
    return f"{number} {kind}{'s' if number != 1 else ''}"
