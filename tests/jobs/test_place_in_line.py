"""Where a waiting job stands, held against what the runner really chooses, and when it may start."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from jobs.models.line import Ready
from jobs.place_in_line import LONGEST_TOLD, MOST_SIMULATED, estimate, place
from runner.capacity import DATABASE, ORDINARY, Candidate, Capacity, Weights

NOW = datetime(2026, 11, 26, 8, tzinfo=UTC)


def candidate(pk: int, workspace: str) -> Candidate:
    return Candidate(pk, workspace, "action", "python:latest", False)


def order_of_the_runner(ready, running) -> list[int]:
    return Capacity({ORDINARY: 10_000, DATABASE: 1}, Weights(), running).choose(ready)


def places(ready, running) -> dict[int, int]:
    busy = Counter(job.workspace for job in running)
    groups = {}
    for job in ready:
        groups.setdefault(job.workspace, []).append(job.pk)

    def place_of(job: Candidate) -> int:
        rows = [Ready(name, len(pks), sum(pk < job.pk for pk in pks)) for name, pks in groups.items()]
        return place(job.workspace, rows, busy)

    return {job.pk: place_of(job) for job in ready}


@pytest.mark.parametrize("seed", range(100))
def test_places_are_exactly_the_runners_order_whatever_runs_and_waits(seed):
    chance = random.Random(seed)
    names = ["a", "b", "c", "d"][: chance.randint(1, 4)]
    pks = chance.sample(range(1000), chance.randint(1, 40))
    jobs = [candidate(pk, chance.choice(names)) for pk in pks]
    running, ready = jobs[: chance.randrange(8)], jobs[8:]
    found = places(ready, running)
    assert sorted(found, key=found.get) == order_of_the_runner(ready, running)
    assert sorted(found.values()) == list(range(1, len(ready) + 1))


def test_in_one_workspace_places_are_exactly_the_order_of_age():
    ready = [candidate(pk, "a") for pk in (7, 3, 5)]
    assert places(ready, []) == {3: 1, 5: 2, 7: 3}


def test_a_workspace_with_nothing_running_goes_first():
    ready = [candidate(1, "busy"), candidate(2, "idle")]
    assert places(ready, [candidate(9, "busy")]) == {2: 1, 1: 2}


def running(*rows):
    return [(action, NOW - timedelta(seconds=spent), typical) for action, spent, typical in rows]


def test_the_next_job_starts_when_the_first_running_one_usually_ends():
    guess = estimate(1, 2, running(("a", 60, 100.0), ("b", 10, 100.0)), NOW)
    assert guess.wait == timedelta(seconds=40)
    assert "usually" in guess.basis


def test_jobs_before_it_take_their_time_too():
    assert estimate(3, 2, running(("a", 60, 100.0), ("b", 10, 100.0)), NOW).wait == timedelta(seconds=140)


def test_there_is_no_estimate_where_something_that_runs_never_ended_well_before():
    guess = estimate(1, 1, running(("new_action", 60, None)), NOW)
    assert guess.wait is None
    assert "new_action" in guess.basis


def test_what_overruns_may_end_at_any_moment():
    assert estimate(1, 1, running(("a", 500, 100.0)), NOW).wait == timedelta(0)


def test_a_free_worker_means_at_once_and_no_workers_never():
    assert estimate(1, 2, running(("a", 5, 10.0)), NOW).wait == timedelta(0)
    assert estimate(1, 0, [], NOW).wait is None


def test_far_back_in_line_is_told_roughly():
    guess = estimate(MOST_SIMULATED + 1, 1, running(("a", 0, 1e6)), NOW)
    assert guess.is_at_least
    assert guess.wait == LONGEST_TOLD
