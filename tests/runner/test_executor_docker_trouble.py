"""An engine in trouble: silent, slow, talking nonsense, wedged. Whatever it does is told as "unavailable", in time."""

import json
import threading
import time
from pathlib import Path

import pytest

from runner.executors.base import ContainerSpec, ExecutorUnavailable, Phase
from runner.executors.docker import DockerExecutor
from tests.scripted_engine import answer, scripted_engine
from tests.site import wait_until

TIMEOUT_SECONDS = 0.5
LIST = "GET /containers/json"
CREATE = "POST /containers/create"
LABELS = {"org.jobrunner.instance": "site", "org.jobrunner.job": "j", "org.jobrunner.attempt": "1"}
SPEC = ContainerSpec("jr-1", "j", 1, "image:1", ("true",), Path("/workspace"))


def executor_at(address: str) -> DockerExecutor:
    return DockerExecutor("site", uid=1, gid=1, base_url=address, call_timeout_seconds=TIMEOUT_SECONDS)


def container(state: str, **more) -> dict:
    never = "0001-01-01T00:00:00Z"
    facts = {"Status": state, "ExitCode": 0, "OOMKilled": False, "StartedAt": never, "FinishedAt": never}
    return {
        "Id": "abc",
        "Name": "/jr-1",
        "Image": "sha256:1",
        "State": facts | more,
        "Config": {"Labels": LABELS, "Env": []},
    }


def never_answer(connection) -> None:
    connection.recv(1)


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
    "no JSON": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<p>", "connection"),
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
def test_a_container_that_a_crash_of_the_engine_left_wedged_is_made_anew(tmp_path, said):
    script = {
        CREATE: [answer(409, {"message": "Conflict. The container name is in use"}), answer(201, {"Id": "def"})],
        "GET /containers/jr-1/json": [answer(200, container("created"))],
        "POST /containers/abc/start": [answer(500, {"message": said})],
        "DELETE /containers/abc": [answer(204)],
        "POST /containers/def/start": [answer(204)],
    }
    with scripted_engine(tmp_path, script) as (engine, address):
        executor_at(address).start(SPEC)

        assert engine.asked[-3:] == ["DELETE /containers/abc", CREATE, "POST /containers/def/start"]


def test_a_start_whose_answer_never_came_is_adopted_by_the_next_one(tmp_path):
    running = container("running", StartedAt="2026-01-01T00:00:00.5Z")
    script = {
        CREATE: [answer(201, {"Id": "abc"}), answer(409, {"message": "Conflict"})],
        "POST /containers/abc/start": [never_answer],
        "GET /containers/jr-1/json": [answer(200, running)],
    }
    with scripted_engine(tmp_path, script) as (engine, address):
        executor = executor_at(address)
        with pytest.raises(ExecutorUnavailable, match="did not answer"):
            executor.start(SPEC)

        executor.start(SPEC)

        assert engine.asked.count("POST /containers/abc/start") == 1


def test_a_container_that_is_still_being_removed_is_waited_for(tmp_path):
    script = {
        CREATE: [answer(409, {"message": "Conflict"})],
        "GET /containers/jr-1/json": [answer(200, container("removing"))],
    }
    with scripted_engine(tmp_path, script) as (_, address):
        executor = executor_at(address)

        with pytest.raises(ExecutorUnavailable, match="still there"):
            executor.start(SPEC)
        assert executor.status("jr-1").phase is Phase.LOST


def test_a_container_that_the_engine_calls_dead_was_interrupted(tmp_path):
    with scripted_engine(tmp_path, {"GET /containers/jr-1/json": [answer(200, container("dead"))]}) as (_, address):
        status = executor_at(address).status("jr-1")

    assert (status.phase, status.exit_code) == (Phase.INTERRUPTED, None)
    assert status.reason


