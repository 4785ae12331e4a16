"""Whether a container's end counts, by every mix of what an engine may remember. Real ones: test_executor_restarts."""

import pytest

from runner.executors.base import ExecutorUnavailable, Phase
from runner.executors.docker import life
from tests.scripted_engine import EVENTS, INSPECT, LIST, answer, container, event, executor_at, lines, scripted_engine

STARTED, FINISHED = "2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z"
BEFORE, BETWEEN, AFTER = "2026-01-01T11:00:00Z", "2026-01-01T12:30:00Z", "2026-01-01T14:00:00Z"
BRIDGE, NO_BRIDGE = "GET /networks/bridge", answer(404, {"message": "network bridge not found"})
NEVER = "0001-01-01T00:00:00Z"
FULL = [event("start", "another")] * 256
COUNTS, INTERRUPTED = Phase.EXITED, Phase.INTERRUPTED


def made(moment: str) -> bytes:
    return answer(200, {"Created": moment})


def full_with(*actions: str) -> list[dict]:
    return FULL[len(actions) :] + [event(action) for action in actions]


# What the engine remembers, whether it has live-restore, its network, the exit code -> what the end is.
CASES = {
    "its own start": ([event("start")], False, made(AFTER), 0, COUNTS),
    "its start and a kill by somebody": (
        [event("start"), event("kill"), event("die")],
        False,
        made(AFTER),
        137,
        COUNTS,
    ),
    "told to end, and 0": ([event("start"), event("kill"), event("die")], False, made(BEFORE), 0, INTERRUPTED),
    "told to end before its last start": (
        [event("start"), event("kill"), event("die"), event("start"), event("die")],
        False,
        made(BEFORE),
        0,
        INTERRUPTED,
    ),
    "ended and started again": (
        [event("create"), event("start"), event("die"), event("start"), event("die")],
        False,
        made(BEFORE),
        1,
        INTERRUPTED,
    ),
    "too much, an end before its start": (full_with("die", "start", "die"), False, made(BEFORE), 0, INTERRUPTED),
    "too much, started again": (full_with("start", "die", "start", "die"), False, made(BEFORE), 0, INTERRUPTED),
    "too much, told to end, and 0": (full_with("start", "kill", "die"), False, made(BEFORE), 0, INTERRUPTED),
    "too much, a kill may be forgotten": ([event("die"), *FULL[1:]], False, made(AFTER), 0, INTERRUPTED),
    "its start and 255": ([event("start"), event("die")], False, made(AFTER), 255, COUNTS),
    "only its end, with live-restore": ([event("die")], True, NO_BRIDGE, 7, COUNTS),
    "an end by the engine's start": ([event("kill"), event("die")], False, made(AFTER), 0, INTERRUPTED),
    "the same, by a clock that ran wrong": ([event("kill"), event("die")], False, made(BEFORE), 0, INTERRUPTED),
    "nothing at all": ([], False, made(AFTER), 0, INTERRUPTED),
    "another's start": ([event("start", "another")], False, made(AFTER), 143, INTERRUPTED),
    "nothing, with live-restore": ([], True, made(AFTER), 0, INTERRUPTED),
    "nothing, with live-restore and no network": ([], True, NO_BRIDGE, 0, INTERRUPTED),
    "nothing, with live-restore that carried over": ([], True, made(BEFORE), 0, COUNTS),
    "the same, lost with its host": ([], True, made(BEFORE), 255, INTERRUPTED),
    "its end, lost with its host": ([event("die")], True, made(AFTER), 255, INTERRUPTED),
    "too much, older engine": (FULL, False, made(BEFORE), 137, COUNTS),
    "too much, older engine, 255": (FULL, False, made(BEFORE), 255, COUNTS),
    "too much, younger engine": (FULL, False, made(AFTER), 0, INTERRUPTED),
    "too much, engine started in the run": (FULL, False, made(BETWEEN), 0, INTERRUPTED),
    "too much and its end": (full_with("die"), False, made(AFTER), 0, COUNTS),
    "too much and a kill, older engine": (full_with("kill", "die"), False, made(BEFORE), 137, COUNTS),
    "too much and a kill, younger engine": (full_with("kill", "die"), False, made(AFTER), 0, INTERRUPTED),
    "too much and no network": (FULL, False, NO_BRIDGE, 0, COUNTS),
}


