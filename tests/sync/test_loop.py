"""The loop: what it reports, what wakes it, and that nothing that hangs holds up the rest."""

import threading

import pytest

from jobs.models import Delivery, Heartbeat, Job, JobRequest
from jobs.states import StatusCode
from sync import deliverer, loop
from sync.backoff import Backoff
from sync.loop import Sync, sync_once
from tests.factories import make_job, make_request
from tests.fakes import faults
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def looping(server, settings):
    """A Sync whose turns a test makes by itself."""
    found = Sync(server)
    yield found
    assert found.close(10)


def until(looping: Sync, condition, what: str = "the condition", seconds: float = 30):
    def turned():
        looping.turn()
        return condition()

    return wait_until(turned, seconds, what)


def test_a_request_is_fetched_planned_and_told(fake, looping, ask):
    identifier = ask("count")
    until(looping, lambda: fake.statuses(identifier) == {"extract": "pending", "count": "pending"})
    assert fake.journal.complaints() == []


def test_a_bad_request_is_told_while_a_good_one_runs(fake, looping, ask):
    good, bad, ugly = ask("count"), ask("unknown"), ask("count", commit="")
    until(looping, lambda: not fake.lost_requests())
    assert fake.statuses(bad) == fake.statuses(ugly) == {"__error__": "failed"}
    assert fake.statuses(good)["count"] == "pending"


def test_a_poll_that_has_not_begun_holds_up_no_end(looping):
    release = threading.Event()
    looping._poller._threads.submit(release.wait)  # as if the system had not given its thread any time yet
    looping._poller.tick()
    try:
        assert looping._poller.close(0)
    finally:
        release.set()


def test_a_poll_that_hangs_holds_up_neither_posts_nor_plans(fake, looping, ask):
    identifier = ask("extract")
    until(looping, lambda: fake.lost_requests() == [])
    fake.fault(faults.never_answers(), on="GET")
    until(looping, lambda: looping._poller._future is not None)
    request = make_request(identifier=ask("extract"), backend=fake.backend, outcome="planned")
    make_job(StatusCode.SUCCEEDED, request=request, action="extract")
    Delivery.objects.begin([request.pk])
    until(looping, lambda: fake.statuses(request.identifier) == {"extract": "succeeded"})
    assert identifier not in fake.lost_requests()


def test_a_post_that_hangs_holds_up_neither_polls_nor_the_cancellation_of_another_request(fake, looping, ask, settings):
    hanging, other = ask("extract"), ask("count")
    fake.fault(faults.never_answers(), on="POST", when=faults.holds(hanging))
    until(looping, lambda: other not in fake.lost_requests())
    fake.cancel(other, ["count"])
    settings.POLL_INTERVAL = 0.05
    until(looping, lambda: Job.objects.stop_requested().count() == 1, seconds=60)


def test_a_plan_that_hangs_does_not_hold_up_the_cancellation_of_another_request(fake, looping, ask, monkeypatch):
    monkeypatch.setattr("django.conf.settings.POLL_INTERVAL", 0.05)
    from sync import planner

    real, release = planner.plan, threading.Event()

    def slow(request, should_stop):
        if request.workspace == "slow":
            release.wait(30)
        return real(request, should_stop)

    monkeypatch.setattr(planner, "plan", slow)
    ask("extract", workspace="slow")
    other = ask("extract", workspace="other")
    until(looping, lambda: other not in fake.lost_requests())
    fake.cancel(other, ["extract"])
    until(looping, lambda: Job.objects.stop_requested().count() == 1)
    release.set()


def test_the_page_sees_the_last_poll_the_last_post_and_what_waits(fake, looping, ask):
    ask("extract")
    until(looping, lambda: not fake.lost_requests())
    until(looping, lambda: looping.report()["last_post_at"])
    report = looping.report()
    assert report["last_poll_at"]
    assert (report["poll_failures"], report["post_failures"], report["poll_failure"]) == (0, 0, "")
    assert report["waiting_to_be_planned"] == 0


def test_failures_are_counted_with_their_reason_and_end_with_a_success(fake, looping, settings, caplog):
    settings.POLL_INTERVAL = 0.01
    looping._poller._backoff._first = 0.01
    fault = fake.fault(faults.status(503, "html"), on="GET")
    until(looping, lambda: looping.report()["poll_failures"] >= 3)
    report = looping.report()
    assert "503" in report["poll_failure"] and report["poll_failing_since"]
    fault.stop()
    until(looping, lambda: looping.report()["poll_failures"] == 0)
    assert looping.report()["poll_failure"] == ""
    told = [record.getMessage() for record in caplog.records if record.name == "sync.loop"]
    assert len(told) == 1, "once, when it begins"


