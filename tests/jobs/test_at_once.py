"""What several processes do at the same moment comes out as if they had done it one after the other.

In threads with connections and transactions of their own, on either database. On PostgreSQL most of these fail now and
then if transactions do not take turns (`jobrunner_site.postgresql`).
"""

import itertools
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from jobs import asking
from jobs.models import AuditEntry, ChoreRun, Delivery, Flag, Job, JobRequest, LogInCount, StatusChange, Who
from jobs.models.status_change import InvalidTransition
from jobs.people import lock_out
from jobs.planning import RequestError, submit
from jobs.project import load_project
from jobs.service import is_passing
from jobs.states import State, StatusCode
from tests.factories import make_job, make_request
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

# Chance decides who is first, so each is tried several times.
TIMES = 5
STUDY = load_project("""
version: '4.0'
actions:
  extract:
    run: ehrql:v1 generate-dataset analysis/dataset.py --output output/dataset.csv
    outputs: {highly_sensitive: {rows: output/dataset.csv}}
  tables:
    run: python:v2 python tables.py
    needs: [extract]
    outputs: {highly_sensitive: {rows: output/1.csv}}
""")


def who(name: str) -> Who:
    return Who(name, AuditEntry.Via.COMMAND, "")


def ask(identifier: str, *actions: str, **columns) -> JobRequest:
    defaults = {"backend": "development", "workspace": "study", "repo_url": "https://github.com/opensafely/study"}
    more = {"commit": "c" * 40, "created_by": "alice", "requested_actions": list(actions)}
    return JobRequest(identifier=identifier, **defaults | more | columns)


@pytest.mark.parametrize("time", range(TIMES))
def test_two_planners_make_each_action_once(time):
    """As sync and add_job in one workspace."""
    at_once(*(lambda name=name: submit(ask(name, "tables"), STUDY, by="alice") for name in ("a", "b", "c")))
    assert sorted(Job.objects.values_list("action", flat=True)) == ["extract", "tables"]


@pytest.mark.parametrize("time", range(TIMES))
def test_one_request_that_two_plan_gets_its_jobs_once(time):
    stored = ask("same", "tables", outcome=JobRequest.Outcome.WAITING)
    stored.save()

    def plan() -> None:
        submit(JobRequest.objects.get(identifier="same"), STUDY, by="alice")

    at_once(plan, plan, plan)
    assert Job.objects.count() == 2
    assert StatusChange.objects.filter(from_code="").count() == 2


@pytest.mark.parametrize("time", range(TIMES))
def test_two_studies_are_never_mixed_in_one_workspace(time):
    def plan(name: str, study: str) -> bool:
        try:
            submit(ask(name, "tables", repo_url=f"https://github.com/opensafely/{study}"), STUDY, by="alice")
        except RequestError:
            return False
        return True

    done = at_once(lambda: plan("a", "one"), lambda: plan("b", "other"))
    assert sorted(done) == [False, True]
    assert len(Job.objects.active_sources("development", "study")) == 1


@pytest.mark.parametrize("time", range(TIMES))
def test_a_cancel_by_the_job_server_and_a_plan_never_miss_each_other(time):
    request = ask("polled", "tables", outcome=JobRequest.Outcome.WAITING)
    request.save()

    def plan() -> None:
        submit(JobRequest.objects.get(pk=request.pk), STUDY, by="alice")

    def cancel() -> None:
        with transaction.atomic():
            JobRequest.objects.get(pk=request.pk).ask_to_cancel(["tables"], by="job-server")

    at_once(plan, cancel)
    assert Job.objects.get(action="tables").is_stop_requested


@pytest.mark.parametrize("time", range(TIMES))
def test_a_step_and_a_cancel_never_lose_each_other(time):
    job = make_job(StatusCode.EXECUTING)
    at_once(
        lambda: Job.objects.get(pk=job.pk).move_to(StatusCode.EXECUTED, "It has ended."),
        lambda: asking.cancel([job.identifier], who("olive"), "no longer needed"),
    )
    job.refresh_from_db()
    assert (job.status_code, job.stop_request) == (StatusCode.EXECUTED, "cancel")


@pytest.mark.parametrize("time", range(TIMES))
def test_of_two_steps_from_one_status_only_one_is_written(time):
    job = make_job(StatusCode.EXECUTING)

    def move(code: StatusCode) -> bool:
        try:
            mine.pop().move_to(code, "So it is.")
        except InvalidTransition:
            return False
        return True

    mine = [Job.objects.get(pk=job.pk) for _ in range(2)]
    assert sorted(at_once(lambda: move(StatusCode.EXECUTED), lambda: move(StatusCode.FINALIZING))) == [False, True]
    assert job.status_changes.count() == 1


