"""What systemd hears of real processes: a socket of the test's own stands where systemd would listen."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import OperationalError

from jobs import notify
from jobs.service import Stop, run_forever
from tests.site import ROOT, Site, wait_until

WATCHDOG_MICROSECONDS = "2000000"


class Listener:
    """Collects the lines that come; each with the number of its sender would need the kernel's word: not asked here."""

    def __init__(self, place: str):
        self.place, self.lines = place, []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(place)
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        with contextlib.suppress(OSError):
            while text := self._socket.recv(4096):
                self.lines += text.decode().split("\n")

    def has(self, line: str) -> bool:
        return line in self.lines

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def listener(tmp_path) -> Iterator[Listener]:
    found = Listener(str(tmp_path / "notify"))
    yield found
    found.close()


def installation(folder: Path, listener: Listener) -> Site:
    site = Site(folder, EXECUTOR="fake", JOB_LOOP_INTERVAL="60")
    site.environment_of_service = {"NOTIFY_SOCKET": listener.place, "WATCHDOG_USEC": WATCHDOG_MICROSECONDS}
    return site


@pytest.mark.slow_test
@pytest.mark.parametrize("command", [["run"], ["sync", "--plan-only"]], ids=" ".join)
def test_a_process_is_ready_with_its_first_turn_lives_while_it_turns_and_says_that_it_stops(
    tmp_path, listener, command
):
    with installation(tmp_path / "site", listener) as site:
        assert listener.lines == []
        site.environment |= site.environment_of_service
        process = site.start(*command)
        wait_until(lambda: listener.has("READY=1"), what="the word that it is ready")
        holder = (site.work_dir / f"{command[0]}.lock").read_text()
        assert holder.startswith(f"pid {process.pid} ")
        assert any(line.startswith("STATUS=") for line in listener.lines)
        # JOB_LOOP_INTERVAL is a minute: it turns all the same, as it is watched.
        seen = listener.lines.count("WATCHDOG=1")
        wait_until(lambda: listener.lines.count("WATCHDOG=1") > seen + 2, what="more signs of life")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0, output
        wait_until(lambda: listener.has("STOPPING=1"), what="the word that it stops")
        assert listener.lines.count("READY=1") == 1


@pytest.mark.slow_test
def test_the_service_speaks_for_its_children_which_do_not(tmp_path, listener):
    with installation(tmp_path / "site", listener) as site:
        site.environment |= site.environment_of_service
        service = site.start("service")
        wait_until(lambda: listener.has("READY=1"), what="the word that it is ready")
        wait_until(lambda: len(site.query("SELECT 1 FROM jobs_heartbeat")) == 2, what="both at work")
        seen = listener.lines.count("WATCHDOG=1")
        wait_until(lambda: listener.lines.count("WATCHDOG=1") > seen + 2, what="more signs of life")
        assert [line for line in listener.lines if re.fullmatch(r"STATUS=.*sync: pid \d+, .*run: pid \d+", line)]
        service.send_signal(signal.SIGTERM)
        output, _ = service.communicate(timeout=30)
        assert service.returncode == 0, output
        wait_until(lambda: listener.has("STOPPING=1"), what="the word that it stops")
        assert listener.lines.count("READY=1") == listener.lines.count("STOPPING=1") == 1


@pytest.mark.django_db
def test_who_only_waits_for_the_database_is_not_ready_and_asks_for_more_time(settings, listener):
    settings.NOTIFY_SOCKET, settings.WATCHDOG_SECONDS = listener.place, 180
    troubles, heard, stop = ["database is locked"] * 2, [], Stop()

    def turn() -> bool:
        if troubles:
            raise OperationalError(troubles.pop())
        stop.set()
        return True

    def pause() -> None:
        wait_until(lambda: listener.has("STATUS=waiting for the database: see the log"), what="why it waits")
        heard.append(list(listener.lines))

    run_forever(turn, pause, stop)
    assert "STATUS=waiting for the database: see the log" in heard[-1] and "EXTEND_TIMEOUT_USEC=120000000" in heard[-1]
    assert "READY=1" not in heard[-1]
    wait_until(lambda: listener.has("READY=1") and listener.has("STOPPING=1"), what="the word that it was ready")


