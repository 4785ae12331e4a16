"""Children that are kept alive: started again, ever more slowly, and never left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import supervising
from jobs.service import Stop
from jobs.supervising import Child, keep_alive
from tests.clocks import Clock
from tests.demo.test_server import lives
from tests.site import Site, wait_until


@pytest.fixture
def clock() -> Clock:
    return Clock()


def child(clock: Clock, code: str) -> Child:
    return Child("manage.py test", [sys.executable, "-c", code], clock)


def refused(clock: Clock, *, is_held_here: bool) -> Child:
    """One that finds another at work whenever it starts, at a site where that may be on another machine."""
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    return Child("manage.py test", command, clock, lock_seconds=120.0, is_held_here=lambda: is_held_here)


def ended(one: Child) -> None:
    wait_until(lambda: one._process.poll() is not None, 20, "the child's end")


def test_what_ends_is_started_again_ever_more_slowly_until_it_has_lived_long(clock, caplog):
    one = child(clock, "raise SystemExit(1)")
    pauses = []
    for lived in (0, 0, 0, 3600):
        one.look()
        ended(one)
        clock.now += lived
        one.look()
        pauses.append(one._next_start - clock.now)
        clock.now = one._next_start
    assert pauses == [1.0, 2.0, 4.0, 1.0]
    assert "manage.py test ended with exit code 1; it is started again in 4 s" in caplog.text


def test_before_its_pause_is_over_it_is_not_started(clock):
    one = child(clock, "pass")
    one.look()
    ended(one)
    one.look()
    clock.now += 0.9
    one.look()
    assert one.pid is None
    clock.now += 0.1
    one.look()
    assert one.pid
    one.wait(20)


@pytest.mark.parametrize("code", [2, 3])
def test_what_a_new_start_would_not_mend_ends_the_parent(clock, code):
    one = child(clock, f"raise SystemExit({code})")
    one.look()
    ended(one)
    assert one.look() == code


def test_a_lock_that_a_vanished_machine_may_still_hold_is_waited_for_and_then_final(clock, caplog):
    one = refused(clock, is_held_here=False)
    began, codes = clock.now, []
    while not codes or codes[-1] is None:
        clock.now = max(clock.now, one._next_start)
        one.look()
        ended(one)
        codes.append(one.look())
    assert codes[-1] == 3 and 120 <= clock.now - began < 240 and len(codes) > 3
    assert "ended with exit code 3; it is started again in 2 s" in caplog.text


def test_a_lock_that_a_process_of_this_machine_holds_is_final_at_once(clock):
    one = refused(clock, is_held_here=True)
    one.look()
    ended(one)
    assert one.look() == 3


def test_who_has_worked_for_long_since_waits_for_the_lock_anew(clock):
    one = refused(clock, is_held_here=False)
    for _ in range(2):
        clock.now += 3600
        one.look()
        ended(one)
        assert one.look() is None


def test_a_child_that_was_killed_says_so(clock, caplog):
    one = child(clock, "import time; time.sleep(60)")
    one.look()
    os.kill(one.pid, signal.SIGKILL)
    ended(one)
    one.look()
    assert "was killed by signal 9" in caplog.text


def test_all_end_when_one_ends_for_good(monkeypatch):
    monkeypatch.setattr(supervising, "LOOK_EVERY_SECONDS", 0.01)
    sleeper = Child("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
    started = []
    real = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(real(*a, **k)) or started[-1])
    refuses = Child("refuses", [sys.executable, "-c", "raise SystemExit(3)"])
    assert keep_alive([sleeper, refuses], Stop()) == 3
    assert len(started) == 2 and all(process.poll() is not None for process in started)


def test_one_that_does_not_hear_is_killed(monkeypatch, caplog):
    monkeypatch.setattr(supervising, "STOP_SECONDS", 0.3)
    code = "import signal, sys, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    deaf, stop = Child("deaf", [sys.executable, "-c", code]), Stop()
    started = []
    real = subprocess.Popen

    def popen(*arguments, **options):
        started.append(real(*arguments, **options, stdout=subprocess.PIPE))
        started[-1].stdout.readline()
        stop.set()
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    assert keep_alive([deaf], stop) == 0
    assert started[0].returncode == -signal.SIGKILL and "it is killed" in caplog.text
    started[0].stdout.close()


# The command, with real processes


def children_of(pid: int) -> dict[str, int]:
    """Command -> pid."""
    found = {}
    for child in _words(f"/proc/{pid}/task/{pid}/children"):
        words = _words(f"/proc/{child}/cmdline", "\0")
        found |= {name: int(child) for name in ("sync", "run") if name in words}
    return found


def _words(path: str, parted_by: str | None = None) -> list[str]:
    try:
        return Path(path).read_text().split(parted_by)
    except OSError:
        return []


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path, EXECUTOR="fake") as site:
        yield site


def heard(site: Site) -> set[str]:
    return {name for (name,) in site.query("SELECT name FROM jobs_heartbeat")}


@pytest.mark.slow_test
def test_the_service_runs_both_starts_what_dies_anew_and_ends_with_all(site):
    service = site.start("service")
    wait_until(lambda: heard(site) == {"run", "sync"} or service.poll() is not None, 60, "both signs of life")
    first = children_of(service.pid)
    assert set(first) == {"sync", "run"}
    os.kill(first["run"], signal.SIGKILL)

    def is_another() -> bool:
        now = children_of(service.pid)
        return now.get("run", first["run"]) != first["run"] and now.get("sync") == first["sync"]

    wait_until(is_another, 60, "another runner")
    both = children_of(service.pid)
    service.terminate()
    output, _ = service.communicate(timeout=30)
    assert service.returncode == 0, output
    assert "manage.py run was killed by signal 9; it is started again in 1 s" in output
    assert not any(map(lives, both.values()))


@pytest.mark.slow_test
def test_nothing_outlives_a_service_that_is_killed(site):
    service = site.start("service")
    wait_until(lambda: heard(site) == {"run", "sync"} or service.poll() is not None, 60, "both signs of life")
    both = children_of(service.pid)
    service.kill()
    wait_until(lambda: not any(map(lives, both.values())), 30, "the children's end")


@pytest.mark.slow_test
def test_a_service_beside_a_runner_refuses_and_leaves_nothing_behind(site):
    runner = site.start("run")
    wait_until(lambda: heard(site) == {"run"} or runner.poll() is not None, 60, "the runner")
    output = site.manage("service", expect=3)
    assert "Another `manage.py run` is already driving" in output
    assert runner.poll() is None
