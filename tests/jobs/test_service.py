"""How a long-running command lives and ends."""

import os
import signal
import subprocess
import sys

import pytest
from django.db import OperationalError, connection

from jobs.service import DatabaseReplaced, Stop, run_forever, stopped_by_signals

# Each turn looks at the connections that earlier tests may have left open.
pytestmark = pytest.mark.django_db

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

# Waits as the loop does while another process sends signals as fast as it can.
FLOODED = """
import os, signal, subprocess, sys, time
import django
django.setup()
from jobs.service import stopped_by_signals
from jobs.wake import Wake
wake = Wake()
flood = [sys.executable, "-c", "import os, time\\nwhile True: os.kill(%d, 15), time.sleep(0.0001)" % os.getpid()]
with stopped_by_signals() as stop:
    stop.wake = wake.set
    flooding = subprocess.Popen(flood, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        wake.wait(0.0005)
    flooding.kill()
    flooding.wait()
    print("still alive", stop.is_set())
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_says_stop_and_ends_the_pause(number):
    woken = []
    with stopped_by_signals() as stop:
        stop.wake = lambda: woken.append(True)
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.is_set()
    assert woken == [True]


def test_the_old_handlers_come_back_also_after_an_error():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(RuntimeError), stopped_by_signals():
        assert [signal.getsignal(number) for number in SIGNALS] != before
        raise RuntimeError
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.slow_test
def test_no_flood_of_signals_makes_the_process_hang(tmp_path):
    """Handlers run between any two instructions: had the pause a lock that they need, this would hang in no time."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "jobrunner_site.settings", "WORK_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", FLOODED], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == "still alive True\n", done.stderr[-2000:]


def test_turns_go_on_until_one_says_that_it_was_the_last():
    turns = iter([True, True, False])
    pauses = []
    run_forever(lambda: next(turns), lambda: pauses.append(True), Stop())
    assert list(turns) == []
    assert pauses == [True, True]


def test_a_stop_during_a_turn_lets_it_finish_and_ends_without_a_pause():
    stop, done = Stop(), []

    def turn() -> bool:
        stop.set()
        done.append("turn")
        return True

    run_forever(turn, lambda: done.append("pause"), stop)
    assert done == ["turn"]


def test_a_stop_during_a_pause_begins_no_other_turn():
    stop, done = Stop(), []
    run_forever(lambda: not done.append("turn"), stop.set, stop)
    assert done == ["turn"]


def test_an_error_in_a_turn_ends_the_process_rather_than_being_hidden():
    def turn() -> bool:
        raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        run_forever(turn, lambda: None, Stop())


def test_a_locked_database_or_a_full_disk_is_waited_for_and_told_once(caplog):
    troubles = ["database is locked", "database is locked", "database or disk is full"]

    def turn() -> bool:
        if troubles:
            raise OperationalError(troubles.pop())
        return False

    pauses = []
    run_forever(turn, lambda: pauses.append(True), Stop())

    assert len(pauses) == 3
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["waiting for the database"]


def test_a_database_that_is_broken_ends_the_process():
    def turn() -> bool:
        raise OperationalError("no such table: jobs_job")

    with pytest.raises(OperationalError):
        run_forever(turn, lambda: None, Stop())


@pytest.mark.sqlite_only
def test_a_database_file_that_was_replaced_ends_the_process_before_anything_is_written(monkeypatch, tmp_path):
    file = tmp_path / "db.sqlite3"
    file.touch()
    monkeypatch.setitem(connection.settings_dict, "NAME", str(file))
    turns = []

    def turn() -> bool:
        turns.append(True)
        file.rename(tmp_path / "moved")
        return True

    with pytest.raises(DatabaseReplaced, match=r"db.sqlite3 was moved, deleted or replaced"):
        run_forever(turn, lambda: None, Stop())
    assert len(turns) == 1 and not file.exists()


def test_who_is_to_outlive_the_terminal_does():
    """As `nohup` starts it."""
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, old)


HANGING = """
import ctypes
import time
import django
django.setup()
lib, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
lib.pthread_mutex_lock(mutex)
from jobs import service
service.LONGEST_END_SECONDS = 0.5
with service.stopped_by_signals():
    print("hangs", flush=True)
    while True:
        {call}
"""


@pytest.mark.parametrize("call", ["time.sleep(60)", "lib.pthread_mutex_lock(mutex)"], ids=["in Python", "in C"])
def test_a_main_thread_that_hangs_does_not_hold_up_the_end(call):
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    code = HANGING.format(call=call)
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout.readline() == "hangs\n"
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