def test_a_trouble_that_lasts_is_warned_of_once_whatever_the_server_says_beside_it(fake, looping, settings, caplog):
    """Error pages hold clocks and numbers."""
    settings.POLL_INTERVAL = 0.01
    looping._poller._backoff._first = looping._poller._backoff._most = 0.01
    request = make_request(identifier=fake.add_request().identifier, backend=fake.backend)
    make_job(StatusCode.SUCCEEDED, request=request, action="extract")
    Delivery.objects.begin([request.pk])
    numbers = iter(range(10_000))
    fake.fault(lambda received, act: faults.json_answer(502, {"detail": f"ray {next(numbers)}"}))
    until(looping, lambda: looping.report()["poll_failures"] >= 3 and looping.report()["post_failures"] >= 2)
    warned = [record.name for record in caplog.records if record.levelname == "WARNING"]
    assert sorted(warned) == ["sync.deliverer", "sync.loop"]


def test_the_report_holds_our_own_words_and_nothing_that_a_server_says(fake, looping):
    fake.fault(lambda received, act: faults.json_answer(400, {"detail": "workspace secret-study"}))
    request = make_request(identifier=fake.add_request().identifier, backend=fake.backend)
    make_job(StatusCode.SUCCEEDED, request=request, action="extract")
    Delivery.objects.begin([request.pk])
    until(looping, lambda: looping.report()["poll_failures"] and looping.report()["post_failures"])
    report = looping.report()
    assert "secret-study" not in str(report)
    assert report["post_failure"] == "The post of jobs was answered with 400."
    assert "secret-study" in Delivery.objects.get().failure, "who may log in sees more"


def test_a_server_whose_requests_are_all_of_other_backends_is_told_of(fake, looping, settings, caplog):
    fake.add_request()
    settings.BACKEND = "another"
    until(looping, lambda: "is BACKEND, or JOB_SERVER_TOKEN, right?" in caplog.text)


def test_a_fault_of_ours_in_a_poll_is_reported_and_plans_and_posts_go_on(fake, looping, monkeypatch, caplog):
    def broken(server):
        raise KeyError("oops")

    monkeypatch.setattr(loop, "poll", broken)
    request = make_request(identifier=fake.add_request().identifier, backend=fake.backend)
    make_job(StatusCode.SUCCEEDED, request=request, action="extract")
    Delivery.objects.begin([request.pk])
    until(looping, lambda: fake.lost_requests() == [] and looping.report()["poll_failures"])
    assert "KeyError" in looping.report()["poll_failure"]
    assert "oops" in caplog.text


def test_the_report_goes_into_the_heartbeat_and_survives_a_restart(fake, server, looping, ask):
    ask("extract")
    until(looping, lambda: looping.report()["last_post_at"])
    looping._next_beat = 0.0
    looping.turn()
    before = Heartbeat.objects.get(name="sync").detail
    again = Sync(server)
    try:
        assert again.report()["last_poll_at"] == before["last_poll_at"]
        assert again.report()["last_post_at"] == before["last_post_at"]
    finally:
        again.close(5)


def test_no_secret_is_in_the_heartbeat(fake, looping):
    fake.fault(faults.status(403), on="GET")
    until(looping, lambda: looping.report()["poll_failures"])
    assert fake.token not in str(looping.report())


def test_without_a_job_server_only_calls_of_the_rap_api_are_planned():
    request = make_request(source="rap_api", outcome="waiting", requested_actions=[])
    planning = Sync(None)
    try:
        until(planning, lambda: not JobRequest.objects.waiting().exists())
        assert planning.report().keys() == {"started_at", "version", "waiting_to_be_planned"}
    finally:
        assert planning.close(5)
    request.refresh_from_db()
    assert request.outcome == "refused"


def test_the_report_tells_how_each_of_the_last_polls_went(fake, looping, settings, monkeypatch):
    settings.POLL_INTERVAL = 0.01
    until(looping, lambda: len(looping._poller.results) == loop.MOST_RESULTS, "so many polls")
    until(looping, lambda: looping._poller.results[0]["at"] > looping.report()["started_at"])
    assert all(poll["ms"] >= 0 and poll["at"].endswith("Z") for poll in looping.report()["polls"])
    fake.fault(faults.status(502), on="GET")
    until(looping, lambda: "error" in looping._poller.results[-1])
    assert "502" in looping.report()["polls"][-1]["error"]
    assert len(looping.report()["polls"]) == loop.MOST_RESULTS


