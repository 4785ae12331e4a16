"""The watch over the process of chores: what waits is queued, what stands still is started again, none of it hurts."""

import pytest
from django.db import OperationalError
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage

from jobs.chores import work
from jobs.chores.queueing import PING
from jobs.models import ChoreRun
from runner.chores import watch as module
from runner.chores.watch import PING_SECONDS, SILENT_SECONDS, ChoreWatch
from tests.clocks import Clock

pytestmark = pytest.mark.django_db


class FakeChild:
    """A process that only counts."""

    pid, starts = 4711, 1

    def __init__(self):
        self.looks = self.kills = 0

    def look(self) -> None:
        self.looks += 1

    def kill(self) -> None:
        self.kills += 1


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock)
    return clock


@pytest.fixture
def watch(clock) -> ChoreWatch:
    watch = ChoreWatch(is_wanted=False)
    watch.child = FakeChild()
    return watch


def pings() -> int:
    return sum(SignedPackage.loads(row.payload)["func"] == PING for row in OrmQ.objects.all())


def test_a_look_makes_the_schedules_queues_what_was_asked_and_looks_after_the_process(watch, clock):
    clock.now += 1000
    ChoreRun.objects.ask("storage", "study", by="olive", via="command", reason="to see")
    watch.look()
    assert Schedule.objects.exists() and OrmQ.objects.exists() and watch.child.looks == 1
    assert ChoreRun.objects.get().queued_at is not None


def test_it_asks_for_a_sign_now_and_then_and_not_again_before_it_has_come(watch, clock):
    watch.look()
    assert pings() == 0
    clock.now += PING_SECONDS
    watch.look()
    watch.look()
    assert pings() == 1
    work.answer_ping()
    watch.look()
    assert pings() == 1
    clock.now += PING_SECONDS
    watch.look()
    assert pings() == 2 and watch.child.kills == 0


def test_a_process_that_gives_no_sign_is_started_again(watch, clock, caplog):
    clock.now += PING_SECONDS
    watch.look()
    clock.now += SILENT_SECONDS - 1
    watch.look()
    assert watch.child.kills == 0
    clock.now += 1
    watch.look()
    assert watch.child.kills == 1 and "serves its queue no more" in caplog.text
    watch.look()
    assert watch.child.kills == 1


def test_workers_that_are_all_at_work_are_not_disturbed(watch, clock):
    run, _ = ChoreRun.objects.ask("storage", "study", by="olive", via="command", reason="to see")
    ChoreRun.objects.claim(run.pk, work.this_process())
    clock.now += PING_SECONDS
    watch.look()
    for _ in range(5):
        clock.now += SILENT_SECONDS
        watch.look()
    assert watch.child.kills == 0


def test_what_a_worker_of_another_host_had_begun_is_taken_over_at_the_start_only(watch):
    """In a container each start has another host's name."""
    for name in ("first", "second"):
        run, _ = ChoreRun.objects.ask("storage", name, by="olive", via="command", reason="to see")
        ChoreRun.objects.claim(run.pk, "another-host 1 x-1")
        watch.look()
    waiting = dict(ChoreRun.objects.values_list("argument", "worker"))
    assert waiting == {"first": "", "second": "another-host 1 x-1"}


def test_a_trouble_with_the_database_is_told_once_and_ends_nothing(watch, monkeypatch, caplog):
    def locked() -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(module, "queue_what_was_asked", locked)
    watch.look()
    watch.look()
    assert caplog.text.count("chores cannot be looked after now: OperationalError: database is locked") == 1


def test_switched_off_there_is_no_process(settings):
    settings.CHORES = False
    watch = ChoreWatch()
    assert watch.report() == {"on": False, "pid": None, "starts": 0}
    watch.close()


def test_a_look_costs_little_while_nothing_is_to_be_done(watch, clock, django_assert_max_num_queries):
    watch.look()
    with django_assert_max_num_queries(4):
        watch.look()
