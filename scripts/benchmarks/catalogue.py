"""Which cases there are, in what order and how often, and running the chosen ones."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks import crowds, latency, pages, storing, syncing, turns, volumes
from benchmarks.installation import Installation
from benchmarks.noise import Load, watched_load
from benchmarks.results import Result


@dataclass(frozen=True)
class Case:
    """`measure` gives the result after that many repetitions; `runs` says whether a real `manage.py run` serves it."""

    measure: Callable[[Installation, int], Result]
    repetitions: int
    runs: bool = True


# Memory is last: it looks back on every runner of this run.
CASES: dict[str, Case] = {
    "A": Case(latency.no_op_job, 15),
    "B20": Case(latency.independent_jobs, 3),
    "C10": Case(latency.chain_of_jobs, 3),
    "G": Case(latency.cancelling, 7),
    "D1": Case(storing.large_output, 3),
    "D2": Case(storing.many_outputs, 5),
    "V": Case(volumes.in_and_out, 5, runs=False),
    "E1": Case(turns.with_dependencies, 20, runs=False),
    "E2": Case(turns.with_ready_jobs, 20, runs=False),
    "L": Case(crowds.planning, 3, runs=False),
    "S": Case(syncing.unchanged_cycle, 3, runs=False),
    "S2": Case(syncing.backlog, 1, runs=False),
    "S3": Case(syncing.push, 15, runs=False),
    "P": Case(pages.each_page, 5, runs=False),
    "P2": Case(pages.viewers, 1, runs=False),
    "F": Case(crowds.memory, 1, runs=False),
}


def chosen(names: str) -> list[str]:
    """ "a,G" -> the cases in their own order; all for an empty string. Raises ValueError naming what is unknown."""
    wanted = {name.strip().upper() for name in names.split(",") if name.strip()}
    unknown = wanted - set(CASES)
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    return [name for name in CASES if name in wanted or not wanted]


def measure(names: Sequence[str], repetitions: int | None = None) -> Iterator[tuple[Result, Load]]:
    """Measure case after case. `repetitions` replaces each case's own number. Raises WentWrong."""
    with Installation() as site:
        for name in names:
            case = CASES[name]
            if case.runs and site.start_runner():
                # The first job pays for what is done once, such as the copy of the study's repository.
                latency.run_to_success(site, "result")
            with watched_load() as load:
                result = case.measure(site, repetitions or case.repetitions)
            yield result, load
