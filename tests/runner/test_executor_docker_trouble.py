"""An engine in trouble: silent, slow, talking nonsense, wedged. Whatever it does is told as "unavailable", in time."""

import threading
import time
from pathlib import Path

import pytest

from jobs.errors import JobError
from runner.executors.base import ContainerSpec, ExecutorUnavailable, Phase
from tests.scripted_engine import (
    CHUNKED,
    CREATE,
    EVENTS,
    INSPECT,
    LIST,
    TIMEOUT_SECONDS,
    answer,
    chunk,
    container,
    event,
    executor_at,
    lines,
    never_answer,
    scripted_engine,
)

SPEC = ContainerSpec("jr-1", "j", 1, "image:1", ("true",), Path("/workspace"))
SEEN = lines(event("start"))  # the engine has lived since it started the container


def drip(connection) -> None:
    """A byte well within the timeout of each read, and no end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        connection.sendall(b" ")
        time.sleep(TIMEOUT_SECONDS / 10)


TROUBLES = {
    "silence": (never_answer, f"did not answer within {TIMEOUT_SECONDS} s"),
    "one byte after the other": (drip, f"did not answer within {TIMEOUT_SECONDS} s"),
    "an error of its own": (answer(500, {"message": "disk is full"}), "disk is full"),
    "an error without words": (answer(502), "502"),
    "no JSON": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<p>", "does not understand"),
    "no HTTP": (b"\x00\x01garbage\r\n\r\n", "connection"),
    "half an answer": (lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[]"), "connection"),
    "the end of the connection": (lambda c: None, "connection"),
}


@pytest.mark.parametrize(("trouble", "told"), TROUBLES.values(), ids=TROUBLES)
def test_trouble_of_the_engine_is_told_in_words_and_in_time(tmp_path, trouble, told):
    with scripted_engine(tmp_path, {LIST: [trouble]}) as (_, address):
        executor = executor_at(address)
        started = time.monotonic()

        with pytest.raises(ExecutorUnavailable, match=told) as raised:
            executor.statuses()

        assert time.monotonic() - started < 3 * TIMEOUT_SECONDS
        assert "to list the containers" in str(raised.value)


def test_after_trouble_the_next_call_is_as_good_as_any(tmp_path):
    script = {LIST: [answer(500, {"message": "busy"}), never_answer, answer(200, [])]}
    with scripted_engine(tmp_path, script) as (_, address):
        executor = executor_at(address)
        for _ in range(2):
            with pytest.raises(ExecutorUnavailable):
                executor.statuses()

        assert executor.statuses() == {}


def test_an_engine_that_is_started_later_is_found(tmp_path):
    executor = executor_at(f"unix://{tmp_path / 'engine.sock'}")
    with pytest.raises(ExecutorUnavailable, match="is it running"):
        executor.statuses()

    with scripted_engine(tmp_path, {LIST: [answer(200, [])]}):
        assert executor.statuses() == {}


def test_a_socket_that_may_not_be_used_is_told_as_such(tmp_path, monkeypatch):
    def refuse(*_) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("runner.executors.docker.engine._Connection.connect", refuse)

    with pytest.raises(ExecutorUnavailable, match="group"):
        executor_at(f"unix://{tmp_path / 'engine.sock'}").statuses()


@pytest.mark.parametrize("said", ["task abc already exists: unknown", "container id already in use"])
def test_a_container_that_a_crash_of_the_engine_left_wedged_is_removed_and_needs_a_new_attempt(tmp_path, said):
    """Its command may run on in the folder of this attempt, and the engine knows nothing of it (fact F3)."""
    script = {
        CREATE: [answer(409, {"message": "Conflict. The container name is in use"})],
        INSPECT: [answer(200, container("created")), answer(404, {"message": "No such container"})],
        "GET /containers/abc/json": [answer(200, container("created"))],
        "POST /containers/abc/start": [answer(500, {"message": said})],
        "DELETE /containers/abc": [answer(204)],
    }
    with scripted_engine(tmp_path, script) as (engine, address):
        executor = executor_at(address)
        executor.start(SPEC)
        assert engine.asked[-1] == "DELETE /containers/abc"
        assert engine.asked.count(CREATE) == 1

        status = executor.status("jr-1")
        assert status.phase is Phase.ABSENT
        assert "went down while it started the container" in status.reason
        executor.remove("jr-1")
        assert executor.status("jr-1").reason == ""


def test_a_start_whose_answer_never_came_is_adopted_by_the_next_one(tmp_path):
    running = container("running", StartedAt="2026-01-01T00:00:00.5Z")
    script = {
        CREATE: [answer(201, {"Id": "abc"}), answer(409, {"message": "Conflict"})],
        "GET /containers/abc/json": [answer(200, container("created"))],
        "POST /containers/abc/start": [never_answer],
        INSPECT: [answer(200, running)],
    }
    with scripted_engine(tmp_path, script) as (engine, address):
        executor = executor_at(address)
        with pytest.raises(ExecutorUnavailable, match="did not answer"):
            executor.start(SPEC)

        executor.start(SPEC)

        assert engine.asked.count("POST /containers/abc/start") == 1


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "left by a runner that was killed"])
def test_an_image_whose_volume_would_swallow_outputs_is_refused_before_its_command_runs(tmp_path, is_new):
    volume = {"Type": "volume", "Destination": "/workspace/output"}
    created = container("created") | {"Mounts": [{"Type": "bind", "Destination": "/workspace"}, volume]}
    script = {
        CREATE: [answer(201, {"Id": "abc"}) if is_new else answer(409, {"message": "Conflict"})],
        INSPECT: [answer(200, created)],
        "GET /containers/abc/json": [answer(200, created)],
        "DELETE /containers/abc": [answer(204)],
    }
    with (
        scripted_engine(tmp_path, script) as (engine, address),
        pytest.raises(JobError, match=r"image image:1 declares a volume at /workspace/output.* remove that VOLUME"),
    ):
        executor_at(address).start(SPEC)

    assert engine.asked[-1] == "DELETE /containers/abc"


def test_a_container_that_is_still_being_removed_is_waited_for(tmp_path):
    script = {
        CREATE: [answer(409, {"message": "Conflict"})],
        INSPECT: [answer(200, container("removing"))],
    }
    with scripted_engine(tmp_path, script) as (_, address):
        executor = executor_at(address)

        with pytest.raises(ExecutorUnavailable, match="still there"):
            executor.start(SPEC)
        assert executor.status("jr-1").phase is Phase.LOST


def test_a_container_that_the_engine_calls_dead_was_interrupted(tmp_path):
    with scripted_engine(tmp_path, {INSPECT: [answer(200, container("dead"))]}) as (_, address):
        status = executor_at(address).status("jr-1")

    assert (status.phase, status.exit_code) == (Phase.INTERRUPTED, None)
    assert status.reason


def test_a_run_that_ended_before_it_began_by_the_engines_clocks_took_no_time(tmp_path):
    times = {"StartedAt": "2026-01-01T00:00:00.002Z", "FinishedAt": "2026-01-01T00:00:00.001Z"}
    script = {INSPECT: [answer(200, container("exited", **times))], EVENTS: [SEEN]}
    with scripted_engine(tmp_path, script) as (_, address):
        status = executor_at(address).status("jr-1")

    assert status.started_at == status.finished_at


@pytest.mark.parametrize("verb", ["stop", "remove"])
def test_what_disappears_while_it_is_ended_is_gone(tmp_path, verb):
    script = {
        INSPECT: [answer(200, container("running"))],
        "POST /containers/abc/kill": [answer(404, {"message": "No such container: abc"})],
        "DELETE /containers/abc": [answer(404, {"message": "No such container: abc"})],
    }
    with scripted_engine(tmp_path, script) as (engine, address):
        getattr(executor_at(address), verb)("jr-1")

        assert len(engine.asked) == 3


@pytest.mark.parametrize(
    "said",
    [
        "tried to kill container, but did not receive an exit event",
        "Cannot kill container: abc: unknown error after kill",
        "Container abc is not running",
    ],
)
def test_a_job_that_cannot_be_killed_is_trouble_and_not_done(tmp_path, said):
    script = {
        INSPECT: [answer(200, container("running"))],
        "POST /containers/abc/kill": [answer(500, {"message": said})],
    }
    with (
        scripted_engine(tmp_path, script) as (_, address),
        pytest.raises(ExecutorUnavailable, match="cannot end container jr-1 now") as raised,
    ):
        executor_at(address).stop("jr-1")

    assert said in str(raised.value)
    assert "a disk or network folder that the job uses" in str(raised.value)


@pytest.mark.parametrize("silent", ["POST /containers/abc/kill", "POST /containers/abc/wait"])
def test_a_kill_whose_end_does_not_come_is_waited_for_only_so_long(tmp_path, silent):
    script = {
        INSPECT: [answer(200, container("running"))],
        "POST /containers/abc/kill": [answer(204)],
        "POST /containers/abc/wait": [answer(200, {"StatusCode": 137})],
    }
    with scripted_engine(tmp_path, script | {silent: [never_answer]}) as (_, address):
        started = time.monotonic()
        with pytest.raises(ExecutorUnavailable, match=r"did not answer within .* when asked to stop jr-1"):
            executor_at(address).stop("jr-1")

    assert time.monotonic() - started < 3 * TIMEOUT_SECONDS


def frame(message: bytes) -> bytes:
    return b"\x01\0\0\0" + len(message).to_bytes(4, "big") + message


LINE = b"2026-01-01T00:00:00.000000001Z hello\n"


def test_a_log_that_breaks_off_is_trouble_after_what_came_before(tmp_path):
    script = {
        INSPECT: [answer(200, container("running"))],
        "GET /containers/abc/logs": [lambda connection: connection.sendall(CHUNKED + chunk(frame(LINE)))],
    }
    with scripted_engine(tmp_path, script) as (_, address):
        stream = iter(executor_at(address).logs("jr-1", follow=True))

        assert next(stream) == LINE
        with pytest.raises(ExecutorUnavailable, match="broke off"):
            next(stream)


def test_a_log_that_stops_coming_is_trouble_unless_it_is_followed(tmp_path):
    let_go = threading.Event()

    def begin_and_stall(connection) -> None:
        connection.sendall(CHUNKED + chunk(frame(LINE)))
        let_go.wait(10)

    script = {
        INSPECT: [answer(200, container("running"))],
        "GET /containers/abc/logs": [begin_and_stall],
    }
    with scripted_engine(tmp_path, script) as (_, address):
        executor = executor_at(address)
        with pytest.raises(ExecutorUnavailable):
            list(executor.logs("jr-1"))

        followed = executor.logs("jr-1", follow=True)
        threading.Timer(TIMEOUT_SECONDS * 2, followed.close).start()
        assert list(followed) == [LINE]
        let_go.set()


@pytest.mark.parametrize("events", [[], [event("oom")]], ids=["no event", "an event"])
def test_memory_that_ran_out_is_told_by_the_engines_event_when_its_mark_came_too_late(tmp_path, events):
    killed = container("exited", ExitCode=137, StartedAt="2026-01-01T00:00:00Z", FinishedAt="2026-01-01T00:00:01Z")
    with scripted_engine(tmp_path, {INSPECT: [answer(200, killed)], EVENTS: [SEEN, lines(*events)]}) as (_, address):
        assert executor_at(address).status("jr-1").out_of_memory == bool(events)