@pytest.mark.parametrize(("events", "live_restore", "bridge", "exit_code", "expected"), CASES.values(), ids=CASES)
def test_an_end_counts_only_if_the_engine_has_lived_through_the_run(
    tmp_path, events, live_restore, bridge, exit_code, expected
):
    ended = container("exited", ExitCode=exit_code, StartedAt=STARTED, FinishedAt=FINISHED)
    own = [each for each in events if each["Actor"]["ID"] == "abc"]
    script = {
        INSPECT: [answer(200, ended)],
        EVENTS: [lines(*own), lines(*events), lines()],
        "GET /info": [answer(200, {"SystemTime": AFTER, "LiveRestoreEnabled": live_restore})],
        BRIDGE: [bridge],
    }
    with scripted_engine(tmp_path, script) as (_, address):
        status = executor_at(address).status("jr-1")

    assert status.phase is expected
    assert status.exit_code == (exit_code if expected is COUNTS else None)
    assert bool(status.reason) == (expected is INTERRUPTED)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([event("start"), event("kill"), event("die")], life.STOPPED),
        (full_with("start", "kill", "die"), life.STOPPED),
        ([event("create"), event("start"), event("die"), event("start"), event("die")], life.STARTED_AGAIN),
        ([event("kill"), event("die")], life.RESTARTED),
        ([], life.RESTARTED),
    ],
)
def test_who_stopped_a_container_is_told_from_an_engine_that_went_down(tmp_path, events, reason):
    script = {
        INSPECT: [answer(200, container("exited", ExitCode=0, StartedAt=STARTED, FinishedAt=FINISHED))],
        EVENTS: [lines(*[each for each in events if each["Actor"]["ID"] == "abc"]), lines(*events)],
        "GET /info": [answer(200, {"SystemTime": AFTER, "LiveRestoreEnabled": False})],
        BRIDGE: [made(AFTER)],
    }
    with scripted_engine(tmp_path, script) as (_, address):
        assert executor_at(address).status("jr-1").reason == reason


# What is remembered, with a start long after the creation -> what the end is.
LATE_CASES = {
    "its creation and its start": ([event("create"), event("start"), event("die")], COUNTS),
    "its last start": ([event("start"), event("die")], INTERRUPTED),
    "too much, its last start": (full_with("start", "die"), INTERRUPTED),
    "too much, its creation": (full_with("create", "start", "die"), COUNTS),
    "too much and its end": (full_with("die"), INTERRUPTED),
    "too much, older engine": (FULL, INTERRUPTED),
}


@pytest.mark.parametrize(("events", "expected"), LATE_CASES.values(), ids=LATE_CASES)
@pytest.mark.parametrize(("created", "is_late"), [("2026-01-01T11:58:59Z", True), ("2026-01-01T11:59:01Z", False)])
def test_a_start_long_after_the_creation_is_a_second_one_unless_the_first_would_be_remembered(
    tmp_path, events, expected, created, is_late
):
    ended = container("exited", StartedAt=STARTED, FinishedAt=FINISHED) | {"Created": created}
    script = {
        INSPECT: [answer(200, ended)],
        EVENTS: [lines(*[each for each in events if each["Actor"]["ID"] == "abc"]), lines(*events)],
        "GET /info": [answer(200, {"SystemTime": AFTER, "LiveRestoreEnabled": False})],
        BRIDGE: [made(BEFORE)],
    }
    with scripted_engine(tmp_path, script) as (_, address):
        status = executor_at(address).status("jr-1")

    assert status.phase is (expected if is_late else COUNTS)
    assert (status.reason == life.STARTED_AGAIN) == (status.phase is INTERRUPTED)


