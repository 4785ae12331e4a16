"""A request that jobs of other requests do is told as those jobs go on, and what was told of it once stays true."""

import threading

import pytest
from django.db import transaction

from jobs import wire
from jobs.models import Delivery, Job, JobRequest
from jobs.states import StatusCode
from sync.deliverer import Deliverer
from sync.delivering import deliver
from sync.planner import plan
from tests.factories import make_job, make_request
from tests.git_repositories import make_repository
from tests.site import wait_until
from tests.sync.conftest import STUDY

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def owner(fake) -> JobRequest:
    """The request whose jobs another one joins."""
    request = make_request(identifier=fake.add_request().identifier, backend=fake.backend, source="polling")
    Delivery.objects.begin([request.pk])
    return request


@pytest.fixture
def joins(fake, owner):
    """A request that has joined jobs of the owner's in these states."""

    def make(*codes: StatusCode) -> JobRequest:
        jobs = [make_job(code, request=owner, action=f"action{number}") for number, code in enumerate(codes)]
        request = make_request(
            identifier=fake.add_request().identifier,
            backend=fake.backend,
            source="polling",
            outcome="already_scheduled",
            joined_jobs=[job.identifier for job in jobs],
        )
        Delivery.objects.begin([request.pk])
        return request

    return make


def cancel(request: JobRequest, *actions: str) -> None:
    with transaction.atomic():
        request.ask_to_cancel(actions, by="job-server")


def end(action: str, *codes: StatusCode) -> None:
    job = Job.objects.get(action=action)
    for code in codes:
        job.move_to(code, f"Now it is {code}.")


def codes_at(fake, request: JobRequest) -> dict[str, str]:
    return {job["action"]: job["status_code"] for job in fake.jobs(request.identifier)}


ENDS_WELL = (StatusCode.EXECUTED, StatusCode.FINALIZING, StatusCode.FINALIZED, StatusCode.SUCCEEDED)


def test_a_joined_job_that_has_ended_is_not_told_as_cancelled_afterwards(fake, server, joins):
    """ "Cancel all" of older servers names finished actions as well (wire contract §1.5)."""
    request = joins(StatusCode.SUCCEEDED, StatusCode.EXECUTING)
    deliver(server, request.pk)
    cancel(request, "action0", "action1")
    deliver(server, request.pk)
    assert codes_at(fake, request) == {"action0": "succeeded", "action1": "cancelled_by_user"}
    assert fake.journal.complaints() == []


def test_a_joined_job_that_was_cancelled_stays_so_while_the_other_request_s_job_goes_on(fake, server, joins):
    request = joins(StatusCode.EXECUTING)
    cancel(request, "action0")
    deliver(server, request.pk)
    assert codes_at(fake, request) == {"action0": "cancelled_by_user"}
    assert not Job.objects.stop_requested().exists()
    end("action0", *ENDS_WELL)
    deliver(server, request.pk)
    assert codes_at(fake, request) == {"action0": "cancelled_by_user"}
    assert fake.journal.complaints() == []


def test_a_job_that_ends_while_its_request_is_read_is_told_as_cancelled_if_it_was_left_before(joins, monkeypatch):
    request = joins(StatusCode.EXECUTING)
    read = wire._joined_by

    def cancelled_and_ended_before(requests):
        cancel(request, "action0")
        end("action0", *ENDS_WELL)
        return read(requests)

    monkeypatch.setattr(wire, "_joined_by", cancelled_and_ended_before)
    ((job,),) = wire.remote_jobs([JobRequest.objects.get(pk=request.pk)]).values()
    assert job["status_code"] == "cancelled_by_user"


def test_what_was_cancelled_before_it_was_planned_is_left_as_soon_as_it_is_joined(tmp_path):
    study = {
        "repo_url": str(tmp_path / "study"),
        "commit": make_repository(tmp_path / "study", {"project.yaml": STUDY}),
    }
    make_job(StatusCode.EXECUTING, request=make_request(**study), action="extract")
    request = make_request(
        source="polling", outcome="waiting", requested_actions=["extract"], cancelled_actions=["extract"], **study
    )
    plan(request)
    request.refresh_from_db()
    assert request.withdrawn_jobs == request.joined_jobs != []


def test_a_revived_job_is_told_anew_for_the_request_that_has_joined_it_too(fake, server, joins):
    request = joins(StatusCode.INTERNAL_ERROR)
    deliver(server, request.pk)
    assert Delivery.objects.get(pk=request.pk).settled
    end("action0", StatusCode.EXECUTED)
    assert not Delivery.objects.get(pk=request.pk).settled
    telling = Deliverer(server, threading.Event().set)
    telling.look_at_all()
    wait_until(lambda: telling.tick() or codes_at(fake, request) == {"action0": "executed"})
    assert telling.close(5)


def test_a_change_of_a_joined_job_is_told_at_once(fake, server, joins, owner):
    request = joins(StatusCode.PREPARED)
    telling = Deliverer(server, threading.Event().set)
    telling.look_at_all()
    wait_until(lambda: telling.tick() or (not fake.lost_requests() and telling.is_idle()))
    end("action0", StatusCode.EXECUTING)
    telling.look_at_changed()
    wait_until(lambda: telling.tick() or codes_at(fake, request) == {"action0": "executing"})
    assert telling.close(5)
