"""Pauses that double up to a cap, each with jitter, on a clock that only the test moves."""

import pytest

from sync import backoff
from sync.backoff import Backoff
from tests.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def without_chance(monkeypatch) -> None:
    monkeypatch.setattr(backoff.random, "uniform", lambda least, most: most)


def test_nothing_pauses_before_it_has_failed(clock):
    pauses = Backoff(2, 60, clock)
    assert pauses.is_over()
    assert (pauses.failures, pauses.seconds_left()) == (0, 0)


def test_a_pause_ends_when_its_time_is_over(clock, without_chance):
    pauses = Backoff(2, 60, clock)
    pauses.fail()
    assert (pauses.failures, pauses.seconds_left(), pauses.is_over()) == (1, 2, False)
    clock.now += 1.5
    assert (pauses.seconds_left(), pauses.is_over()) == (0.5, False)
    clock.now += 0.5
    assert (pauses.seconds_left(), pauses.is_over()) == (0, True)
    clock.now += 1e6
    assert (pauses.seconds_left(), pauses.is_over()) == (0, True)


def test_pauses_double_up_to_a_cap(clock, without_chance):
    pauses = Backoff(2, 60, clock)
    found = []
    for _ in range(8):
        pauses.fail()
        found.append(pauses.seconds_left())
    assert found == [2, 4, 8, 16, 32, 60, 60, 60]


def test_a_success_begins_anew(clock, without_chance):
    pauses = Backoff(2, 60, clock)
    for _ in range(5):
        pauses.fail()
    pauses.succeed()
    assert (pauses.failures, pauses.is_over()) == (0, True)
    pauses.fail()
    assert pauses.seconds_left() == 2


def test_half_of_a_pause_is_chance(clock):
    found = set()
    for _ in range(200):
        pauses = Backoff(10, 60, clock)
        pauses.fail()
        found.add(pauses.seconds_left())
    assert len(found) > 100
    assert min(found) >= 5 and max(found) <= 10


@pytest.mark.parametrize("failures", [40, 2000])
def test_an_outage_of_weeks_is_no_overflow(clock, failures):
    pauses = Backoff(0.1, 300, clock)
    for _ in range(failures):
        pauses.fail()
    assert pauses.failures == failures
    assert 150 <= pauses.seconds_left() <= 300


def test_the_real_clock_is_the_one_that_nobody_sets():
    pauses = Backoff(100, 100)
    pauses.fail()
    assert 0 < pauses.seconds_left() <= 100
