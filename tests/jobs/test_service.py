"""How a long-running command lives and ends."""

import os
import signal
import subprocess
import sys

import pytest

from jobs.service import Stop, run_forever, stopped_by_signals

# Each turn looks at the connections that earlier tests may have left open.
pytestmark = pytest.mark.django_db

SIGNALS = (signal.SIGTERM, signal.SIGINT)

# Waits as the loop does while another process sends signals as fast as it can.
FLOODED = """
import os, signal, subprocess, sys, time
import django
django.setup()
from jobs.service import stopped_by_signals
from runner.wake import Wake
wake = Wake()
flood = [sys.executable, "-c", "import os, time\\nwhile True: os.kill(%d, 15), time.sleep(0.0001)" % os.getpid()]
with stopped_by_signals(wake.set) as stop:
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
    with stopped_by_signals(lambda: woken.append(True)) as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.is_set()
    assert woken == [True]


def test_the_old_handlers_come_back_also_after_an_error():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(RuntimeError), stopped_by_signals(lambda: None):
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


HANGING = """
import time
import django
django.setup()
from jobs import service
service.LONGEST_END_SECONDS = 0.5
with service.stopped_by_signals(lambda: None):
    print("hangs", flush=True)
    while True:
        time.sleep(60)
"""


def test_a_main_thread_that_hangs_does_not_hold_up_the_end():
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    process = subprocess.Popen([sys.executable, "-c", HANGING], env=environment, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline() == "hangs\n"
        process.terminate()
        assert process.wait(20) == 0
