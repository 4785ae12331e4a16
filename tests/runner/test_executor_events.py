"""The engine's events: hints that may come late, torn, twice or as nonsense, and never stop the watching."""

import json
import logging
import threading

import pytest

from runner.executors.base import Phase
from tests.scripted_engine import (
    CHUNKED,
    EVENTS,
    INSPECT,
    LIST,
    answer,
    chunk,
    container,
    event,
    executor_at,
    scripted_engine,
)
from tests.site import wait_until

RUNNING = answer(200, [{"Id": "abc", "Names": ["/jr-1"], "State": "running"}])


def line(content: object) -> bytes:
    return json.dumps(content).encode() + b"\n"


class Told:
    """An answer to "tell your events": these blocks, and then silence until it is let go."""

    def __init__(self, *blocks: bytes):
        self._blocks, self.let_go = blocks, threading.Event()

    def __call__(self, connection) -> None:
        connection.sendall(CHUNKED + b"".join(map(chunk, self._blocks)))
        self.let_go.wait(10)


@pytest.fixture
def watching(tmp_path):
    """Start an executor that watches an engine which tells these blocks."""
    left = []

    def start(*blocks: bytes, **script: list):
        told = Told(*blocks)
        engine = scripted_engine(tmp_path, {EVENTS: [told], LIST: [RUNNING], INSPECT: script.get("inspect", [b""])})
        asked, address = engine.__enter__()
        executor = executor_at(address)
        left.extend([lambda: engine.__exit__(None, None, None), told.let_go.set, executor.watch(lambda: None)])
        return executor, asked

    yield start
    for end in reversed(left):
        end()


def phase(executor) -> Phase:
    return executor.statuses()["jr-1"].phase


def test_watching_connects_again_after_the_engine_has_gone_and_hints_that_something_may_have_happened(tmp_path):
    hints = []
    script = {EVENTS: [lambda connection: connection.sendall(CHUNKED + chunk(line({})))]}
    with scripted_engine(tmp_path, script) as (engine, address):
        unwatch = executor_at(address).watch(lambda: hints.append(1))
        wait_until(lambda: engine.asked.count(EVENTS) >= 3, what="the third connection")
        unwatch()

        assert len(hints) >= 4
        unwatch()


def test_a_container_whose_death_an_event_told_has_ended_although_the_list_still_shows_it_running(watching):
    told = line(event("die"))
    executor, _ = watching(told[:10], told[10:])

    wait_until(lambda: phase(executor) is Phase.EXITED, what="the told end")


def test_a_container_that_somebody_has_started_again_is_looked_at_closely_and_was_interrupted(watching):
    again = container("running", StartedAt="2026-01-01T12:30:00Z", FinishedAt="2026-01-01T12:29:59Z")
    executor, _ = watching(
        line(event("die")) + line(event("start")) + line(event("die", "another")), inspect=[answer(200, again)]
    )
    wait_until(lambda: "another" in executor._died, what="the last event")

    assert phase(executor) is not Phase.RUNNING
    assert executor.status("jr-1").phase is Phase.INTERRUPTED


def test_what_is_no_longer_on_the_list_is_forgotten(watching):
    executor, _ = watching(line(event("die")) + line(event("die", "gone")))
    wait_until(lambda: "gone" in executor._died, what="the last event")

    executor.statuses()

    assert executor._died == {"abc"}


def test_a_container_that_is_found_running_after_its_death_was_told_runs(watching):
    executor, _ = watching(line(event("die")), inspect=[answer(200, container("running"))])
    wait_until(lambda: phase(executor) is Phase.EXITED, what="the told end")

    assert executor.status("jr-1").phase is Phase.RUNNING
    assert phase(executor) is Phase.RUNNING


NONSENSE = {
    "no JSON": b"<p>502</p>\n",
    "no text": b"\xff\xfe\n",
    "a number": line(1),
    "null": line(None),
    "no actor": line({"Action": "die"}),
    "an actor that is none": line({"Action": "die", "Actor": None}),
    "an action that is none": line({"Action": ["die"], "Actor": {"ID": "abc"}}),
    "an id that is none": line({"Action": "die", "Actor": {"ID": ["abc"]}}),
    "two megabytes": b"x" * 2 * 1024**2 + b"\n",
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_among_the_events_is_skipped_and_said_once(watching, caplog, nonsense):
    caplog.set_level(logging.INFO, "runner.executors.docker.events")
    executor, asked = watching(nonsense, nonsense, line(event("die")))

    wait_until(lambda: phase(executor) is Phase.EXITED, what="the told end")

    assert asked.asked.count(EVENTS) == 1
    assert len([record for record in caplog.records if "skipped" in record.message]) == 1


def test_an_event_without_an_end_does_not_fill_the_memory(watching, caplog):
    watching(b"x" * 2 * 1024**2)

    wait_until(lambda: "skipped" in caplog.text, what="the end of the patience")