@pytest.mark.slow_test
def test_a_second_runner_is_never_ready(tmp_path, listener):
    with installation(tmp_path / "site", listener) as site:
        first = site.start("run")
        wait_until(lambda: site.query("SELECT 1 FROM jobs_heartbeat WHERE name = 'run'"), what="the first one")
        site.environment |= site.environment_of_service
        assert f"pid {first.pid}" in site.manage("run", expect=3)
        assert listener.lines == []


@pytest.mark.slow_test
def test_gunicorn_is_ready_when_it_listens_and_its_children_do_not_speak(tmp_path, listener):
    with installation(tmp_path / "site", listener) as site:
        log = (tmp_path / "web.log").open("wb")
        web = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "python:jobrunner_site.gunicorn_conf", "-b", "127.0.0.1:0"],
            env=site.environment | site.environment_of_service, cwd=ROOT, stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        try:
            wait_until(lambda: listener.has("READY=1") or web.poll() is not None, what="the word that it is ready")
            wait_until(lambda: (tmp_path / "web.log").read_bytes().count(b"Booting worker") == 2, what="the workers")
        finally:
            web.terminate()
            assert web.wait(40) == 0, (tmp_path / "web.log").read_text()
        wait_until(lambda: listener.has("STOPPING=1"), what="the word that it stops")
        assert listener.lines.count("READY=1") == 1


@pytest.mark.django_db
def test_a_turn_that_hangs_gives_no_sign_of_life(settings, listener):
    settings.NOTIFY_SOCKET, settings.WATCHDOG_SECONDS = listener.place, 1e-9  # each turn is due
    stop, goes_on, turns = Stop(), threading.Event(), []

    def turn() -> bool:
        turns.append(len(turns))
        if len(turns) == 3:
            # What has been sent is there at once: a datagram waits in the socket.
            wait_until(lambda: listener.lines.count("WATCHDOG=1") == 2, what="two signs of life")
            assert not goes_on.wait(0.3)
            assert listener.lines.count("WATCHDOG=1") == 2
            stop.set()
        return True

    run_forever(turn, lambda: None, stop)
    wait_until(lambda: listener.lines.count("WATCHDOG=1") == 3 and listener.has("STOPPING=1"), what="the last words")


def test_a_socket_that_nobody_reads_holds_nobody_up(settings, tmp_path):
    settings.NOTIFY_SOCKET = str(tmp_path / "nobody")
    notify.tell("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as silent:
        silent.bind(settings.NOTIFY_SOCKET)
        for _ in range(10_000):
            notify.tell("WATCHDOG=1")


def test_an_abstract_socket_is_understood(settings):
    name = f"jobrunner-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        listening.settimeout(10)
        settings.NOTIFY_SOCKET = f"@{name}"
        notify.tell("READY=1", "STATUS=x")
        assert listening.recv(100) == b"READY=1\nSTATUS=x"


UNITS = sorted((ROOT / "deploy" / "systemd").glob("*"))


def test_there_is_a_unit_for_each_process():
    assert [unit.name for unit in UNITS] == [
        "jobrunner-run.service", "jobrunner-sync.service", "jobrunner-web.service", "jobrunner.target",
    ]  # fmt: skip


def test_only_the_runner_gets_the_engine():
    assert [unit.name for unit in UNITS if "SupplementaryGroups=docker" in unit.read_text()] == [
        "jobrunner-run.service"
    ]


def test_systemd_takes_the_units_and_finds_them_safe(tmp_path):
    """Units of another version of systemd differ in little; where it is not installed nobody can say."""
    if not Path("/usr/bin/systemd-analyze").exists():
        pytest.skip("there is no systemd-analyze")
    for unit in UNITS:
        text = unit.read_text().replace("/srv/jobrunner/.venv", sys.prefix).replace("=/srv/jobrunner", f"={ROOT}")
        (tmp_path / unit.name).write_text(text)
    analyse = ("/usr/bin/systemd-analyze", "--man=no")
    for unit in UNITS:
        done = subprocess.run(
            [*analyse, "verify", str(tmp_path / unit.name)], capture_output=True, text=True, timeout=60, check=False
        )
        said = [line for line in done.stderr.splitlines() if "jobrunner" in line and "docker.service" not in line]
        assert said == [], done.stderr
        if unit.suffix == ".service":
            done = subprocess.run(
                [*analyse, "security", "--offline=yes", str(tmp_path / unit.name)],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
            assert found and float(found[1]) < 2.5, done.stdout + done.stderr