@pytest.mark.parametrize("time", range(TIMES))
def test_a_job_is_told_to_wait_or_is_cancelled_and_its_timeline_has_no_gap(time):
    job = make_job(StatusCode.CREATED)

    def wait() -> None:
        Job.objects.move_waiting([(job.pk, StatusCode.WAITING_ON_WORKERS, "Waiting.")])

    def end() -> None:
        try:
            Job.objects.get(pk=job.pk).move_to(StatusCode.CANCELLED_BY_USER, "Cancelled.")
        except InvalidTransition:  # the other one was faster, and will not be again
            Job.objects.get(pk=job.pk).move_to(StatusCode.CANCELLED_BY_USER, "Cancelled.")

    at_once(wait, end)
    job.refresh_from_db()
    changes = list(job.status_changes.order_by("pk").values_list("from_code", "to_code"))
    assert job.state == State.FAILED and changes[-1][1] == job.status_code
    assert all(before[1] == after[0] for before, after in itertools.pairwise(changes))


@pytest.mark.parametrize("time", range(TIMES))
@pytest.mark.parametrize("code", [StatusCode.INTERNAL_ERROR, StatusCode.NONZERO_EXIT])
def test_what_two_operators_ask_for_at_once_is_asked_once(time, code):
    job = make_job(code)

    def retry(name: str) -> list:
        return asking.retry([job.identifier], who(name), "again", once="one form")[0]

    (first,), (second,) = at_once(lambda: retry("olive"), lambda: retry("oscar"))
    assert AuditEntry.objects.filter(verb__in=("retry", "rerun")).count() == 1
    assert JobRequest.objects.filter(source=JobRequest.Source.OPERATOR).count() == (code == StatusCode.NONZERO_EXIT)
    if code == StatusCode.INTERNAL_ERROR:
        assert {first.was_done, second.was_done} == {True, False}


@pytest.mark.parametrize("time", range(TIMES))
def test_of_two_who_switch_what_they_have_seen_one_is_told_to_look_again(time):
    def switch(name: str) -> bool:
        try:
            asking.switch("paused", "on", who(name), "the disk", seen="")
        except asking.Overtaken:
            return False
        return True

    assert sorted(at_once(lambda: switch("olive"), lambda: switch("oscar"))) == [False, True]
    assert Flag.objects.count() == AuditEntry.objects.filter(verb="switch").count() == 1


@pytest.mark.parametrize("time", range(TIMES))
def test_a_chore_is_asked_for_once_and_claimed_once(time):
    def ask_for() -> tuple:
        return ChoreRun.objects.ask("verify", "study", by="olive", via="command", reason="to be sure")

    asked = at_once(ask_for, ask_for, ask_for)
    assert sorted(is_new for _, is_new in asked) == [False, False, True]
    (pk,) = {run.pk for run, _ in asked}
    claimed = at_once(*(lambda name=name: ChoreRun.objects.claim(pk, name) for name in ("one", "two", "three")))
    assert sum(run is not None for run in claimed) == 1


@pytest.mark.parametrize("time", range(TIMES))
def test_a_chore_of_the_schedule_is_begun_once(time):
    lately = timezone.now() - timedelta(minutes=1)

    def begin() -> bool:
        run = ChoreRun.objects.begin_by_schedule("notify", "a worker", not_after=lately)
        if run:
            run.end(ChoreRun.Outcome.DONE, "done")
        return run is not None

    assert sorted(at_once(begin, begin, begin)) == [False, False, True]


@pytest.mark.parametrize("time", range(TIMES))
def test_no_failed_log_in_is_lost_to_another_one(time):
    def fail(address: str) -> None:
        lock_out.failed(lock_out.begin("alice", address))

    at_once(*(lambda number=number: fail(f"10.0.0.{number}") for number in range(6)))
    assert LogInCount.objects.get(name="alice", address="").failures == 6


@pytest.mark.parametrize("time", range(TIMES))
def test_a_delivery_that_is_asked_to_tell_again_is_not_settled_by_an_older_answer(time):
    request = make_request(source=JobRequest.Source.POLLING)
    Delivery.objects.begin([request.pk])
    at_once(
        lambda: Delivery.objects.acknowledge(request.pk, digest="d", is_final=True, reopened=0),
        lambda: asking.tell_again([request.pk], who("olive"), "it has lost it"),
    )
    assert Delivery.objects.get(pk=request.pk).settled is False


@pytest.mark.postgresql_only
def test_who_holds_the_turn_for_too_long_makes_the_others_fail_in_order(settings):
    """As SQLite does: an error that passes, no wait for ever; and the connection is as good as before."""

    def another() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        for _ in range(2):
            with pytest.raises(OperationalError) as failed, transaction.atomic():
                make_request()
            assert is_passing(failed.value)
        assert connection.get_autocommit() and not connection.in_atomic_block
        make_request(workspace="alone")  # a single statement waits for nobody's turn

    with transaction.atomic():
        at_once(another)
    assert JobRequest.objects.get().workspace == "alone"
