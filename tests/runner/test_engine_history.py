"""How the engine answered at night is still known in the morning, and after a restart of the runner."""

from datetime import UTC, datetime, timedelta

import pytest

from jobs.models import Heartbeat
from jobs.signs import Signs
from jobs.system.check import OK, WARN
from jobs.system.engine_checks import engine_hours
from runner.engine_history import MOST, EngineHistory
from runner.engine_watch import EngineWatch
from runner.executors.fake import FakeExecutor
from tests.site import wait_until

NIGHT = datetime(2026, 11, 26, 2, 7, 30, tzinfo=UTC)


def at(**later: float) -> datetime:
    return NIGHT + timedelta(**later)


def test_a_quarter_of_an_hour_is_one_entry():
    history = EngineHistory()
    for minutes, ms in ((0, 5.0), (1, 80.0), (7, None), (8, 4.0), (9, None)):
        history.note(at(minutes=minutes), ms)
    assert history.report() == [
        {"at": "2026-11-26T02:00:00.000000Z", "asked": 3, "failed": 1, "worst_ms": 80.0},
        {"at": "2026-11-26T02:15:00.000000Z", "asked": 2, "failed": 1, "worst_ms": 4.0},
    ]


def test_only_the_last_hours_are_kept():
    history = EngineHistory()
    for hours in range(100):
        history.note(at(hours=hours), 1.0)
    assert len(history.report()) == MOST and history.report()[-1]["at"].startswith("2026-11-30T05")


def test_a_clock_that_is_set_back_begins_an_entry_of_its_own():
    history = EngineHistory()
    history.note(at(hours=1), 1.0)
    history.note(NIGHT, 1.0)
    assert [each["asked"] for each in history.report()] == [1, 1]


@pytest.mark.django_db
def test_the_next_process_goes_on_from_there():
    history = EngineHistory()
    history.note(NIGHT, 1.0)
    Heartbeat.beat("run", engine_hours=history.report())
    following = EngineHistory.continued()
    following.note(at(minutes=1), None)
    assert [(each["asked"], each["failed"]) for each in following.report()] == [(2, 1)]


@pytest.mark.parametrize(
    "before", [None, "x", {}, [1, "x"], [{}], [{"at": "never", "asked": 3}], [{"at": None, "asked": "3"}]]
)
def test_what_an_earlier_process_said_wrongly_counts_as_not_said(before):
    assert EngineHistory(before).report() == []


@pytest.mark.django_db
def test_without_an_earlier_process_it_begins_empty():
    assert EngineHistory.continued().report() == []
    Heartbeat.beat("run")
    assert EngineHistory.continued().report() == []


def test_each_question_to_the_engine_counts():
    executor = FakeExecutor()
    watch = EngineWatch(executor)
    watch.close()
    wait_until(lambda: not watch._thread.is_alive(), 20, "the end of its own first question")
    before = sum(each["asked"] for each in watch.history.report())
    watch.ask()
    executor.unavailable = "gone"
    watch.ask()
    found = watch.history.report()
    assert sum(each["asked"] for each in found) == before + 2 and sum(each["failed"] for each in found) == 1


@pytest.mark.django_db
def test_the_system_page_has_a_check_of_it():
    def check(*quarters: dict):
        Heartbeat.beat("run", engine_hours=list(quarters))
        return list(engine_hours(Signs.read().run.engine_hours))

    assert check() == []
    quiet = {"at": "2026-11-26T02:00:00Z", "asked": 60, "failed": 1, "worst_ms": 80.0}
    (found,) = check(quiet)
    assert found.state == OK and found.value == "1 of 60 questions without an answer, the slowest took 80 ms"
    assert found.answers[0].error == "1 of 60 without an answer"
    assert check(quiet | {"failed": 4})[0].state == check(quiet | {"worst_ms": 2500.0})[0].state == WARN
    assert check(quiet | {"failed": 10**6})[0].value.startswith("60 of 60")
