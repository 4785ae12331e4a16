"""Every state is told until it is acknowledged, at the right pace, and no request holds up another."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Delivery, Job, JobRequest
from jobs.states import StatusCode
from sync import deliverer, delivering
from sync.backoff import Backoff
from sync.deliverer import Deliverer
from sync.delivering import deliver
from tests.factories import make_job, make_request
from tests.fakes import faults
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def request_of(fake):
    """A request that the job-server has listed, with jobs in the given states."""

    def make(*codes: StatusCode, **columns) -> JobRequest:
        identifier = fake.add_request().identifier
        request = make_request(identifier=identifier, backend=fake.backend, source="polling", **columns)
        for number, code in enumerate(codes):
            make_job(code, request=request, action=f"action{number}")
        Delivery.objects.begin([request.pk])
        return request

    return make


@pytest.fixture
def telling(server, monkeypatch):
    """A Deliverer whose pauses are short."""
    monkeypatch.setattr(deliverer, "LEAST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(deliverer, "PAUSE_PER_POST", 0)
    found = Deliverer(server, lambda: None)
    yield found
    assert found.close(5)


def until_idle(telling: Deliverer) -> None:
    """Look at all, then go on until nothing is due and nothing under way."""
    telling.look_at_all()

    def idle() -> bool:
        telling.tick()
        return telling.is_idle()

    wait_until(idle, what="the end of all posts")


def posts_of(fake, request: JobRequest) -> int:
    return len(fake.journal.posts_of(request.identifier))


def earlier(request: JobRequest, seconds: float) -> None:
    """As if the job-server had acknowledged it so long ago."""
    Delivery.objects.filter(pk=request.pk).update(acknowledged_at=timezone.now() - timedelta(seconds=seconds))


def move(request: JobRequest, *codes: StatusCode) -> None:
    job = request.jobs.get()
    for code in codes:
        job.move_to(code, f"now {code}")


# --- one post


def test_all_jobs_of_a_request_are_told_in_one_post_and_the_end_is_settled(fake, server, request_of):
    request = request_of(StatusCode.SUCCEEDED, StatusCode.NONZERO_EXIT)
    deliver(server, request.pk)
    assert fake.statuses(request.identifier) == {"action0": "succeeded", "action1": "failed"}
    assert posts_of(fake, request) == 1
    delivery = Delivery.objects.get()
    assert delivery.settled and delivery.acknowledged and delivery.failures == 0


def test_a_request_with_active_jobs_is_not_settled(server, request_of):
    deliver(server, request_of(StatusCode.SUCCEEDED, StatusCode.EXECUTING).pk)
    assert not Delivery.objects.get().settled


def test_an_empty_list_is_never_posted(fake, server, request_of):
    deliver(server, request_of(outcome="planned").pk)
    assert fake.journal.posts == []


@pytest.mark.parametrize(
    "fault",
    [faults.status(500, "html"), faults.status(403), faults.called_html(), faults.login_page(), faults.garbage()],
)
def test_what_was_not_acknowledged_is_not_settled_and_the_reason_is_kept(fake, server, request_of, fault):
    request = request_of(StatusCode.SUCCEEDED)
    fake.fault(fault, on="POST")
    assert deliver(server, request.pk).error
    delivery = Delivery.objects.get()
    assert (delivery.settled, delivery.acknowledged, delivery.failures) == (False, "", 1)
    assert delivery.failure and delivery.failing_since
    assert fake.token not in delivery.failure


def test_the_reason_goes_with_the_next_acknowledgement(fake, server, request_of):
    request = request_of(StatusCode.SUCCEEDED)
    fake.fault(faults.status(500), on="POST", times=2)
    failures = [deliver(server, request.pk) and Delivery.objects.get().failures for _ in range(3)]
    assert failures == [1, 2, 0]
    delivery = Delivery.objects.get()
    assert (delivery.settled, delivery.failures, delivery.failure, delivery.failing_since) == (True, 0, "", None)


def test_after_an_answer_that_was_lost_the_state_is_told_once_more_before_it_is_settled(fake, server, request_of):
    """The server may still be at work on the older post when it acknowledges the newer one."""
    request = request_of(StatusCode.SUCCEEDED)
    fake.fault(faults.lost_answer(), on="POST", times=1)
    settled = [deliver(server, request.pk) and Delivery.objects.get().settled for _ in range(3)]
    assert settled == [False, False, True]


def test_a_job_that_is_revived_while_its_end_is_being_told_stays_to_be_told(fake, server, request_of):
    request = request_of(StatusCode.INTERNAL_ERROR)

    def revived(received, act):
        move(request, StatusCode.EXECUTED)
        return act()

    fake.fault(revived, on="POST", times=1)
    deliver(server, request.pk)
    assert not Delivery.objects.get().settled


def test_a_job_that_is_revived_right_after_its_end_was_read_stays_to_be_told(server, request_of, monkeypatch):
    request = request_of(StatusCode.INTERNAL_ERROR)
    real = delivering.remote_jobs

    def revived(requests):
        jobs = real(requests)
        move(request, StatusCode.EXECUTED)
        return jobs

    monkeypatch.setattr(delivering, "remote_jobs", revived)
    deliver(server, request.pk)
    assert not Delivery.objects.get().settled


def test_a_revived_job_is_told_although_its_request_was_settled(fake, telling, request_of):
    request = request_of(StatusCode.INTERNAL_ERROR)
    until_idle(telling)
    assert Delivery.objects.get().settled
    move(request, StatusCode.EXECUTED)
    until_idle(telling)
    assert fake.statuses(request.identifier) == {"action0": "running"}


def test_a_request_that_an_old_server_does_not_know_is_forgotten_if_it_does_not_list_it(fake, server, request_of):
    request = request_of(StatusCode.SUCCEEDED)
    fake.fault(lambda received, act: faults.json_answer(400, ["Unknown JobRequest IDs: x"]), on="POST")
    assert deliver(server, request.pk).error, "it is listed, so it is tried again"
    Delivery.objects.update(is_listed=False)
    assert not deliver(server, request.pk).error
    delivery = Delivery.objects.get()
    assert (delivery.is_unknown, delivery.settled, delivery.failures) == (True, True, 0)


def test_a_new_state_of_a_forgotten_request_is_tried_again(fake, telling, request_of):
    request = request_of(StatusCode.CREATED)
    Delivery.objects.update(is_listed=False)
    fault = fake.fault(lambda received, act: faults.json_answer(400, ["Unknown JobRequest IDs: x"]), on="POST")
    until_idle(telling)
    until_idle(telling)
    assert posts_of(fake, request) == 1
    fault.stop()
    move(request, StatusCode.CANCELLED_BY_USER)
    until_idle(telling)
    assert fake.statuses(request.identifier) == {"action0": "failed"}
    assert Delivery.objects.get().settled


def test_a_body_that_today_s_servers_would_refuse_is_shortened_and_never_split(fake, server, request_of, monkeypatch):
    monkeypatch.setattr(delivering, "MOST_BODY_BYTES", 3000)
    request = request_of(*[StatusCode.SUCCEEDED] * 4)
    Job.objects.update(status_message="m" * 1900)
    deliver(server, request.pk)
    (post,) = fake.journal.posts
    assert len(post.body) <= 3000
    assert len(post.jobs) == 4


# --- which request, and when


def test_an_unchanged_request_is_told_again_only_after_a_minute(fake, telling, request_of):
    request = request_of(StatusCode.EXECUTING)
    until_idle(telling)
    until_idle(telling)
    earlier(request, 50)
    until_idle(telling)
    assert posts_of(fake, request) == 1
    earlier(request, 61)
    until_idle(telling)
    assert posts_of(fake, request) == 2


def test_a_clock_that_was_set_back_does_not_silence_what_is_running(fake, telling, request_of):
    request = request_of(StatusCode.EXECUTING)
    until_idle(telling)
    earlier(request, -3600)
    until_idle(telling)
    until_idle(telling)
    assert posts_of(fake, request) == 2


def test_a_new_state_is_told_at_once(fake, telling, request_of):
    request = request_of(StatusCode.PREPARED)
    until_idle(telling)
    move(request, StatusCode.EXECUTING)
    until_idle(telling)
    assert fake.jobs(request.identifier)[0]["status_code"] == "executing"


def test_a_sentence_alone_waits_for_the_next_minute(fake, telling, request_of):
    request = request_of(StatusCode.EXECUTING)
    until_idle(telling)
    request.jobs.get().say("still at work")
    until_idle(telling)
    assert posts_of(fake, request) == 1


def test_what_is_settled_and_no_longer_listed_is_never_told_again(fake, telling, request_of):
    request = request_of(StatusCode.SUCCEEDED)
    until_idle(telling)
    Delivery.objects.update(is_listed=False)
    earlier(request, 10**6)
    until_idle(telling)
    assert posts_of(fake, request) == 1


def test_what_is_settled_and_still_listed_is_told_again_less_and_less_often(fake, telling, request_of):
    request = request_of(StatusCode.SUCCEEDED)
    posts = []
    for seconds in (0, 61, 61, 121, 121, 3601):
        earlier(request, seconds)
        until_idle(telling)
        posts.append(posts_of(fake, request))
    assert posts == [1, 2, 2, 3, 3, 4]


def test_what_is_settled_is_told_once_an_hour_however_long_it_stays_listed(fake, telling, request_of):
    request = request_of(StatusCode.SUCCEEDED)
    until_idle(telling)
    Delivery.objects.update(repeats=1000)
    earlier(request, 3601)
    until_idle(telling)
    assert posts_of(fake, request) == 2


def test_an_end_is_delivered_although_the_server_no_longer_lists_the_request(fake, telling, request_of):
    request = request_of(StatusCode.EXECUTING)
    Delivery.objects.update(is_listed=False)
    fake.hide(request.identifier)
    until_idle(telling)
    move(request, StatusCode.EXECUTED, StatusCode.FINALIZING, StatusCode.FINALIZED, StatusCode.SUCCEEDED)
    until_idle(telling)
    assert fake.statuses(request.identifier) == {"action0": "succeeded"}


def test_a_request_that_waits_to_be_planned_is_not_told(fake, telling, request_of):
    request_of(outcome="waiting")
    until_idle(telling)
    assert fake.journal.posts == []


def test_a_refused_request_is_told_as_one_failed_job(fake, telling, request_of):
    request = request_of(outcome="refused", outcome_message="no such action", error_name="UnknownAction")
    until_idle(telling)
    (job,) = fake.jobs(request.identifier)
    assert (job["action"], job["status"], job["status_code"]) == ("__error__", "failed", "")
    assert job["status_message"] == "UnknownAction: no such action"
    assert job["completed_at"] is not None
    assert Delivery.objects.get().settled


def test_a_request_that_another_one_does_succeeds_only_when_that_job_has(fake, telling, request_of):
    other = request_of(StatusCode.EXECUTING)
    request = request_of(outcome="already_scheduled", joined_jobs=[other.jobs.get().identifier])
    until_idle(telling)
    assert fake.statuses(request.identifier) == {"action0": "running"}
    assert not Delivery.objects.get(pk=request.pk).settled
    move(other, StatusCode.EXECUTED, StatusCode.FINALIZING, StatusCode.FINALIZED, StatusCode.NONZERO_EXIT)
    until_idle(telling)
    assert fake.statuses(request.identifier) == {"action0": "failed"}
    assert Delivery.objects.get(pk=request.pk).settled
    assert fake.journal.complaints() == []


def test_a_request_of_the_rap_api_is_not_told_by_posts_unless_it_is_listed(fake, telling):
    request = make_request(source="rap_api", backend=fake.backend)
    make_job(StatusCode.SUCCEEDED, request=request)
    until_idle(telling)
    assert fake.journal.posts == []


def test_changes_since_the_last_look_are_found_without_looking_at_all(fake, telling, request_of):
    changed, unchanged = request_of(StatusCode.PREPARED), request_of(StatusCode.PREPARED)
    until_idle(telling)
    move(changed, StatusCode.EXECUTING)
    telling.look_at_changed()
    wait_until(lambda: telling.tick() or telling.is_idle())
    assert (posts_of(fake, changed), posts_of(fake, unchanged)) == (2, 1)


def test_a_request_that_was_just_refused_is_told_without_looking_at_all(fake, telling, request_of):
    """It has no job whose change would tell of it."""
    request = request_of(outcome="waiting")
    until_idle(telling)
    request.conclude(JobRequest.Outcome.REFUSED, "no such action", error_name="UnknownAction")
    telling.look_at_changed([request.pk])
    wait_until(lambda: telling.tick() or telling.is_idle())
    assert posts_of(fake, request) == 1


def test_the_number_of_queries_of_a_look_does_not_grow_with_the_requests(telling, request_of):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            telling.look_at_all()
        return len(captured)

    request_of(StatusCode.EXECUTING)
    few = queries()
    for _ in range(60):
        request_of(StatusCode.EXECUTING, StatusCode.SUCCEEDED)
    assert queries() == few


# --- trouble


def test_a_request_that_the_server_cannot_digest_holds_up_no_other(fake, telling, request_of):
    poison, *others = [request_of(StatusCode.SUCCEEDED) for _ in range(5)]
    fake.fault(faults.status(500, "html"), on="POST", when=faults.holds(poison.identifier))
    telling.look_at_all()
    wait_until(lambda: telling.tick() or Delivery.objects.filter(settled=True).count() == len(others))
    assert fake.lost_requests() == [poison.identifier]
    assert telling.backlog.requests == 5


def test_a_fault_of_ours_with_one_request_holds_up_no_other(fake, telling, request_of, monkeypatch, caplog):
    poison, other = request_of(StatusCode.SUCCEEDED), request_of(StatusCode.SUCCEEDED)
    real = delivering.remote_jobs

    def broken(requests):
        if [request.pk for request in requests] == [poison.pk]:
            raise KeyError("oops")
        return real(requests)

    monkeypatch.setattr(delivering, "remote_jobs", broken)
    telling.look_at_all()
    wait_until(lambda: telling.tick() or Delivery.objects.get(pk=other.pk).settled)
    wait_until(lambda: telling.tick() or telling.failures)
    assert "oops" in caplog.text


def test_a_refused_state_pauses_and_is_tried_again(fake, telling, request_of, monkeypatch):
    monkeypatch.setattr(deliverer, "FIRST_BACKOFF_SECONDS", 0.05)
    request = request_of(StatusCode.SUCCEEDED)
    fake.fault(faults.status(500), on="POST", times=3)
    until_idle(telling)
    assert posts_of(fake, request) == 4
    assert Delivery.objects.get().settled


def test_another_state_does_not_wait_for_the_pause_of_the_one_that_was_refused(fake, telling, request_of, monkeypatch):
    monkeypatch.setattr(deliverer, "FIRST_BACKOFF_SECONDS", 3600.0)
    request = request_of(StatusCode.PREPARED)
    fake.fault(faults.status(500), on="POST", times=1)
    telling.look_at_all()
    wait_until(lambda: telling.tick() or telling.failures)
    move(request, StatusCode.EXECUTING)
    until_idle(telling)
    assert fake.jobs(request.identifier)[0]["status_code"] == "executing"


def test_while_the_server_is_down_one_post_tries_for_all(fake, telling, request_of, monkeypatch):
    for _ in range(6):
        request_of(StatusCode.SUCCEEDED)
    tries = []
    real = deliverer.deliver
    monkeypatch.setattr(deliverer, "deliver", lambda *args: tries.append(args) or real(*args))
    with fake.down():
        telling.unreachable()  # a poll has found out
        telling.look_at_all()
        wait_until(lambda: telling.tick() or telling.failures)
        for _ in range(100):
            telling.tick()
        assert len(tries) == 1
    telling.reachable()
    until_idle(telling)
    assert fake.lost_requests() == []
    assert telling.failures == 0


def test_when_the_pause_of_an_outage_ends_a_single_post_tries(fake, telling, request_of):
    """Several would each keep the others from trying."""
    telling._outage = Backoff(3600.0, 3600.0)
    for _ in range(3):
        request_of(StatusCode.SUCCEEDED)
    fake.fault(faults.dropped(), on="POST")
    telling.unreachable()
    telling.look_at_all()
    wait_until(lambda: telling.tick() or (telling.failures and not telling._work))
    telling._outage._next = 0.0
    telling.tick()
    assert len(telling._work) == 1


def test_a_request_that_an_outage_kept_from_being_tried_keeps_its_turn(fake, server, request_of, monkeypatch):
    """Those that were tried, or are not yet queued, come after it."""
    monkeypatch.setattr(deliverer, "THREADS", 1)
    monkeypatch.setattr(deliverer, "MOST_QUEUED", 3)
    telling = Deliverer(server, lambda: None)
    telling._outage = Backoff(3600.0, 3600.0)
    tried, *skipped, _, _ = [request_of(StatusCode.SUCCEEDED).identifier for _ in range(5)]
    gate = threading.Event()
    fault = fake.fault(lambda received, act: replace(faults.json_answer(503, {}), gate=gate), on="POST")
    telling.look_at_all()
    telling.tick()
    telling.unreachable()
    gate.set()
    wait_until(lambda: all(future.done() for future in telling._work.values()))
    telling.tick()
    fault.stop()
    telling._outage._next = 0.0
    until_idle(telling)
    assert telling.close(5)
    first, *others = [each for post in fake.journal.posts for each in post.request_ids]
    assert (first, set(others[:2])) == (tried, set(skipped))


def test_requests_whose_posts_hang_pause_by_themselves_when_others_are_answered_meanwhile(
    fake, telling, request_of, server, monkeypatch
):
    """As many of them as there are threads would otherwise take all of the time."""
    monkeypatch.setattr(deliverer, "FIRST_BACKOFF_SECONDS", 3600.0)
    monkeypatch.setattr(server._transport, "_seconds", 0.3)
    poison = [request_of(StatusCode.SUCCEEDED) for _ in range(deliverer.THREADS)]
    gate = threading.Event()
    fake.fault(
        faults.held(gate), on="POST", when=lambda post: any(each.identifier in post.request_ids for each in poison)
    )
    telling.look_at_all()

    def polled() -> None:
        telling.reachable()
        telling.tick()

    wait_until(lambda: polled() or telling.failures >= deliverer.THREADS)
    good = request_of(StatusCode.SUCCEEDED)
    telling.look_at_all()
    wait_until(lambda: polled() or Delivery.objects.get(pk=good.pk).settled)
    assert telling.backlog.requests == len(poison) + 1
    assert [posts_of(fake, each) for each in poison] == [1] * len(poison)


def test_requests_whose_posts_hang_hold_up_no_other_for_long(fake, telling, request_of, server, monkeypatch):
    """At first each may hold a thread for the whole time limit; from then on all of them together hold one."""
    monkeypatch.setattr(deliverer, "HANGING_SECONDS", 0.3)
    server._transport._seconds = 0.5
    hanging = [request_of(StatusCode.SUCCEEDED) for _ in range(deliverer.THREADS)]
    for request in hanging:
        fake.fault(faults.never_answers(), on="POST", when=faults.holds(request.identifier))
    telling.look_at_all()
    telling.tick()
    wait_until(lambda: len(fake.journal.received) == len(hanging))
    telling.reachable()  # polls are answered meanwhile
    wait_until(lambda: telling.tick() or telling.failures >= len(hanging))
    server._transport._seconds = 4.0
    for request in hanging:
        telling._paces[request.pk].next_at = 0.0
    telling.tick()
    other = request_of(StatusCode.SUCCEEDED)
    telling.look_at_all()
    wait_until(lambda: telling.tick() or Delivery.objects.get(pk=other.pk).settled, 10)
    assert len(set(telling._work) & {request.pk for request in hanging}) == 1, "one of them holds a thread"


def test_a_request_whose_post_fails_at_once_pauses_by_itself_and_holds_up_no_other(fake, telling, request_of, caplog):
    """Dropped, or refused by a firewall: polls are answered, so it is no outage."""
    poison = request_of(StatusCode.SUCCEEDED)
    fake.fault(faults.dropped(), on="POST", when=faults.holds(poison.identifier))
    for _ in range(5):
        healthy = request_of(StatusCode.SUCCEEDED)
        telling.look_at_all()
        wait_until(lambda healthy=healthy: telling.tick() or Delivery.objects.get(pk=healthy.pk).settled)
        telling.reachable()
    assert posts_of(fake, poison) == 1
    assert [record.levelname for record in caplog.records if record.levelname == "WARNING"] == ["WARNING"]


def test_a_poll_that_succeeds_does_not_end_the_pauses_of_posts_that_are_refused(fake, telling, request_of):
    for _ in range(5):
        request_of(StatusCode.SUCCEEDED)
    fake.fault(faults.status(503), on="POST")
    telling.look_at_all()
    wait_until(lambda: telling.tick() or telling.failures == 5)
    telling.unreachable()
    telling.reachable()
    telling.tick()
    assert len(fake.journal.posts) == 5 and not telling._work


def test_after_an_error_of_the_whole_server_many_are_told_at_once_again(fake, telling, request_of):
    for _ in range(8):
        request_of(StatusCode.SUCCEEDED)
    fault = fake.fault(faults.status(500), on="POST")
    telling.look_at_all()
    wait_until(lambda: telling.tick() or telling.failures == 8)
    fault.stop()
    for pace in telling._paces.values():
        pace.next_at = 0.0
    telling.tick()
    assert len(telling._work) == 8


def test_a_new_state_of_a_request_that_hangs_gets_no_further_thread(fake, telling, request_of, server, monkeypatch):
    monkeypatch.setattr(deliverer, "HANGING_SECONDS", 0.3)
    server._transport._seconds = 0.5
    requests = [request_of(StatusCode.PREPARED) for _ in range(3)]
    fault = fake.fault(faults.never_answers(), on="POST")
    telling.look_at_all()
    wait_until(lambda: telling.tick() or telling.failures == 3)
    for request in requests:
        move(request, StatusCode.EXECUTING)
    telling.look_at_all()
    for request in requests:
        telling._paces[request.pk].next_at = 0.0
    telling.tick()
    assert len(telling._work) == 1
    assert telling.seconds_to_next() > 60, "the end of that one has to come first"
    fault.stop()


def test_what_a_kept_connection_lost_is_told_once_more_before_it_is_settled(fake, server, request_of, monkeypatch):
    request = request_of(StatusCode.SUCCEEDED)
    real = server._transport.exchange

    def twice(*args, **named):
        return replace(real(*args, **named), was_sent_twice=True)

    with monkeypatch.context() as patched:
        patched.setattr(server._transport, "exchange", twice)
        deliver(server, request.pk)
    assert Delivery.objects.get().acknowledged and not Delivery.objects.get().settled
    deliver(server, request.pk)
    assert Delivery.objects.get().settled


def test_what_waits_to_be_delivered_is_counted_with_its_age(fake, telling, request_of):
    request_of(StatusCode.SUCCEEDED)
    fake.fault(faults.status(500), on="POST", times=1)
    before = timezone.now()
    telling.look_at_all()
    assert telling.backlog.requests == 1
    assert telling.backlog.oldest_since >= before
    wait_until(lambda: telling.tick() or telling.failures)
    assert telling.failing_since >= before and "500" in telling.failure
    telling.reachable()
    monitor = Delivery.objects.get().failing_since
    assert monitor >= before
    until_idle(telling)
    telling.look_at_all()
    assert telling.backlog.requests == 0


def test_a_pause_doubles_up_to_its_cap_and_ends_with_a_success():
    now = 0.0
    backoff = Backoff(2.0, 60.0, clock=lambda: now)
    pauses = []
    for _ in range(8):
        backoff.fail()
        pauses.append(backoff.seconds_left())
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, (2, 4, 8, 16, 32, 60, 60, 60), strict=True))
    assert not backoff.is_over()
    backoff.succeed()
    assert backoff.is_over() and backoff.failures == 0
