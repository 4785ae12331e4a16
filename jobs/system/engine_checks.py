"""The checks of the Docker engine: does it answer, and how has it answered in the last hours?"""

from collections.abc import Iterator

from jobs.problems import LONGEST_WITHOUT_ENGINE, Problem
from jobs.said import Quarter
from jobs.signs import Run
from jobs.system.check import BAD, OK, UNKNOWN, WARN, Check
from jobs.text import counted

SLOW_ENGINE_MS = 2000
MOST_UNANSWERED = 20  # one question of so many may stay without an answer


def engine_checks(run: Run, found: dict[str, Problem]) -> Iterator[Check]:
    if not run.is_fresh:
        yield Check("Docker engine", UNKNOWN, "not known while the runner is silent")
        return
    answers, silent = run.answers("engine_answers"), run.engine_silent_since
    last = answers[-1] if answers else None
    state, value = OK, run.sentence("engine") or "not asked yet"
    if "engine" in found:
        state, value = BAD, (last.error if last and last.error else "does not answer")
    elif silent or (last and (last.ms or 0) > SLOW_ENGINE_MS):
        state = WARN
    yield Check(
        "Docker engine", state, value, f"answers within {LONGEST_WITHOUT_ENGINE.seconds} s",
        at=last.at if last else None, since=silent,
        what="See whether `docker info` answers on the runner's machine; running containers go on.",
        answers=answers,
    )  # fmt: skip
    yield from engine_hours(run.engine_hours)
    yield _containers(found.get("quarantine"))


def _containers(problem: Problem | None) -> Check:
    return Check(
        "Containers", BAD if problem else OK, problem.text if problem else "Docker answers about each",
        "none in quarantine", since=problem.since if problem else None,
        what="Release it on this page or by `manage.py release_container`, once `docker inspect` answers about it.",
    )  # fmt: skip


def engine_hours(quarters: list[Quarter]) -> Iterator[Check]:
    if not quarters:
        return
    asked, failed = sum(each.asked for each in quarters), sum(each.failed for each in quarters)
    slowest = max(each.worst_ms for each in quarters)
    is_odd = failed * MOST_UNANSWERED > asked or slowest > SLOW_ENGINE_MS
    yield Check(
        "Docker engine, last hours", WARN if is_odd else OK,
        f"{failed} of {counted(asked, 'question')} without an answer, the slowest took {slowest:.0f} ms",
        f"at most 1 of {MOST_UNANSWERED}, {SLOW_ENGINE_MS} ms",
        what="See what the machine did at the red bars: its log, its load, a restart of the engine.",
        answers=[each.answer for each in quarters],
    )  # fmt: skip
