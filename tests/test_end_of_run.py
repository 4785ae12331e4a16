"""A signal ends a real `manage.py run` within ten seconds, whatever hangs; the next one goes on where it stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import SERVER
from tests.engine import demo_images
from tests.git_repositories import make_repository
from tests.scripted_engine import answer
from tests.site import Site, wait_until, watched_starts

pytestmark = pytest.mark.slow_test

LONGEST_SECONDS = 10
PROJECT = """
version: '4.0'
actions:
  wait:
    run: python:v2 sh -c 'until [ -e go ]; do sleep 0.05; done; cp go output/done.txt'
    outputs:
      highly_sensitive:
        done: output/done.txt
"""


@pytest.fixture
def study(tmp_path) -> Path:
    make_repository(tmp_path / "study", {"project.yaml": PROJECT})
    return tmp_path / "study"


def start_runner(site: Site) -> subprocess.Popen:
    """A runner that has come so far that it catches signals."""
    process = site.start("run")
    wait_until(lambda: process.poll() is not None or catches(process.pid, signal.SIGTERM), what="the runner's start")
    assert process.poll() is None, process.stdout.read()
    return process


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler of its own for a signal, as the kernel knows it."""
    with contextlib.suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def end(process: subprocess.Popen, number: signal.Signals = signal.SIGTERM) -> str:
    """Send the signal; the process must be gone in time, with exit code 0. Returns what it printed."""
    process.send_signal(number)
    started = time.monotonic()
    output, _ = process.communicate(timeout=60)
    assert time.monotonic() - started < LONGEST_SECONDS, output
    assert process.returncode == 0, output
    return output


@contextlib.contextmanager
def hanging_engine(path: Path) -> Iterator[list[str]]:
    """Tells its version and takes every other request without a word; yields the requests so far."""
    version = answer(200, {"ApiVersion": "1.41", "Version": "0", "Os": "linux", "Arch": "none"})
    requests: list[str] = []
    kept: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                kept.append(connection)
                threading.Thread(target=read, args=(connection,), daemon=True).start()

    def read(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while text := connection.recv(65536).decode():
                requests.append(text.split("\r\n")[0])
                if "/version" in requests[-1]:
                    connection.sendall(version)

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield requests
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for connection in kept:
                connection.close()


def status_of(site: Site) -> tuple[str, int]:
    return site.query("SELECT status_code, attempt FROM jobs_job")[0]


@pytest.mark.needs_docker
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_runner_leaves_its_containers_to_be_adopted_by_the_next(tmp_path, study, number):
    demo_images()
    instance = f"end-{os.getpid()}-{number.name.lower()}"
    with Site(tmp_path, INSTANCE=instance) as site, watched_starts(f"org.jobrunner.instance={instance}") as started:
        site.manage("add_job", str(study), "wait")
        runner = start_runner(site)
        wait_until(lambda: status_of(site) == ("executing", 1), what="the job's start")

        output = end(runner, number)

        assert "running containers go on" in output
        assert status_of(site) == ("executing", 1)
        (workspace,) = (site.work_dir / "jobs").glob("*/1/workspace")
        # In one step: the container copies whatever the file holds as soon as it is there.
        (workspace / "ready").write_text("made after the stop")
        (workspace / "ready").rename(workspace / "go")
        site.manage("run", "--until-idle")
        assert status_of(site) == ("succeeded", 1)
        assert (site.high / "workspaces" / "study" / "output" / "done.txt").read_text() == "made after the stop"
        assert len(started) == 1


def test_an_engine_that_hangs_does_not_hold_up_the_end(tmp_path, study):
    socket_path = tmp_path / "engine.sock"
    with hanging_engine(socket_path) as requests, Site(tmp_path, DOCKER_HOST=f"unix://{socket_path}") as site:
        site.manage("add_job", str(study), "wait")
        runner = start_runner(site)
        wait_until(lambda: any("/containers/jobrunner-" in request for request in requests), what="a step that hangs")

        output = end(runner)

        # Which of the two guards ends it depends on where the loop's own thread is.
        assert "ending although a step is under way" in output or "ending in the middle of a call" in output
        assert status_of(site) == ("preparing", 1)


def test_a_pending_job_is_cancelled_while_the_engine_hangs(tmp_path, study):
    """The loop asks a hanging engine for its list at most for a moment."""
    socket_path = tmp_path / "engine.sock"
    settings = {"DOCKER_HOST": f"unix://{socket_path}", "MAX_WORKERS": "1"}
    with hanging_engine(socket_path) as requests, Site(tmp_path, **settings) as site:
        site.manage("add_job", str(study), "wait")
        start_runner(site)
        wait_until(lambda: any("/containers/json" in request for request in requests), what="the list call")
        site.manage("add_job", str(study), "wait", "--workspace", "second")
        site.change(
            "UPDATE jobs_job SET stop_request = 'cancel', stop_requested_by = 'alice',"
            " stop_requested_at = '2026-01-01 00:00:00' WHERE workspace = 'second'"
        )
        ended = "SELECT 1 FROM jobs_job WHERE workspace = 'second' AND status_code = 'cancelled_by_user'"
        wait_until(lambda: site.query(ended), seconds=LONGEST_SECONDS, what="the cancel")


def waits_for_database(site: Site, pid: int) -> bool:
    """Whether its main thread sleeps a moment between two tries for a lock, as SQLite does and our own loops do not; or
    the server says that somebody waits."""
    if SERVER:
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return bool(site.query(waiting))
    return "nanosleep" in Path(f"/proc/{pid}/wchan").read_text()


def test_a_locked_database_does_not_hold_up_the_end(tmp_path, study):
    with Site(tmp_path, EXECUTOR="fake") as site, site.database.held():
        runner = start_runner(site)  # its first turn writes a sign of life and waits for the lock
        wait_until(lambda: waits_for_database(site, runner.pid), what="the wait for the lock")
        output = end(runner)
    assert "ending in the middle of a call" in output
