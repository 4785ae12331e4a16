"""Which jobs: the named querysets on small graphs, their cost with many rows, and moving many waiting jobs at once."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Flag, Heartbeat, InvalidTransition, Job, StatusChange
from jobs.states import ACTIVE_CODES, State, StatusCode
from tests.factories import make_flag, make_job, make_request

pytestmark = pytest.mark.django_db

WAITING = StatusCode.WAITING_ON_DEPENDENCIES


def bulk(number: int, code: StatusCode, state: State, **columns) -> list[Job]:
    request = make_request()
    completed_at = timezone.now() if state in (State.SUCCEEDED, State.FAILED) else None
    rows = [
        Job(
            request=request,
            identifier=f"{code}-{n}",
            action=f"{code}-{n}",
            workspace="study",
            status_code=code,
            state=state,
            completed_at=completed_at,
            **columns,
        )
        for n in range(number)
    ]
    return Job.objects.bulk_create(rows, batch_size=1000)


@pytest.mark.parametrize("code", StatusCode)
def test_each_job_is_in_exactly_one_queryset_of_a_state(code):
    job = make_job(code)
    querysets = ("pending", "running", "succeeded", "failed")
    assert [name for name in querysets if getattr(Job.objects, name)().exists()] == [job.state]
    assert Job.objects.active().exists() == (code in ACTIVE_CODES) == job.is_active == (not job.is_finished)


def test_a_job_is_ready_when_everything_it_waits_for_has_succeeded():
    done, running = make_job(StatusCode.SUCCEEDED), make_job(StatusCode.EXECUTING)
    free = make_job(StatusCode.CREATED)
    released = make_job(WAITING, waits_for=[done])
    make_job(WAITING, waits_for=[done, running])
    make_job(WAITING, waits_for=[released])

    assert set(Job.objects.ready()) == {free, released}


@pytest.mark.parametrize(
    "code",
    [StatusCode.WAITING_ON_WORKERS, StatusCode.PAUSED, StatusCode.WAITING_ON_REBOOT, StatusCode.WAITING_ON_NEW_TASK],
)
def test_a_job_that_lacks_only_a_place_stays_ready(code):
    job = make_job(code, waits_for=[make_job(StatusCode.SUCCEEDED)])
    assert set(Job.objects.ready()) == {job}
    assert not Job.objects.doomed()


@pytest.mark.parametrize("code", [code for code in StatusCode if code not in ACTIVE_CODES and code != "succeeded"])
def test_a_job_is_doomed_when_one_that_it_waits_for_ended_without_success(code):
    failed, running, done = make_job(code), make_job(StatusCode.EXECUTING), make_job(StatusCode.SUCCEEDED)
    doomed = make_job(WAITING, waits_for=[running, failed, done])
    make_job(WAITING, waits_for=[doomed])
    make_job(WAITING, waits_for=[running, done])

    assert set(Job.objects.doomed()) == {doomed}
    assert not Job.objects.ready()


def test_stop_requests_count_only_while_the_job_is_active():
    asked = make_job(StatusCode.EXECUTING)
    asked.request_cancel(by="alice", reason="")
    make_job(StatusCode.EXECUTING)
    ended = make_job(StatusCode.FINALIZED)
    ended.request_cancel(by="alice", reason="")
    ended.move_to(StatusCode.SUCCEEDED, "Completed successfully.")

    assert set(Job.objects.stop_requested()) == {asked}


def test_the_latest_job_of_an_action_is_the_one_added_last_whatever_its_clock_says():
    make_job(StatusCode.NONZERO_EXIT, action="extract", created_at=timezone.now())
    last = make_job(StatusCode.SUCCEEDED, action="extract", created_at=timezone.now() - timedelta(days=1))
    other = make_job(action="report")

    assert Job.objects.latest_per_action("development", "study") == {"extract": last, "report": other}


@pytest.mark.parametrize("code", [StatusCode.CANCELLED_BY_USER, StatusCode.KILLED_BY_ADMIN])
def test_cancelled_and_killed_jobs_do_not_count_as_the_latest(code):
    earlier = make_job(StatusCode.SUCCEEDED, action="extract")
    make_job(code, action="extract")
    make_job(code, action="report")

    assert Job.objects.latest_per_action("development", "study") == {"extract": earlier}


def test_jobs_of_other_workspaces_and_backends_do_not_count_as_the_latest():
    make_job(workspace="another", action="extract")
    make_job(backend="another", action="extract")
    assert Job.objects.latest_per_action("development", "study") == {}


def test_what_was_active_at_the_start_or_came_later_is_shown_and_earlier_ends_are_not():
    make_job(StatusCode.SUCCEEDED)
    active = make_job(StatusCode.EXECUTING)
    make_job(StatusCode.SUCCEEDED)
    shown = Job.objects.active_or_ended_since(timezone.now())

    later = make_job(StatusCode.CREATED)
    ended = make_job(StatusCode.SUCCEEDED)

    assert set(shown.all()) == {active, later, ended}


def test_with_nothing_active_only_what_comes_later_is_shown():
    make_job(StatusCode.SUCCEEDED)
    shown = Job.objects.active_or_ended_since(timezone.now() - timedelta(hours=1))
    assert not shown.all()

    later = make_job()

    assert list(shown.all()) == [later]


def test_giving_reasons_to_thousands_of_waiting_jobs_takes_a_bounded_number_of_queries():
    jobs = bulk(5000, StatusCode.CREATED, State.PENDING)
    moves = [(job.pk, StatusCode.PAUSED, "The backend is paused.") for job in jobs]

    with CaptureQueriesContext(connection) as captured:
        assert Job.objects.move_waiting(moves) == 5000

    assert len(captured) <= 5000 / 50
    assert Job.objects.filter(status_code=StatusCode.PAUSED, status_message="The backend is paused.").count() == 5000
    assert StatusChange.objects.filter(from_code="created", to_code="paused").count() == 5000


def test_a_reason_whose_words_alone_change_makes_no_line_of_the_timeline():
    job = make_job(StatusCode.PAUSED, status_message="Paused by olive.")

    assert Job.objects.move_waiting([(job.pk, StatusCode.PAUSED, "Paused by oscar.")]) == 1

    again = Job.objects.get(pk=job.pk)
    assert (again.status_message, again.status_changed_at) == ("Paused by oscar.", job.status_changed_at)
    assert again.updated_at > job.updated_at
    assert not StatusChange.objects.exists()


def test_a_reason_with_a_new_code_is_dated_and_belongs_to_the_current_attempt():
    job = make_job(StatusCode.WAITING_ON_NEW_TASK, attempt=2, status_detail="of the attempt before")

    Job.objects.move_waiting([(job.pk, StatusCode.WAITING_ON_WORKERS, "Waiting for a free place.")])

    again, line = Job.objects.get(pk=job.pk), StatusChange.objects.get()
    assert again.status_changed_at > job.status_changed_at
    assert again.status_detail == ""
    assert (line.at, line.attempt, line.from_code) == (again.status_changed_at, 2, "waiting_on_new_task")


def test_a_clock_that_was_set_back_gives_waiting_jobs_no_negative_durations():
    tomorrow = timezone.now() + timedelta(days=1)
    job = make_job(StatusCode.CREATED, status_changed_at=tomorrow)

    Job.objects.move_waiting([(job.pk, StatusCode.PAUSED, "Paused.")])

    assert Job.objects.get(pk=job.pk).status_changed_at == StatusChange.objects.get().at == tomorrow


def test_a_job_that_has_begun_or_ended_meanwhile_is_left_alone():
    begun, ended = make_job(StatusCode.INITIATED), make_job(StatusCode.SUCCEEDED)

    moves = [(job.pk, StatusCode.PAUSED, "Paused.") for job in (begun, ended)]
    assert Job.objects.move_waiting(moves) == 0

    assert set(Job.objects.values_list("status_code", flat=True)) == {"initiated", "succeeded"}


def test_nothing_but_a_reason_for_waiting_can_be_given_to_many_jobs():
    job = make_job(StatusCode.CREATED)
    with pytest.raises(InvalidTransition):
        Job.objects.move_waiting([(job.pk, StatusCode.SUCCEEDED, "As if by magic.")])
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.move_waiting([(job.pk, StatusCode.INITIATED, "Starting.")])
    assert Job.objects.get().status_code == StatusCode.CREATED
    assert not StatusChange.objects.exists()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="asks SQLite for its plan")
def test_active_jobs_are_found_by_an_index_however_many_have_finished():
    bulk(20_000, StatusCode.SUCCEEDED, State.SUCCEEDED)
    bulk(20, StatusCode.CREATED, State.PENDING)
    queries = (
        Job.objects.active(),
        Job.objects.running(),
        Job.objects.ready(),
        Job.objects.doomed(),
        Job.objects.stop_requested(),
    )
    for jobs in queries:
        plan = jobs.order_by().explain()
        assert "SEARCH jobs_job USING" in plan and "job_by_st" in plan and "SCAN" not in plan, plan


def test_the_newest_flag_of_each_name_counts():
    make_flag(Flag.Name.PAUSED, "on")
    make_flag(Flag.Name.REBOOT, "on")
    off = make_flag(Flag.Name.PAUSED, "")

    current = Flag.objects.current()

    assert current[Flag.Name.PAUSED] == off
    assert current[Flag.Name.REBOOT].value == "on"
    assert Flag.Name.DB_MAINTENANCE not in current
    assert Flag.objects.count() == 3


def test_a_flag_that_has_expired_is_off_whatever_it_was_before():
    make_flag(value="on")
    make_flag(value="on", expires_at=timezone.now() - timedelta(seconds=1))
    assert Flag.Name.PAUSED not in Flag.objects.current()


def test_a_flag_counts_until_it_expires():
    flag = Flag.switch("paused", "on", by="olive", reason="new disk", until=timezone.now() + timedelta(hours=1))
    assert Flag.objects.current() == {"paused": flag}


def test_reading_the_flags_does_not_load_their_history(django_assert_num_queries):
    for _ in range(50):
        make_flag()
    with django_assert_num_queries(1) as captured:
        current = Flag.objects.current()
    assert len(current) == 1
    assert "MAX" in captured[0]["sql"]


def test_nobody_can_switch_what_is_no_flag():
    with pytest.raises(ValueError, match="coffee"):
        Flag.switch("coffee", "on", by="olive", reason="tired")


@pytest.mark.parametrize("columns", [{"set_by": ""}, {"reason": ""}])
def test_a_flag_says_who_and_why(columns):
    with pytest.raises(IntegrityError), transaction.atomic():
        make_flag(**columns)


def test_a_heartbeat_overwrites_the_one_before_it():
    Heartbeat.beat("run", tick_ms=1)
    Heartbeat.beat("run", tick_ms=2)
    assert [beat.detail for beat in Heartbeat.objects.all()] == [{"tick_ms": 2}]
