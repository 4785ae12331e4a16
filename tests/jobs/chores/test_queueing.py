"""The queue's own rows: as they should be after whatever was done to them, and a hint that may be lost."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage

from jobs.chores import chores
from jobs.chores.queueing import MOST_QUEUED, SCHEDULED, keep_schedules, next_run, next_runs, queue_what_was_asked
from jobs.chores.table import CHORES
from jobs.models import ChoreRun

pytestmark = pytest.mark.django_db

SNAPSHOT = next(each for each in CHORES if each.name == "snapshot")


def scheduled() -> set[str]:
    return {each.name for each in chores() if each.is_scheduled}


def last_done(ago: timedelta) -> None:
    at = timezone.now() - ago
    ChoreRun.objects.create(
        chore="snapshot", asked_at=at, started_at=at, ended_at=at, outcome="done", said="fine"
    )  # fmt: skip


def test_there_is_one_schedule_for_each_chore_that_is_done_by_itself():
    assert keep_schedules() == len(scheduled())
    rows = list(Schedule.objects.values_list("name", "func"))
    assert sorted(rows) == sorted((name, SCHEDULED) for name in scheduled())
    assert {"snapshot", "storage", "old-rows", "old-files", "leftovers"} <= scheduled()
    assert "notify" not in scheduled() and "images" not in scheduled()  # nobody is named, and nobody wants it


def test_nothing_is_written_while_all_is_as_it_should_be(django_assert_num_queries):
    keep_schedules()
    with django_assert_num_queries(1):
        assert keep_schedules() == 0


def test_schedules_that_are_gone_are_made_again():
    keep_schedules()
    Schedule.objects.all().delete()
    assert keep_schedules() == len(scheduled())


def test_a_schedule_that_is_doubled_is_one_again():
    keep_schedules()
    row = Schedule.objects.get(name="snapshot")
    row.pk = None
    row.save()
    keep_schedules()
    assert Schedule.objects.filter(name="snapshot").count() == 1


@pytest.mark.parametrize(
    "change",
    [
        {"func": "os.system", "args": "('touch /tmp/x',)"},
        {"args": "('prune',)"},
        {"repeats": 0},
        {"schedule_type": "O"},
        {"hook": "os.system"},
        {"kwargs": "a=1"},
        {"next_run": None},
        {"cluster": "elsewhere"},
        {"next_run": timezone.now() + timedelta(days=400)},
    ],
)
def test_a_schedule_that_somebody_has_changed_is_put_right(change):
    keep_schedules()
    Schedule.objects.filter(name="snapshot").update(**change)
    assert keep_schedules() > 0
    row = Schedule.objects.get(name="snapshot")
    assert (row.func, row.args, row.repeats, row.schedule_type) == (SCHEDULED, "('snapshot',)", -1, Schedule.DAILY)
    assert row.next_run <= timezone.now() + timedelta(days=2)


def test_a_schedule_of_nobodys_is_removed():
    Schedule.objects.create(name="mine", func="os.system", args="('id',)")
    Schedule.objects.create(func="os.system")
    keep_schedules()
    assert not Schedule.objects.filter(func="os.system").exists()


def test_switching_something_on_and_off_needs_no_more_than_a_start(settings):
    settings.NOTIFY_EMAILS, settings.UPDATE_IMAGES_DAILY = ("a@example.org",), True
    keep_schedules()
    assert {"notify", "images"} <= set(next_runs())
    settings.NOTIFY_EMAILS, settings.UPDATE_IMAGES_DAILY = (), False
    keep_schedules()
    assert not {"notify", "images"} & set(next_runs())


def test_a_daily_chore_is_done_at_the_sites_hour_and_what_was_missed_at_once(settings):
    now = timezone.now()
    assert next_run(SNAPSHOT) <= timezone.now()  # never done yet
    last_done(timedelta(hours=30))
    assert next_run(SNAPSHOT) <= timezone.now()
    last_done(timedelta(hours=3))
    for settings.CHORES_HOUR in range(24):
        at = next_run(SNAPSHOT)
        assert at.hour == settings.CHORES_HOUR and now < at <= now + timedelta(days=1, minutes=1)


def test_what_was_caught_up_with_goes_back_to_its_hour(settings):
    keep_schedules()
    last_done(timedelta(minutes=1))
    # The queue adds a day to the time at which it was due.
    at = timezone.now() + timedelta(days=1)
    settings.CHORES_HOUR = (at.hour + 5) % 24
    Schedule.objects.filter(name="snapshot").update(next_run=at)
    keep_schedules()
    assert next_runs()["snapshot"].hour == settings.CHORES_HOUR


def test_what_is_asked_for_is_put_into_the_queue_once_and_again_if_nobody_begins_it():
    run, _ = ChoreRun.objects.ask("storage", "study", by="olive", via="command", reason="to see")
    assert queue_what_was_asked() == 1 and queue_what_was_asked() == 0
    task = SignedPackage.loads(OrmQ.objects.get().payload)
    assert (task["func"], task["args"]) == ("jobs.chores.work.asked", (run.pk,))
    OrmQ.objects.all().delete()
    ChoreRun.objects.update(queued_at=timezone.now() - timedelta(seconds=21))
    assert queue_what_was_asked() == 1 and OrmQ.objects.count() == 1


def test_a_queue_that_nobody_serves_does_not_grow_for_ever():
    ChoreRun.objects.ask("storage", "study", by="olive", via="command", reason="to see")
    for _ in range(MOST_QUEUED + 10):
        queue_what_was_asked()
        ChoreRun.objects.update(queued_at=timezone.now() - timedelta(minutes=2))
    assert OrmQ.objects.count() == MOST_QUEUED


def test_with_nothing_to_do_it_is_one_question(django_assert_num_queries):
    with django_assert_num_queries(1):
        queue_what_was_asked()
