"""Rows of chores: each is one worker's at a time, ends once, and is never lost with the worker that had it."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs.models import ChoreRun
from jobs.models.chore_run import LONGEST, MOST_ATTEMPTS

pytestmark = pytest.mark.django_db

DONE, FAILED = ChoreRun.Outcome.DONE, ChoreRun.Outcome.FAILED


def ask(chore: str = "storage", argument: str = "study", **columns) -> ChoreRun:
    run, _ = ChoreRun.objects.ask(
        chore, argument, **{"by": "olive", "via": "command", "reason": "to see"} | columns
    )  # fmt: skip
    return run


def begun(**columns) -> ChoreRun:
    run = ChoreRun.objects.claim(ask().pk, "worker")
    ChoreRun.objects.filter(pk=run.pk).update(**columns)
    run.refresh_from_db()
    return run


def test_asking_twice_is_asking_once_while_it_is_open():
    first = ask()
    again, is_new = ChoreRun.objects.ask("storage", "study", by="bob", via="dashboard", reason="me too")
    assert (again.pk, is_new, again.asked_by) == (first.pk, False, "olive")
    other, is_new = ChoreRun.objects.ask("storage", "other", by="bob", via="dashboard", reason="me too")
    assert other.pk != first.pk and is_new


def test_once_it_has_ended_it_can_be_asked_for_again():
    run = begun()
    assert run.end(DONE, "fine")
    assert ask().pk != run.pk


def test_the_database_itself_keeps_to_one_open_row_of_a_chore_and_argument():
    ask()
    with pytest.raises(IntegrityError), transaction.atomic():
        ChoreRun.objects.create(chore="storage", argument="study")


def test_only_one_worker_claims_it():
    run = ask()
    claimed = ChoreRun.objects.claim(run.pk, "first")
    assert (claimed.worker, claimed.attempts) == ("first", 1) and claimed.started_at
    assert ChoreRun.objects.claim(run.pk, "second") is None
    assert ChoreRun.objects.claim(10**9, "second") is None


def test_what_has_ended_is_claimed_by_nobody():
    run = begun()
    run.end(DONE, "fine")
    ChoreRun.objects.filter(pk=run.pk).update(started_at=None)
    assert ChoreRun.objects.claim(run.pk, "second") is None


def test_the_result_of_a_worker_from_whom_it_was_taken_is_void():
    run = begun()
    ChoreRun.objects.take_from_the_dead(lambda mark: False)
    again = ChoreRun.objects.claim(run.pk, "second")
    assert not run.end(FAILED, "too late")
    assert again.end(DONE, "fine")
    run.refresh_from_db()
    assert (run.outcome, run.said, run.attempts) == (DONE, "fine", 2)


def test_what_a_dead_worker_had_begun_waits_again_and_is_queued_at_once():
    run = begun(queued_at=timezone.now())
    assert ChoreRun.objects.take_from_the_dead(lambda mark: mark != "worker") == 1
    run.refresh_from_db()
    assert (run.started_at, run.queued_at, run.worker, run.ended_at) == (None, None, "", None)
    assert list(ChoreRun.objects.to_be_queued(timedelta(hours=1))) == [run]


def test_a_living_worker_keeps_it_until_the_queue_would_have_ended_it():
    run = begun()
    assert ChoreRun.objects.take_from_the_dead(lambda mark: True) == 0
    ChoreRun.objects.filter(pk=run.pk).update(started_at=timezone.now() - LONGEST - timedelta(seconds=1))
    assert ChoreRun.objects.take_from_the_dead(lambda mark: True) == 1


def test_what_kills_each_worker_is_given_up():
    run = begun(attempts=MOST_ATTEMPTS)
    assert ChoreRun.objects.take_from_the_dead(lambda mark: False) == 1
    run.refresh_from_db()
    assert (run.outcome, run.said) == (FAILED, "Its process ended in the middle of it, 3 times.")


def test_nobody_takes_what_waits_or_has_ended():
    ask()
    begun_and_ended = ChoreRun.objects.claim(ask("export").pk, "worker")
    begun_and_ended.end(DONE, "fine")
    assert ChoreRun.objects.take_from_the_dead(lambda mark: False) == 0


def test_the_schedule_does_not_begin_what_is_under_way_or_was_just_done():
    long_ago = timezone.now() - timedelta(hours=1)
    first = ChoreRun.objects.begin_by_schedule("snapshot", "worker", not_after=long_ago)
    assert first.worker == "worker" and first.attempts == 1
    assert ChoreRun.objects.begin_by_schedule("snapshot", "other", not_after=long_ago) is None
    first.end(DONE, "fine")
    assert ChoreRun.objects.begin_by_schedule("snapshot", "other", not_after=long_ago) is None
    assert ChoreRun.objects.begin_by_schedule("snapshot", "other", not_after=timezone.now()) is not None


def test_what_began_before_the_clock_was_set_back_does_not_hold_up_the_schedule():
    run = ChoreRun.objects.begin_by_schedule("snapshot", "worker", not_after=timezone.now())
    run.end(DONE, "fine")
    ChoreRun.objects.update(started_at=timezone.now() + timedelta(days=30))
    long_ago = timezone.now() - timedelta(hours=1)
    assert ChoreRun.objects.begin_by_schedule("snapshot", "worker", not_after=long_ago) is not None


def test_what_somebody_asked_for_lately_does_not_keep_the_schedule_from_its_time():
    run = ChoreRun.objects.claim(ask("snapshot", "").pk, "worker")
    long_ago = timezone.now() - timedelta(hours=1)
    assert ChoreRun.objects.begin_by_schedule("snapshot", "other", not_after=long_ago) is None  # it is under way
    run.end(DONE, "fine")
    assert ChoreRun.objects.begin_by_schedule("snapshot", "other", not_after=long_ago) is not None


def test_what_was_queued_long_ago_and_not_begun_is_queued_again():
    run = ask()
    assert list(ChoreRun.objects.to_be_queued(timedelta(minutes=1))) == [run]
    ChoreRun.objects.filter(pk=run.pk).update(queued_at=timezone.now())
    assert not ChoreRun.objects.to_be_queued(timedelta(minutes=1)).exists()
    ChoreRun.objects.filter(pk=run.pk).update(queued_at=timezone.now() - timedelta(minutes=2))
    assert list(ChoreRun.objects.to_be_queued(timedelta(minutes=1))) == [run]


def test_the_last_of_each_is_the_newest_that_has_begun(django_assert_num_queries):
    for said in ("old", "new"):
        ChoreRun.objects.claim(ask("snapshot", "").pk, "worker").end(DONE, said)
    ask("snapshot", "")
    ask("export")
    with django_assert_num_queries(1):
        last = ChoreRun.objects.last_of_each()
    assert {name: run.said for name, run in last.items()} == {"snapshot": "new"}


def test_words_for_people():
    run = ask()
    assert run.word == "waits for a worker"
    run = ChoreRun.objects.claim(run.pk, "worker")
    assert run.word == "at work" and run.took is None
    run.end(FAILED, "x" * 5000)
    assert run.word == "failed" and run.failed and run.took is not None and len(run.said) == 1000