def test_a_fault_of_ours_in_a_poll_is_no_answer(looping, monkeypatch):
    def fail(server):
        raise KeyError("what a server said")

    monkeypatch.setattr(loop, "poll", fail)
    until(looping, lambda: looping._poller.results)
    assert looping.report()["polls"][-1]["error"] == "a fault on this side: KeyError"


def test_a_pause_ends_at_what_is_due_next(looping, monkeypatch):
    waits = []
    monkeypatch.setattr(looping.wake, "wait", waits.append)
    until(looping, lambda: looping._poller.last_poll_at)
    looping.wait()
    assert loop.LEAST_PAUSE_SECONDS <= waits[0] <= 5.0


def test_posts_back_off_although_polls_succeed(fake, looping, settings, monkeypatch):
    """A server may refuse to be written to (maintenance: 503) and yet give its list. Each request pauses on its own."""
    settings.POLL_INTERVAL = 0.01
    monkeypatch.setattr(deliverer, "FIRST_BACKOFF_SECONDS", 3600.0)
    monkeypatch.setattr(deliverer, "LONGEST_BACKOFF_SECONDS", 3600.0)
    for _ in range(5):
        request = make_request(identifier=fake.add_request().identifier, backend=fake.backend)
        make_job(StatusCode.SUCCEEDED, request=request, action="extract")
        Delivery.objects.begin([request.pk])
    fake.fault(faults.status(503), on="POST")
    until(looping, lambda: len(fake.journal.gets) >= 20 and fake.journal.posts)
    assert len(fake.journal.posts) <= 5


def test_a_poll_that_succeeds_ends_an_outage_of_posts(fake, looping, settings):
    settings.POLL_INTERVAL = looping._poller._backoff._first = 0.01
    looping._deliverer._outage = Backoff(3600.0, 3600.0)
    request = make_request(identifier=fake.add_request().identifier, backend=fake.backend)
    make_job(StatusCode.SUCCEEDED, request=request, action="extract")
    Delivery.objects.begin([request.pk])
    fault = fake.fault(faults.dropped())
    until(looping, lambda: looping.report()["post_failures"])
    fault.stop()
    until(looping, lambda: not fake.lost_requests())


def test_a_refusal_is_told_at_once_and_not_at_the_next_look_at_all(fake, looping, settings, monkeypatch):
    monkeypatch.setattr(loop, "LOOK_SECONDS", 3600.0)
    settings.POLL_INTERVAL = 3600.0
    until(looping, lambda: looping._poller.last_poll_at)
    identifier = fake.add_request().identifier
    request = make_request(identifier=identifier, backend=fake.backend, outcome="waiting", requested_actions=[])
    Delivery.objects.begin([request.pk])
    until(looping, lambda: fake.statuses(identifier) == {"__error__": "failed"})


# --- once


def test_once_polls_plans_and_tells(fake, server, ask):
    identifier = ask("extract")
    assert sync_once(server) == []
    assert fake.statuses(identifier) == {"extract": "pending"}


def test_once_says_everything_that_went_wrong(fake, server, ask, monkeypatch):
    from jobs import planning
    from jobs.git import GitUnavailable

    told, silent = ask("extract", workspace="a"), ask("extract", workspace="b")
    sync_once(server)
    real = planning.read_project

    def read(request):
        if request.workspace == "c":
            raise GitUnavailable("The git host is silent.")
        return real(request)

    monkeypatch.setattr(planning, "read_project", read)
    waiting = ask("extract", workspace="c")
    fake.fault(faults.status(500, "html"), on="POST", when=faults.holds(silent))
    troubles = sync_once(server)
    assert len(troubles) == 2
    assert waiting in troubles[0] and "git host is silent" in troubles[0]
    assert silent in troubles[1] and "500" in troubles[1]
    assert told not in "".join(troubles)


def test_once_gives_up_soon_when_nobody_answers(fake, server):
    for _ in range(10):
        request = make_request(identifier=fake.add_request().identifier, backend=fake.backend)
        make_job(StatusCode.SUCCEEDED, request=request, action="extract")
        Delivery.objects.begin([request.pk])
    fake.fault(faults.dropped())
    troubles = sync_once(server)
    assert len(fake.journal.posts) == 1
    assert troubles[-1] == "9 more request(s) were not told."


def test_once_tells_also_when_the_poll_fails(fake, server, ask):
    """A server of 2021 may answer every poll with 500 because of one request that has no author."""
    identifier = ask("extract")
    sync_once(server)
    Job.objects.get().request_cancel("x", "y")
    Job.objects.get().move_to(StatusCode.CANCELLED_BY_USER, "Cancelled by user.")
    fake.fault(faults.status(500, "html"), on="GET")
    assert len(sync_once(server)) == 1
    assert fake.statuses(identifier) == {"extract": "failed"}
