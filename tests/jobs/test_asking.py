"""What people ask for: who may be asked what, one result a job, and the audit."""

import pytest

from jobs import asking
from jobs.models import AuditEntry, Job, JobRequest, Who
from jobs.reasons import NoReason, cleaned_reason
from jobs.states import StatusCode
from tests.factories import make_job, make_request

pytestmark = pytest.mark.django_db
OLIVE = Who("olive", "dashboard", "192.0.2.1")


def make_jobs(number: int, code=StatusCode.EXECUTING) -> list[str]:
    request = make_request()
    return [make_job(code, request).identifier for _ in range(number)]


def test_each_job_gets_its_own_answer_in_the_order_of_asking():
    running, ended = make_job(StatusCode.EXECUTING), make_job(StatusCode.SUCCEEDED)
    asked = make_job(StatusCode.EXECUTING)
    asked.request_cancel("bob", "earlier")
    wanted = [ended.identifier, "nothing", running.identifier, asked.identifier]
    results = asking.cancel(wanted, OLIVE, "too slow")
    assert [(each.identifier, each.was_done) for each in results] == list(
        zip(wanted, (False, False, True, False), strict=True)
    )
    assert "ended already (succeeded)" in results[0].sentence
    assert results[1].sentence == "no such job"
    assert "already, by bob" in results[3].sentence
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.verb, entry.object_id, entry.reason) == (
        "olive",
        "cancel",
        running.identifier,
        "too slow",
    )


def test_a_kill_overrides_a_cancel_but_not_the_other_way_round():
    (identifier,) = make_jobs(1)
    assert asking.cancel([identifier], OLIVE, "why")[0].was_done
    assert asking.kill([identifier], OLIVE, "why")[0].was_done
    assert not asking.cancel([identifier], OLIVE, "why")[0].was_done
    assert Job.objects.get().stop_request == Job.StopRequest.KILL


@pytest.mark.parametrize("verb", [asking.cancel, asking.kill, asking.finalise_again, asking.run_again, asking.retry])
def test_every_change_says_why(verb):
    with pytest.raises(NoReason):
        verb(make_jobs(1), OLIVE, "  ")


def test_asking_for_hundreds_of_jobs_takes_few_queries(django_assert_max_num_queries):
    identifiers = make_jobs_in_bulk(400)
    with django_assert_max_num_queries(12):
        results = asking.cancel(identifiers, OLIVE, "all of them")
    assert all(each.was_done for each in results) and len(results) == 400
    assert AuditEntry.objects.count() == 400


def make_jobs_in_bulk(number: int) -> list[str]:
    request = make_request()
    rows = [
        Job(request=request, identifier=f"job{each}", action=f"a{each}", workspace="study", backend="development")
        for each in range(number)
    ]
    return [job.identifier for job in Job.objects.bulk_create(rows)]


def test_a_wish_to_run_again_that_comes_twenty_times_makes_one_request():
    identifiers = make_jobs(2, StatusCode.NONZERO_EXIT)
    answers = [asking.run_again(identifiers, OLIVE, "why", once="form-1") for _ in range(20)]
    (new,) = JobRequest.objects.waiting()
    assert {request.pk for _, requests in answers for request in requests} == {new.pk}
    assert AuditEntry.objects.count() == 2


def test_another_wish_makes_another_request():
    identifiers = make_jobs(1, StatusCode.NONZERO_EXIT)
    for once in ("form-1", "form-2", "", ""):
        asking.run_again(identifiers, OLIVE, "why", once=once)
    assert JobRequest.objects.waiting().count() == 4


def test_retry_finalises_what_was_cut_off_and_runs_the_rest_again():
    cut_off, failed, active = (
        make_job(code) for code in (StatusCode.INTERNAL_ERROR, StatusCode.NONZERO_EXIT, StatusCode.EXECUTING)
    )
    results, new = asking.retry([each.identifier for each in (cut_off, failed, active)], OLIVE, "disk is back")
    done = {each.identifier: each.was_done for each in results}
    assert done == {cut_off.identifier: True, failed.identifier: True, active.identifier: False}
    assert Job.objects.get(pk=cut_off.pk).retry_requested_by == "olive"
    assert [request.requested_actions for request in new] == [[failed.action]]


@pytest.mark.parametrize("reason", ["\u200b", "\u00ad \u2060", "\u2800\u3164", "\u202e", "\ufe0f", "\x00"])
def test_a_reason_that_nobody_can_see_is_none(reason):
    with pytest.raises(NoReason):
        cleaned_reason(reason)


@pytest.mark.parametrize("reason", ["x", "?", "因为", "★", " ok\u200b "])
def test_a_reason_that_can_be_seen_is_one(reason):
    assert cleaned_reason(reason)
