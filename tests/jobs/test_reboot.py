"""Is it safe to reboot? Said only where it is so, and stays so; else what is still waited for."""

from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from jobs.models import Flag, Heartbeat
from jobs.signs import Signs
from jobs.states import RUNNING_CODES, StatusCode
from jobs.system.reboot import DRAINING, OFF, PLANNED, SAFE, UNKNOWN, Readiness, readiness
from tests.factories import make_flag, make_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def flag() -> Flag:
    return make_flag(Flag.Name.REBOOT)


def said(age: timedelta = timedelta(0), reboot: object = None, **more) -> None:
    detail = {"reboot": reboot, **more}
    Heartbeat.objects.update_or_create(name="run", defaults={"at": timezone.now() - age, "detail": detail})


def drained(flag: Flag, **more) -> dict:
    return {"flag": flag.pk, "running": 0, "containers": 0} | more


def found() -> Readiness:
    flags = {name: flag for name, flag in Flag.objects.current().items() if flag.value}
    return readiness(flags, Signs.read())


def test_safe_is_said_when_no_job_is_at_work_and_the_runner_has_seen_that_of_this_very_switch(flag):
    said(reboot=drained(flag))
    assert found().state == SAFE
    assert found().sentence.startswith("Safe to reboot: no job is at work")


def test_it_stays_safe_when_the_runner_has_been_stopped(flag):
    """As operators do before a reboot."""
    said(age=timedelta(hours=1), reboot=drained(flag))
    assert found().state == SAFE


def test_nothing_is_safe_before_anybody_has_prepared_for_it(django_assert_num_queries):
    said(reboot={"flag": 1, "running": 0, "containers": 0})
    assert found().state == OFF
    signs = Signs.read()
    with django_assert_num_queries(0):
        readiness({}, signs)


@pytest.mark.parametrize("code", RUNNING_CODES)
def test_no_job_that_is_at_work_is_overlooked_whatever_the_runner_says(flag, code):
    job = make_job(code)
    said(reboot=drained(flag))
    assert (found().state, found().jobs, found().running) == (DRAINING, [job], 1)
    assert "1 job is being stopped or saved" in found().sentence


@pytest.mark.parametrize(
    "reboot",
    [
        None,
        "yes",
        {},
        {"running": 0, "containers": 0},
        {"flag": 0, "running": 0, "containers": 0},
        {"flag": True, "running": 0, "containers": 0},
    ],
)
def test_what_was_said_of_another_setting_of_the_switch_does_not_count(flag, reboot):
    said(reboot=reboot)
    assert found().state == DRAINING
    assert "has not seen the switch yet" in found().sentence


def test_switching_it_off_and_on_again_begins_anew(flag):
    said(reboot=drained(flag))
    make_flag(Flag.Name.REBOOT, value="")
    assert found().state == OFF
    make_flag(Flag.Name.REBOOT)
    assert found().state == DRAINING


def test_jobs_that_the_runner_still_saw_at_work_are_waited_for(flag):
    said(reboot=drained(flag, running=2, containers=None))
    assert found().state == DRAINING


def test_containers_that_still_run_are_named(flag):
    said(reboot=drained(flag, containers=2))
    assert (found().state, "2 containers of jobs still run" in found().text) == (DRAINING, True)


def test_an_engine_that_does_not_answer_leaves_it_open(flag):
    said(reboot=drained(flag, containers=None), engine_unavailable_since=timezone.now().timestamp() - 60)
    assert found().state == UNKNOWN
    assert "docker info" in found().text


def test_a_silent_runner_that_had_not_finished_leaves_it_open(flag):
    make_job(StatusCode.EXECUTING)
    said(age=timedelta(hours=1), reboot=drained(flag, running=1, containers=None))
    assert found().state == UNKNOWN
    assert "Start `manage.py run`" in found().text


def test_a_runner_that_was_never_heard_leaves_it_open(flag):
    assert found().state == UNKNOWN
    assert "containers may still run" in found().text


def test_very_many_jobs_are_counted_and_the_oldest_named(flag, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("jobs.system.reboot.MOST_JOBS", 3)
    jobs = [make_job(StatusCode.EXECUTING) for _ in range(5)]
    said(reboot=drained(flag))
    signs = Signs.read()
    with django_assert_num_queries(2):
        answer = readiness({"reboot": flag}, signs)
    assert (answer.jobs, answer.running) == (jobs[:3], 5)


def test_a_switch_that_has_lapsed_is_off():
    make_flag(Flag.Name.REBOOT, expires_at=timezone.now() - timedelta(seconds=1))
    assert found().state == OFF


# Planned for later


def planned(**ahead: float) -> Flag:
    return make_flag(Flag.Name.REBOOT, due_at=timezone.now() + timedelta(**ahead))


def lasted(action: str, minutes: float) -> None:
    ended = timezone.now()
    make_job(StatusCode.SUCCEEDED, action=action, started_at=ended - timedelta(minutes=minutes), completed_at=ended)


def test_a_planned_one_counts_down_and_says_who_will_not_be_done():
    lasted("short", 10)
    lasted("long", 120)
    for action in ("short", "long", "new"):
        make_job(StatusCode.EXECUTING, action=action)
    planned(hours=1, seconds=30)
    answer = found()
    assert (answer.state, answer.running, len(answer.jobs)) == (PLANNED, 3, 3)
    assert "in 1h" in answer.text and "3 jobs are at work" in answer.text
    assert "1 will by past runs not be done by then" in answer.text and "of 1 nobody knows" in answer.text


def test_a_planned_one_without_jobs_says_what_may_start():
    planned(hours=1)
    assert found().state == PLANNED and "No job is at work" in found().text


def test_when_its_time_has_come_it_is_like_any_other():
    flag = planned(hours=1)
    Flag.objects.filter(pk=flag.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    said(reboot=drained(flag))
    assert found().state == SAFE


def test_only_a_reboot_can_be_planned():
    with pytest.raises(IntegrityError):
        make_flag(Flag.Name.PAUSED, due_at=timezone.now())
