"""What ends the loop's pause early, and that no hint is lost."""

import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection

from jobs.models import Flag
from jobs.wake import Wake
from tests.threads import in_another_thread

pytestmark = pytest.mark.django_db(transaction=True)

LONG = 20.0
SHORT = 0.05


def seconds_of(action: Callable[[], None]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def write_from_another_connection() -> None:
    in_another_thread(write)


def write() -> None:
    Flag.switch("paused", "on", by="somebody", reason="as tests do")


def test_without_a_hint_the_pause_lasts_as_long_as_it_was_told():
    wake = Wake()
    wake.begin()
    assert SHORT <= seconds_of(lambda: wake.wait(SHORT)) < LONG


def test_a_hint_before_the_pause_ends_it_at_once():
    wake = Wake()
    wake.begin()
    wake.set()
    assert seconds_of(lambda: wake.wait(LONG)) < LONG / 2


def test_a_hint_from_another_thread_ends_the_pause():
    wake = Wake()
    wake.begin()
    hinting = threading.Timer(SHORT, wake.set)
    hinting.start()
    assert seconds_of(lambda: wake.wait(LONG)) < LONG / 2
    hinting.join()


def test_many_hints_end_one_pause():
    wake = Wake()
    wake.begin()
    for _ in range(1000):
        wake.set()
    wake.wait(LONG)
    assert seconds_of(lambda: wake.wait(SHORT)) >= SHORT


def test_what_another_connection_has_written_during_the_turn_ends_the_pause():
    wake = Wake()
    wake.begin()
    write_from_another_connection()
    assert seconds_of(lambda: wake.wait(LONG)) < LONG / 2


def test_what_another_connection_writes_during_the_pause_ends_it():
    wake = Wake()
    wake.begin()
    writing = threading.Timer(SHORT, write_from_another_connection)
    writing.start()
    assert seconds_of(lambda: wake.wait(LONG)) < LONG / 2
    writing.join()


def test_a_turns_own_writing_does_not_end_the_pause():
    wake = Wake()
    wake.begin()
    write()
    assert seconds_of(lambda: wake.wait(SHORT)) >= SHORT


@pytest.mark.parametrize("is_written_in_turn", [[True, True, True], [False, True, True], [True, False, True]])
def test_no_writing_is_missed_although_each_turn_has_a_connection_of_its_own(is_written_in_turn):
    """SQLite counts the changes anew for each connection, and between two turns it is closed."""
    wake = Wake()
    woken = []
    for is_written in is_written_in_turn:
        connection.close()
        wake.begin()
        if is_written:
            write_from_another_connection()
        pause = LONG if is_written else 10 * SHORT
        woken.append(seconds_of(lambda seconds=pause: wake.wait(seconds)) < pause / 2)
    assert woken == is_written_in_turn
