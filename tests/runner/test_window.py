"""A planned reboot: what may still start, what waits, what becomes of the rest when the time has come."""

import threading
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Flag, Job
from jobs.states import StatusCode
from runner import window
from runner.executors.fake import FakeExecutor, FakeRun
from runner.loop import Runner
from runner.window import Window
from tests.factories import make_flag, make_job, make_request
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def has_taken(action: str, *minutes: float, **columns) -> None:
    """So long each; the newest last."""
    for lasted in minutes:
        ended = timezone.now()
        began = ended - timedelta(minutes=lasted)
        make_job(StatusCode.SUCCEEDED, action=action, started_at=began, completed_at=ended, **columns)


def split(due: datetime) -> tuple[list[str], list[str]]:
    fitting, late = Window().split(Job.objects.ready(), due)
    names = dict(Job.objects.values_list("pk", "action"))
    return [names[row.candidate.pk] for row in fitting], [names[row.candidate.pk] for row in late]


def ahead(**time: float) -> datetime:
    return timezone.now() + timedelta(**time)


def test_what_has_lately_taken_longer_than_is_left_waits_and_the_rest_may_start():
    has_taken("short", 10, 20)
    has_taken("long", 10, 90, 10)
    for action in ("long", "short", "new"):
        make_job(action=action)
    assert split(ahead(hours=1)) == (["short", "new"], ["long"])
    assert split(ahead(hours=2)) == (["long", "short", "new"], [])
    assert split(ahead(minutes=15)) == (["new"], ["long", "short"])


def test_only_the_last_five_successes_count():
    has_taken("table", 500, 10, 10, 10, 10, 10)
    make_job(action="table")
    assert split(ahead(hours=1)) == (["table"], [])


def test_runs_in_other_workspaces_and_failures_tell_nothing():
    has_taken("table", 500, workspace="other")
    ended = timezone.now()
    make_job(StatusCode.NONZERO_EXIT, action="table", started_at=ended - timedelta(hours=9), completed_at=ended)
    make_job(action="table")
    assert split(ahead(hours=1)) == (["table"], [])


def test_each_action_is_looked_up_once_and_all_together():
    request, looking = make_request(), Window()
    for number in range(40):
        make_job(request=request, action=f"action_{number}")
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            looking.split(Job.objects.ready(), ahead(hours=1))
        counts.append(len(queries))
    assert counts == [2, 1]


def test_what_was_looked_up_is_forgotten_after_a_while(monkeypatch):
    looking = Window()
    make_job(action="table")
    assert looking.split(Job.objects.ready(), ahead(hours=1))[1] == []
    has_taken("table", 90)
    assert looking.split(Job.objects.ready(), ahead(hours=1))[1] == []
    monkeypatch.setattr(window, "FORGET_SECONDS", 0)
    assert len(looking.split(Job.objects.ready(), ahead(hours=1))[1]) == 1


@pytest.fixture
def runner():
    runner = Runner(FakeExecutor(lambda spec: FakeRun(until=threading.Event())))
    yield runner
    runner.close()


def stored(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def test_the_loop_starts_what_fits_and_tells_the_others(runner, settings):
    settings.MAX_WORKERS = 1
    has_taken("long", 90)
    long, first, second = make_job(action="long"), make_job(action="short"), make_job(action="other")
    due = ahead(hours=1)
    flag = make_flag(Flag.Name.REBOOT, due_at=due)

    limited = Runner(FakeExecutor(lambda spec: FakeRun(until=threading.Event())))
    try:
        limited.tick()
        limited.tick()
    finally:
        limited.close()

    assert stored(first).has_begun
    assert (stored(second).status_code, stored(second).status_message) == (
        StatusCode.WAITING_ON_WORKERS, "Waiting: all 1 workers are busy.",
    )  # fmt: skip
    told = stored(long)
    assert told.status_code == StatusCode.WAITING_ON_REBOOT
    assert f"planned for {due:%Y-%m-%d %H:%M} UTC" in told.status_message and flag.reason in told.status_message


def test_a_turn_that_tells_nothing_new_writes_nothing(runner):
    has_taken("long", 90)
    make_job(action="long")
    make_flag(Flag.Name.REBOOT, due_at=ahead(hours=1))
    runner.tick()
    runner.tick()
    with CaptureQueriesContext(connection) as queries:
        runner.tick()
    assert not [query for query in queries if query["sql"].startswith("UPDATE") and "jobs_job" in query["sql"]]


def test_very_many_are_told_over_several_turns(runner, monkeypatch):
    monkeypatch.setattr("runner.starting.MOST_TOLD_IN_A_TURN", 2)
    has_taken("long", 90)
    for _ in range(5):
        make_job(action="long")
    make_flag(Flag.Name.REBOOT, due_at=ahead(hours=1))
    waiting = Job.objects.filter(status_code=StatusCode.WAITING_ON_REBOOT)
    counts = []
    for _ in range(3):
        runner.tick()
        counts.append(waiting.count())
    assert counts == [2, 4, 5]


def test_a_pause_holds_all_whatever_is_planned(runner):
    job = make_job(action="short")
    make_flag(Flag.Name.PAUSED)
    make_flag(Flag.Name.REBOOT, due_at=ahead(hours=1))
    runner.tick()
    assert stored(job).status_code == StatusCode.PAUSED


def test_when_the_time_has_come_what_runs_is_stopped(runner):
    job = make_job(StatusCode.PREPARED)
    flag = make_flag(Flag.Name.REBOOT, due_at=ahead(hours=1))

    def is_(code: StatusCode) -> bool:
        runner.tick()
        return stored(job).status_code == code

    wait_until(lambda: is_(StatusCode.EXECUTING), 20, "the start")
    Flag.objects.filter(pk=flag.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    wait_until(lambda: is_(StatusCode.WAITING_ON_REBOOT), 20, "the stop")
    assert stored(job).attempt == 2
