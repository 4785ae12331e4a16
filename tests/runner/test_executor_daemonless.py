"""Whether an end counts on an engine without a daemon, by what it may say. A real one: test_executor_podman."""

from pathlib import Path

import pytest

from runner.executors.base import ContainerSpec, ExecutorUnavailable, Phase
from runner.executors.docker import daemonless, life
from tests.scripted_engine import CREATE, EVENTS, INSPECT, answer, container, event, executor_at, lines, scripted_engine

REMOVE = "DELETE /containers/jr-1"
VERSION = answer(200, {"ApiVersion": "1.41", "Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}]})
# The host was booted at 11:00:00.
INFO = {"SystemTime": "2026-01-02T12:00:00.5Z", "Uptime": "25h 0m 0.00s (Approximately 1.04 days)"}
BEFORE, AFTER, LATER = "2026-01-01T10:59:00Z", "2026-01-01T12:00:10Z", "2026-01-01T12:30:00Z"
RUN = ("create", "init", "start", "die", "cleanup")


def judged(tmp_path, actions=RUN, *, info=INFO, started=AFTER, exit_code=0):
    script = {
        "GET /version": [VERSION],
        "GET /info": [answer(200, info)],
        INSPECT: [answer(200, container("exited", StartedAt=started, FinishedAt=LATER, ExitCode=exit_code))],
        EVENTS: [lines(*map(event, actions))],
    }
    with scripted_engine(tmp_path, script) as (_, address):
        return executor_at(address).status("jr-1")


@pytest.mark.parametrize(
    ("actions", "started", "exit_code", "why"),
    [
        (RUN, AFTER, 0, ""),
        (RUN, AFTER, 137, ""),
        ((), AFTER, 0, ""),  # its file of events was begun anew
        (RUN, BEFORE, 0, life.RESTARTED),
        (RUN, BEFORE, 3, life.RESTARTED),
        (RUN, "0001-01-01T00:00:00Z", 0, life.RESTARTED),
        (("create", "start", "kill", "die"), AFTER, 0, life.STOPPED),
        (("create", "start", "kill", "die"), AFTER, 143, ""),
        (("create", "start", "die", "start", "die"), AFTER, 3, life.STARTED_AGAIN),
        (("start", "die"), "2026-01-01T12:20:00Z", 0, life.STARTED_AGAIN),
        (("create", "init", "die", *RUN[1:]), AFTER, 0, daemonless.BEGUN_TWICE),
        (("create", "init", *RUN[1:]), AFTER, 7, daemonless.BEGUN_TWICE),
    ],
)
def test_an_end_counts_if_its_only_run_began_after_the_hosts_boot(tmp_path, actions, started, exit_code, why):
    status = judged(tmp_path, actions, started=started, exit_code=exit_code)

    assert status.reason == why
    assert (status.phase, status.exit_code) == ((Phase.INTERRUPTED, None) if why else (Phase.EXITED, exit_code))


@pytest.mark.parametrize("strange", [{}, {"SystemTime": INFO["SystemTime"], "Uptime": "long"}, None, []])
def test_a_host_that_does_not_say_since_when_it_is_up_decides_nothing(tmp_path, strange):
    with pytest.raises(ExecutorUnavailable, match="does not understand"):
        judged(tmp_path, info=strange)


@pytest.mark.parametrize(
    ("state", "started", "phase"),
    [
        ("created", "0001-01-01T00:00:00Z", Phase.STARTING),
        ("configured", "0001-01-01T00:00:00Z", Phase.STARTING),
        ("initialized", "0001-01-01T00:00:00Z", Phase.STARTING),
        ("created", AFTER, Phase.INTERRUPTED),
        ("stopping", AFTER, Phase.RUNNING),
    ],
)
def test_podmans_own_states_are_understood(tmp_path, state, started, phase):
    script = {"GET /version": [VERSION], INSPECT: [answer(200, container(state, StartedAt=started))]}
    with scripted_engine(tmp_path, script) as (_, address):
        assert executor_at(address).status("jr-1").phase is phase


@pytest.mark.parametrize(("lasts_seconds", "is_removed"), [(0.0, True), (60.0, False)])
@pytest.mark.parametrize("is_podman", [True, False])
def test_a_name_that_no_container_bears_is_cleared_on_podman_once_it_has_lasted(
    tmp_path, monkeypatch, lasts_seconds, is_removed, is_podman
):
    monkeypatch.setattr(daemonless, "_BEING_MADE_SECONDS", lasts_seconds)
    taken = 'creating container storage: the container name "jr-1" is already in use by 7'
    script = {
        CREATE: [answer(500, {"message": taken})],
        INSPECT: [answer(404, {"message": "no such container"})],
        REMOVE: [answer(204)],
    }
    if is_podman:
        script["GET /version"] = [VERSION]
    with scripted_engine(tmp_path, script) as (engine, address), pytest.raises(ExecutorUnavailable, match="still busy"):
        executor_at(address).start(ContainerSpec("jr-1", "j", 1, "image:1", ("true",), Path("/workspace")))

    assert (REMOVE in engine.asked) == (is_removed and is_podman)
