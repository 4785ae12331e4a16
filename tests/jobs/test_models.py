"""The job's verbs: what `move_to` writes, what is refused, and what people may ask for."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs.models import InvalidTransition, Job, JobOutput, StatusChange
from jobs.models.job import job_identifier
from jobs.models.request import new_identifier
from jobs.states import State, StatusCode
from tests.factories import make_job, make_output

pytestmark = pytest.mark.django_db


def stored(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def columns_of(job: Job) -> dict:
    return Job.objects.filter(pk=job.pk).values().get()


def test_moving_a_job_writes_code_state_message_times_and_a_line_of_its_timeline():
    job = make_job(StatusCode.CREATED)
    before = timezone.now()

    job.move_to(StatusCode.INITIATED, "Starting.", by="runner")

    row = stored(job)
    assert (row.status_code, row.state, row.status_message) == ("initiated", "running", "Starting.")
    assert before <= row.started_at == row.status_changed_at == row.updated_at <= timezone.now()
    assert row.completed_at is None
    line = StatusChange.objects.get(job=job)
    assert (line.from_code, line.to_code, line.message, line.actor) == ("created", "initiated", "Starting.", "runner")
    assert (line.at, line.attempt) == (row.status_changed_at, 1)
    assert columns_of(job) == {name: getattr(job, name) for name in columns_of(job)}


def test_the_end_of_a_job_is_dated_and_its_start_is_kept():
    job = make_job(StatusCode.FINALIZED)
    started_at = job.started_at

    job.move_to(StatusCode.SUCCEEDED, "Completed successfully.")

    assert (job.state, job.completed_at, job.started_at) == (State.SUCCEEDED, job.status_changed_at, started_at)


def test_a_job_that_is_finalised_again_is_not_finished_any_more():
    job = make_job(StatusCode.INTERNAL_ERROR)

    job.move_to(StatusCode.EXECUTED, "Finalising again.", by="olive")

    assert (stored(job).state, stored(job).completed_at) == (State.RUNNING, None)


def test_facts_are_stored_together_with_the_status():
    job = make_job(StatusCode.EXECUTING)

    job.move_to(StatusCode.EXECUTED, "Ended.", exit_code=3, out_of_memory=True)

    assert (stored(job).exit_code, stored(job).out_of_memory) == (3, True)


def test_a_step_that_the_table_forbids_changes_nothing():
    job = make_job(StatusCode.CREATED)
    before = columns_of(job)

    with pytest.raises(InvalidTransition, match="succeeded may not follow created"):
        job.move_to(StatusCode.SUCCEEDED, "Too early.")

    assert columns_of(job) == before
    assert not StatusChange.objects.exists()


def test_an_object_that_is_older_than_its_row_changes_nothing():
    job = make_job(StatusCode.PREPARED)
    stale = stored(job)
    job.move_to(StatusCode.EXECUTING, "Running.")
    before = columns_of(job)

    with pytest.raises(InvalidTransition, match="no longer prepared"):
        stale.move_to(StatusCode.FINALIZING, "Cancelled.")

    assert columns_of(job) == before
    assert StatusChange.objects.count() == 1
    assert stale.status_code == StatusCode.PREPARED


def test_a_result_of_an_abandoned_attempt_changes_nothing():
    job = make_job(StatusCode.EXECUTING)
    abandoned = stored(job)
    job.move_to(StatusCode.WAITING_ON_NEW_TASK, "Interrupted.", attempt=2)
    for code in ("initiated", "preparing", "prepared", "executing"):
        job.move_to(code, "Again.")
    before = columns_of(job)

    with pytest.raises(InvalidTransition, match="attempt 1"):
        abandoned.move_to(StatusCode.EXECUTED, "The first container ended.", exit_code=0)
    with pytest.raises(InvalidTransition):
        abandoned.record(exit_code=0)
    abandoned.say("The first container is lonely.")

    assert columns_of(job) == before
    assert StatusChange.objects.get(to_code="waiting_on_new_task").attempt == 1
    assert StatusChange.objects.filter(to_code="executing").get().attempt == 2


def test_status_and_timeline_are_written_together_or_not_at_all():
    job = make_job(StatusCode.CREATED)

    with pytest.raises(IntegrityError), transaction.atomic():
        job.move_to(StatusCode.INITIATED, "Starting.", by=None)  # a line of the timeline needs an actor

    assert stored(job).status_code == StatusCode.CREATED
    assert job.status_code == StatusCode.CREATED
    assert not StatusChange.objects.exists()


def test_a_clock_that_was_set_back_gives_no_negative_durations():
    tomorrow = timezone.now() + timedelta(days=1)
    job = make_job(StatusCode.FINALIZED, status_changed_at=tomorrow, started_at=tomorrow)

    job.move_to(StatusCode.SUCCEEDED, "Completed successfully.")

    assert stored(job).completed_at == tomorrow
    assert StatusChange.objects.get().at == tomorrow


def test_times_keep_their_fractions_of_a_second():
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert stored(make_job(created_at=moment)).created_at == moment


def test_saying_something_changes_only_the_message():
    job = make_job(StatusCode.EXECUTING)
    before = columns_of(job)

    job.say("The engine does not answer.")

    after = columns_of(job)
    assert {name for name in after if after[name] != before[name]} == {"status_message", "updated_at"}
    assert not StatusChange.objects.exists()


def test_saying_the_same_again_writes_nothing(django_assert_num_queries):
    job = make_job(StatusCode.EXECUTING, status_message="The container is running.")
    with django_assert_num_queries(0):
        job.say("The container is running.")


def test_what_may_name_files_stays_beside_the_message_and_goes_with_the_next_status():
    job = make_job(StatusCode.FINALIZED)

    job.say("The disk is full.", detail="/srv/high/output/rows.csv")
    assert (stored(job).status_message, stored(job).status_detail) == ("The disk is full.", "/srv/high/output/rows.csv")

    job.move_to(StatusCode.SUCCEEDED, "Completed successfully.", detail="Kept back: output/big.csv.")
    assert stored(job).status_detail == "Kept back: output/big.csv."
    assert "output" not in StatusChange.objects.get().message


def test_a_status_without_a_detail_takes_the_old_one_away():
    job = make_job(StatusCode.PREPARING, status_detail="analysis/names.csv is a symbolic link.")
    job.move_to(StatusCode.PREPARED, "Code and inputs are in place.")
    assert stored(job).status_detail == ""


@pytest.mark.parametrize("code", [StatusCode.CREATED, StatusCode.EXECUTING, StatusCode.FINALIZED])
def test_cancelling_is_asked_for_once(code):
    job = make_job(code)

    assert job.request_cancel(by="alice", reason="wrong codelist")
    assert not job.request_cancel(by="bob", reason="me too")

    row = stored(job)
    assert (row.stop_request, row.stop_requested_by, row.stop_reason) == ("cancel", "alice", "wrong codelist")
    assert row.is_stop_requested and row.stop_requested_at is not None
    assert row.status_code == code


def test_a_kill_overrides_a_cancel_and_never_the_other_way_round():
    job = make_job(StatusCode.EXECUTING)
    job.request_cancel(by="alice", reason="")

    assert job.request_kill(by="olive", reason="it fills the disk")
    assert not job.request_cancel(by="alice", reason="again")

    assert (stored(job).stop_request, stored(job).stop_requested_by) == ("kill", "olive")


def test_nobody_can_stop_a_job_that_has_ended_even_if_their_page_is_older():
    job = make_job(StatusCode.FINALIZED)
    shown = stored(job)
    job.move_to(StatusCode.SUCCEEDED, "Completed successfully.")

    assert not shown.request_cancel(by="alice", reason="")
    assert not shown.request_kill(by="olive", reason="")
    assert stored(job).stop_request == ""


def test_a_job_has_the_identifier_that_the_job_server_would_expect():
    """base32(sha1(request + newline + action)[:10]) in lower case, computed with coreutils."""
    assert job_identifier("abcdefgh23456722", "generate_dataset") == "zc2zzjzplxfrwhzy"


def test_identifiers_of_requests_are_16_letters_and_digits_and_differ():
    made = {new_identifier() for _ in range(100)}
    assert len(made) == 100
    assert all(len(name) == 16 and set(name) <= set("abcdefghijklmnopqrstuvwxyz234567") for name in made)


def test_container_names_differ_from_attempt_to_attempt():
    job = make_job(StatusCode.EXECUTING)
    first = job.container_name
    job.move_to(StatusCode.WAITING_ON_NEW_TASK, "Interrupted.", attempt=2)
    assert first == f"jobrunner-{job.identifier}-1"
    assert job.container_name == f"jobrunner-{job.identifier}-2"


@pytest.mark.parametrize(
    "columns",
    [
        {"state": State.SUCCEEDED},
        {"status_code": "executing"},
        {"status_code": "lost_in_space"},
        {"completed_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"status_code": "succeeded", "state": State.SUCCEEDED},
        {"attempt": 0},
        {"stop_request": "cancel"},
        {"stop_request": "cancel", "stop_requested_by": "alice"},
        {"identifier": None},
    ],
)
def test_the_database_refuses_rows_that_contradict_themselves(columns):
    job = make_job(StatusCode.CREATED)
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(**columns)


def test_a_request_has_one_job_for_an_action():
    job = make_job(action="make_table")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_job(request=job.request, action="make_table", identifier="another")


def test_two_jobs_never_share_an_identifier():
    job = make_job()
    with pytest.raises(IntegrityError), transaction.atomic():
        make_job(identifier=job.identifier)


@pytest.mark.parametrize("columns", [{"size": -1}, {"level": "secret"}, {"path": "output/table.csv"}])
def test_the_database_refuses_impossible_outputs(columns):
    job = make_job(StatusCode.SUCCEEDED)
    make_output(job, "output/table.csv")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_output(job, **{"path": "output/other.csv", **columns})
    assert JobOutput.objects.count() == 1