@pytest.mark.parametrize(("finished", "expected"), [(NEVER, Phase.RUNNING), (BEFORE, INTERRUPTED)])
def test_a_container_that_runs_after_an_end_of_its_own_was_started_again(tmp_path, finished, expected):
    running = container("running", StartedAt=STARTED, FinishedAt=finished)
    with scripted_engine(tmp_path, {INSPECT: [answer(200, running)]}) as (_, address):
        status = executor_at(address).status("jr-1")

    assert status.phase is expected
    assert status.reason == (life.STARTED_AGAIN if expected is INTERRUPTED else "")
    assert status.finished_at is status.exit_code is None


def test_an_engine_that_has_closed_its_door_says_nothing_on_an_older_connection(tmp_path):
    """It is going down and ends its containers: what it still answers to an old acquaintance is not believed."""
    script = {
        LIST: [answer(200, [])],
        INSPECT: [answer(200, container("exited", ExitCode=143, StartedAt=STARTED, FinishedAt=FINISHED))],
        EVENTS: [lines(event("create"), event("start"), event("die"))],
    }
    with scripted_engine(tmp_path, script) as (engine, address):
        executor = executor_at(address)
        executor.statuses()
        (tmp_path / "engine.sock").unlink()

        with pytest.raises(ExecutorUnavailable, match="is it running"):
            executor.status("jr-1")
        assert engine.asked[-1] == INSPECT


def test_a_start_that_the_engine_told_late_is_found_when_all_events_are_looked_at(tmp_path):
    script = {
        INSPECT: [answer(200, container("exited", StartedAt=STARTED, FinishedAt=FINISHED))],
        EVENTS: [lines(), lines(event("start"), event("die"))],
        "GET /info": [answer(200, {"SystemTime": AFTER, "LiveRestoreEnabled": False})],
    }
    with scripted_engine(tmp_path, script) as (_, address):
        assert executor_at(address).status("jr-1").phase is COUNTS


def test_the_end_of_a_short_job_costs_two_calls(tmp_path):
    ended = container("exited", StartedAt=STARTED, FinishedAt=FINISHED)
    with scripted_engine(tmp_path, {INSPECT: [answer(200, ended)], EVENTS: [lines(event("start"))]}) as (
        engine,
        address,
    ):
        executor_at(address).status("jr-1")

        assert engine.asked[1:] == [INSPECT, EVENTS]


def test_a_container_that_never_ran_but_is_said_to_have_ended_does_not_count(tmp_path):
    script = {
        INSPECT: [answer(200, container("exited"))],
        EVENTS: [lines(*FULL)],
        "GET /info": [answer(200, {"SystemTime": AFTER, "LiveRestoreEnabled": False})],
        BRIDGE: [made(BEFORE)],
    }
    with scripted_engine(tmp_path, script) as (_, address):
        assert executor_at(address).status("jr-1").phase is INTERRUPTED


STRANGE = {
    EVENTS: [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<p>\n", lines(None), lines({"Action": "start"})],
    "GET /info": [answer(200, None), answer(200, {"SystemTime": "now", "LiveRestoreEnabled": False}), answer(500)],
    BRIDGE: [answer(200, []), answer(200, {"Created": None}), answer(500)],
}


@pytest.mark.parametrize(("call", "strange"), [(call, each) for call, found in STRANGE.items() for each in found])
def test_an_engine_that_cannot_say_whether_it_saw_the_end_decides_nothing(tmp_path, call, strange):
    script = {
        INSPECT: [answer(200, container("exited", StartedAt=STARTED, FinishedAt=FINISHED))],
        EVENTS: [lines(), lines(*FULL)],
        "GET /info": [answer(200, {"SystemTime": AFTER, "LiveRestoreEnabled": False})],
        BRIDGE: [made(BEFORE)],
    }
    with (
        scripted_engine(tmp_path, script | {call: [strange]}) as (_, address),
        pytest.raises(ExecutorUnavailable, match="whether it saw the container's end"),
    ):
        executor_at(address).status("jr-1")