def test_a_run_that_ended_before_it_began_by_the_engines_clocks_took_no_time(tmp_path):
    times = {"StartedAt": "2026-01-01T00:00:00.002Z", "FinishedAt": "2026-01-01T00:00:00.001Z"}
    script = {"GET /containers/jr-1/json": [answer(200, container("exited", **times))]}
    with scripted_engine(tmp_path, script) as (_, address):
        status = executor_at(address).status("jr-1")

    assert status.started_at == status.finished_at


@pytest.mark.parametrize("verb", ["stop", "remove"])
def test_what_disappears_while_it_is_ended_is_gone(tmp_path, verb):
    script = {
        "GET /containers/jr-1/json": [answer(200, container("running"))],
        "POST /containers/abc/kill": [answer(404, {"message": "No such container: abc"})],
        "DELETE /containers/abc": [answer(404, {"message": "No such container: abc"})],
    }
    with scripted_engine(tmp_path, script) as (engine, address):
        getattr(executor_at(address), verb)("jr-1")

        assert len(engine.asked) == 3


def test_a_job_that_cannot_be_killed_is_trouble_and_not_done(tmp_path):
    script = {
        "GET /containers/jr-1/json": [answer(200, container("running"))],
        "POST /containers/abc/kill": [answer(500, {"message": "tried to kill container, but did not receive an exit"})],
    }
    with (
        scripted_engine(tmp_path, script) as (_, address),
        pytest.raises(ExecutorUnavailable, match="did not receive an exit"),
    ):
        executor_at(address).stop("jr-1")


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def frame(message: bytes) -> bytes:
    return b"\x01\0\0\0" + len(message).to_bytes(4, "big") + message


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LINE = b"2026-01-01T00:00:00.000000001Z hello\n"


def test_a_log_that_breaks_off_is_trouble_after_what_came_before(tmp_path):
    script = {
        "GET /containers/jr-1/json": [answer(200, container("running"))],
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
        "GET /containers/jr-1/json": [answer(200, container("running"))],
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


def test_watching_connects_again_after_the_engine_has_gone_and_hints_that_something_may_have_happened(tmp_path):
    hints = []
    script = {"GET /events": [lambda connection: connection.sendall(CHUNKED + chunk(json.dumps({}).encode()))]}
    with scripted_engine(tmp_path, script) as (engine, address):
        unwatch = executor_at(address).watch(lambda: hints.append(1))
        wait_until(lambda: engine.asked.count("GET /events") >= 3, what="the third connection")
        unwatch()
        ended = time.monotonic()
        unwatch()

        assert time.monotonic() - ended < 1
        assert len(hints) >= 4


def test_a_container_whose_death_an_event_told_has_ended_although_the_list_still_shows_it_running(tmp_path):
    told = json.dumps({"Action": "die", "Actor": {"ID": "abc"}}).encode() + b"\n"
    script = {
        "GET /events": [lambda connection: connection.sendall(CHUNKED + chunk(told[:10]) + chunk(told[10:]))],
        LIST: [answer(200, [{"Id": "abc", "Names": ["/jr-1"], "State": "running"}])],
    }
    with scripted_engine(tmp_path, script) as (_, address):
        executor = executor_at(address)
        assert executor.statuses()["jr-1"].phase is Phase.RUNNING
        unwatch = executor.watch(lambda: None)

        wait_until(lambda: executor.statuses()["jr-1"].phase is Phase.EXITED, what="the told end")
        unwatch()


@pytest.mark.parametrize("events", [b"", b'{"Action": "oom"}\n'], ids=["no event", "an event"])
def test_memory_that_ran_out_is_told_by_the_engines_event_when_its_mark_came_too_late(tmp_path, events):
    killed = container("exited", ExitCode=137, StartedAt="2026-01-01T00:00:00Z", FinishedAt="2026-01-01T00:00:01Z")
    body = f"HTTP/1.1 200 OK\r\nContent-Length: {len(events)}\r\n\r\n".encode() + events
    script = {"GET /containers/jr-1/json": [answer(200, killed)], "GET /events": [body]}
    with scripted_engine(tmp_path, script) as (_, address):
        assert executor_at(address).status("jr-1").out_of_memory == bool(events)
