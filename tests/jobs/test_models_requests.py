"""Requests: what has been decided stays decided, but for one that ended without jobs and is asked for again."""

import pytest

from jobs.models import Delivery, JobRequest
from tests.factories import make_job, make_request

pytestmark = pytest.mark.django_db

Outcome = JobRequest.Outcome
WITHOUT_JOBS = [Outcome.REFUSED, Outcome.NOTHING_TO_DO, Outcome.ALREADY_SCHEDULED]


@pytest.mark.parametrize("outcome", WITHOUT_JOBS)
def test_what_ended_without_jobs_can_wait_once_more(outcome):
    request = make_request(outcome=Outcome.WAITING)
    received_at = request.received_at
    assert request.conclude(outcome, "why", error_name="GitError", joined_jobs=["abc"])

    assert request.revive()

    assert request.is_waiting
    request.refresh_from_db()
    assert request.is_waiting and request.received_at > received_at
    assert (request.outcome_message, request.outcome_at, request.error_name) == ("", None, "")
    assert request.joined_jobs == []
    assert request.conclude(Outcome.PLANNED)


@pytest.mark.parametrize("outcome", [Outcome.PLANNED, Outcome.WAITING])
def test_what_has_jobs_or_waits_for_them_is_left_alone(outcome):
    request = make_request(outcome=outcome, outcome_message="as it is")
    assert not request.revive()
    request.refresh_from_db()
    assert (request.outcome, request.outcome_message) == (outcome, "as it is")


def test_what_was_planned_meanwhile_is_left_alone():
    request = make_request(outcome=Outcome.REFUSED)
    make_job(request=request)
    JobRequest.objects.update(outcome=Outcome.PLANNED)
    assert not request.revive()
    assert JobRequest.objects.get().outcome == Outcome.PLANNED


def test_a_job_server_that_polls_is_told_of_it_again():
    request = make_request(outcome=Outcome.REFUSED)
    Delivery.objects.create(request=request, settled=True, acknowledged="x")
    request.revive()
    assert not Delivery.objects.get().settled
