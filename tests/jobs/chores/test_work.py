"""What a worker does with an entry of the queue: once, whatever comes twice; and the row says what came of it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import chores
from jobs.chores import Chore, ChoreFailed, Done, work
from jobs.models import ChoreRun
from jobs.processes import this_process

pytestmark = pytest.mark.django_db

TOO_LONG = "It took longer than a chore may, and was ended. Ask for it again, or use its command at the machine."

calls: list[ChoreRun] = []
ends: list[Exception | BaseException | Done] = []


def do(run: ChoreRun) -> Done:
    calls.append(run)
    end = ends.pop() if ends else Done("fine", {"number": 1})
    if isinstance(end, BaseException):
        raise end
    return end


@pytest.fixture(autouse=True)
def known(monkeypatch) -> None:
    calls.clear(), ends.clear()
    here = f"{__name__}.do"
    table = [
        Chore("hourly", "Hourly", "", here, every=timedelta(hours=1)),
        Chore("asked", "Asked", "", here, takes="workspace"),
        Chore("off", "Off", "", here, every=timedelta(hours=1), off=lambda: "not here"),
        Chore("gone", "Gone", "", "tests.no_such_module.do"),
    ]
    monkeypatch.setattr(chores, "_chores", {each.name: each for each in table})


def ask(name: str = "asked", argument: str = "study") -> ChoreRun:
    return ChoreRun.objects.ask(name, argument, by="olive", via="command", reason="to see")[0]


def test_what_is_asked_for_is_done_once_however_often_the_queue_brings_it():
    run = ask()
    for _ in range(3):
        work.asked(run.pk)
    run.refresh_from_db()
    assert (len(calls), run.outcome, run.said, run.detail) == (1, "done", "fine", {"number": 1})
    assert calls[0].worker == this_process() and calls[0].argument == "study"


def test_an_entry_whose_row_is_gone_is_nothing():
    work.asked(10**9)
    assert not calls


def test_what_the_schedule_wants_twice_is_done_once():
    work.scheduled("hourly")
    work.scheduled("hourly")
    assert len(calls) == 1 and ChoreRun.objects.get().asked_by == ""
    ChoreRun.objects.update(started_at=timezone.now() - timedelta(minutes=59))
    work.scheduled("hourly")
    assert len(calls) == 2


@pytest.mark.parametrize("name", ["off", "asked", "never heard of"])
def test_the_schedule_does_nothing_that_it_is_not_there_for(name):
    work.scheduled(name)
    assert not calls and not ChoreRun.objects.exists()


def test_a_chore_that_fails_says_why():
    ends.append(ChoreFailed("the disk is\x00 full"))
    work.asked(ask().pk)
    run = ChoreRun.objects.get()
    assert (run.outcome, run.said) == ("failed", "the disk is\ufffd full")


def test_a_fault_of_ours_is_told_without_its_words_and_logged_with_them(caplog):
    ends.append(RuntimeError("something about patients"))
    work.asked(ask().pk)
    run = ChoreRun.objects.get()
    assert (run.outcome, run.said) == ("failed", "A fault of the job runner (RuntimeError): see the runner's log.")
    assert "something about patients" in caplog.text


def test_a_worker_that_the_queue_ends_says_so_and_ends():
    ends.append(SystemExit("Task exceeded maximum timeout value"))
    with pytest.raises(SystemExit):
        work.asked(ask().pk)
    run = ChoreRun.objects.get()
    assert (run.outcome, run.said) == ("failed", TOO_LONG)


@pytest.mark.parametrize("name", ["gone", "of an older version"])
def test_what_this_version_cannot_do_fails_and_is_no_riddle(name):
    run = ChoreRun.objects.create(chore=name)
    work.asked(run.pk)
    run.refresh_from_db()
    assert run.failed and run.said
