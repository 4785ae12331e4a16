"""Waiting requests into jobs: what is stored of each end, and that no request holds up another."""

import logging
import threading

import pytest
from django.db import OperationalError

from jobs import planning
from jobs.git import GitUnavailable
from jobs.models import Job, JobRequest
from jobs.states import StatusCode
from sync import planner
from sync.backoff import Backoff
from sync.planner import Planner, plan
from tests.factories import make_job, make_output, make_request
from tests.git_repositories import make_repository
from tests.site import wait_until
from tests.sync.conftest import STUDY

pytestmark = pytest.mark.django_db


@pytest.fixture
def study(tmp_path) -> dict[str, str]:
    """Where the code of a waiting request comes from."""
    return {"repo_url": str(tmp_path / "study"), "commit": make_repository(tmp_path / "study", {"project.yaml": STUDY})}


def waiting(study: dict[str, str], *actions: str, **columns) -> JobRequest:
    columns = {"source": "polling", "outcome": "waiting", "study_actions": []} | study | columns
    return make_request(requested_actions=list(actions), **columns)


def done(job: Job, path: str) -> None:
    """The job's output is in storage."""
    from jobs.storage import high_privacy_workspace

    file = high_privacy_workspace(job.workspace) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x")
    make_output(job, path)


def test_a_request_becomes_jobs_and_no_longer_waits(study):
    request = waiting(study, "count")
    assert plan(request)
    request.refresh_from_db()
    assert (request.outcome, request.study_actions) == ("planned", ["extract", "count", "dataset"])
    assert set(request.jobs.values_list("action", flat=True)) == {"extract", "count"}
    assert request.outcome_at is not None
    assert not JobRequest.objects.waiting().exists()


def test_the_timeline_names_who_asked(study):
    request = waiting(study, "extract", created_by="bob")
    plan(request)
    assert request.jobs.get().status_changes.get().actor == "bob"


def test_a_request_that_cannot_be_planned_is_refused_with_the_authors_words(study):
    request = waiting(study, "exctract")
    assert plan(request)
    request.refresh_from_db()
    assert (request.outcome, request.error_name) == ("refused", "UnknownAction")
    assert "'exctract' not found" in request.outcome_message
    assert not request.jobs.exists()


def test_a_study_without_project_file_is_refused(tmp_path):
    commit = make_repository(tmp_path / "other", {"README.md": "x"})
    request = waiting({"repo_url": str(tmp_path / "other"), "commit": commit}, "extract")
    plan(request)
    request.refresh_from_db()
    assert request.outcome == "refused"
    assert "project.yaml" in request.outcome_message


def test_when_everything_is_done_there_is_nothing_to_do(study):
    earlier = make_request(requested_actions=["extract"], **study)
    done(make_job(StatusCode.SUCCEEDED, request=earlier, action="extract"), "output/rows.csv")
    done(make_job(StatusCode.SUCCEEDED, request=earlier, action="count"), "output/counts.csv")
    done(make_job(StatusCode.SUCCEEDED, request=earlier, action="dataset"), "output/dataset.csv")
    request = waiting(study, "run_all")
    assert plan(request)
    request.refresh_from_db()
    assert request.outcome == "nothing_to_do"
    assert "already succeeded" in request.outcome_message


def test_when_another_request_has_scheduled_it_the_request_names_the_jobs_that_do_it(study):
    earlier = make_request(requested_actions=["extract"], **study)
    job = make_job(StatusCode.EXECUTING, request=earlier, action="extract")
    request = waiting(study, "extract")
    assert plan(request)
    request.refresh_from_db()
    assert (request.outcome, request.joined_jobs) == ("already_scheduled", [job.identifier])


def test_a_git_host_that_does_not_answer_keeps_the_request_waiting_and_says_so(study, monkeypatch):
    def silent(request):
        raise GitUnavailable("The server of x does not answer.")

    monkeypatch.setattr(planning, "read_project", silent)
    request = waiting(study, "extract")
    assert not plan(request)
    request.refresh_from_db()
    assert request.is_waiting
    assert request.outcome_message == "The server of x does not answer. It is tried again."


def test_a_locked_database_keeps_the_request_waiting(study, monkeypatch):
    def locked(*args, **kwargs):
        raise OperationalError("database is locked")

    monkeypatch.setattr(planning, "submit", locked)
    request = waiting(study, "extract")
    assert not plan(request)
    request.refresh_from_db()
    assert request.is_waiting


def test_a_fault_of_ours_refuses_the_request_with_its_traceback_in_the_log(study, monkeypatch, caplog):
    def broken(*args, **kwargs):
        raise KeyError("oops")

    monkeypatch.setattr(planning, "submit", broken)
    request = waiting(study, "extract")
    assert plan(request)
    request.refresh_from_db()
    assert (request.outcome, request.error_name) == ("refused", "InternalError")
    assert "oops" not in request.outcome_message
    assert any(record.exc_info for record in caplog.records)


def test_what_was_cancelled_before_there_were_jobs_never_starts(study):
    request = waiting(study, "count", "extract", cancelled_actions=["count", "unknown"])
    plan(request)
    assert set(Job.objects.stop_requested().values_list("action", flat=True)) == {"count"}


def test_when_all_that_was_asked_for_is_cancelled_what_only_that_needs_does_not_start_either(study):
    request = waiting(study, "count", cancelled_actions=["count"])
    plan(request)
    assert set(Job.objects.stop_requested().values_list("action", flat=True)) == {"extract", "count"}


def test_a_cancellation_that_comes_while_the_plan_is_made_is_not_lost(study, monkeypatch):
    request = waiting(study, "extract")
    read = planning.read_project

    def cancelled_meanwhile(of):
        JobRequest.objects.get(pk=of.pk).ask_to_cancel(["extract"], by="job-server")
        return read(of)

    monkeypatch.setattr(planning, "read_project", cancelled_meanwhile)
    plan(request)
    request.refresh_from_db()
    assert request.cancelled_actions == ["extract"]
    assert Job.objects.stop_requested().count() == 1


def test_a_request_that_is_withdrawn_while_the_plan_is_made_gets_no_jobs(study, monkeypatch):
    request = waiting(study, "extract", source="rap_api")
    read = planning.read_project

    def withdrawn_meanwhile(of):
        assert JobRequest.objects.get(pk=of.pk).conclude(JobRequest.Outcome.REFUSED, "too late", error_name="Timeout")
        return read(of)

    monkeypatch.setattr(planning, "read_project", withdrawn_meanwhile)
    assert not plan(request)
    request.refresh_from_db()
    assert (request.outcome, request.outcome_message) == ("refused", "too late")
    assert not Job.objects.exists()


def test_stale_codelists_stop_only_database_actions_of_a_polled_request(study):
    request = waiting(study, "dataset", "extract", codelists_ok=False)
    plan(request)
    codes = dict(request.jobs.values_list("action", "status_code"))
    assert codes == {"dataset": "stale_codelists", "extract": "created"}
    assert "action dataset" in request.jobs.get(action="dataset").status_message


def test_stale_codelists_refuse_a_call_of_the_rap_api(study):
    request = waiting(study, "dataset", "extract", codelists_ok=False, source="rap_api")
    plan(request)
    request.refresh_from_db()
    assert request.outcome_message == "Codelists are out of date (required by action dataset)."
    assert not Job.objects.exists()


def test_planning_a_known_request_again_makes_nothing_new(study):
    """As after a death between storing the jobs and saying so, were the two not one transaction."""
    request = waiting(study, "extract")
    plan(request)
    JobRequest.objects.update(outcome="waiting")
    assert plan(JobRequest.objects.get())
    assert JobRequest.objects.get().outcome == "planned"
    assert Job.objects.count() == 1


# --- many at a time


@pytest.fixture
def planned(monkeypatch):
    """Plans that end when the test says so: `begun` are the workspaces, `release[workspace]` lets one end."""

    class Planned:
        def __init__(self):
            self.begun: list[str] = []
            self.release: dict[str, threading.Event] = {}
            self.succeeds = True

        def __call__(self, request, should_stop) -> bool:
            self.begun.append(request.workspace)
            event = self.release.setdefault(request.workspace, threading.Event())
            while not event.wait(0.01):
                if should_stop():
                    return False
            if self.succeeds:
                request.conclude(JobRequest.Outcome.REFUSED, "x")
            return self.succeeds

    found = Planned()
    monkeypatch.setattr(planner, "plan", found)
    return found


@pytest.fixture
def many(transactional_db):
    found = Planner(lambda: None)
    yield found
    assert found.close(5)


def at_host(host: str, workspace: str, **columns) -> JobRequest:
    place = {"repo_url": f"https://{host}/org/study", "commit": "c" * 40}
    return waiting(place, "extract", workspace=workspace, **columns)


def begun(planned, *workspaces: str) -> bool:
    return wait_until(lambda: set(planned.begun) == set(workspaces), what=f"{workspaces} begun")


def test_a_slow_host_does_not_hold_up_another(many, planned):
    for number in range(10):
        at_host("slow.example", f"slow{number}")
    at_host("fast.example", "fast")
    many.tick()
    begun(planned, "slow0", "slow1", "fast")


def test_of_one_workspace_one_request_is_planned_at_a_time_the_oldest_first(many, planned):
    first, second = at_host("a.example", "w"), at_host("b.example", "w")
    many.tick()
    begun(planned, "w")
    many.tick()
    planned.release["w"].set()
    wait_until(lambda: many.tick() == [first.pk, second.pk])
    assert planned.begun == ["w", "w"]


def test_whoever_waits_for_an_answer_comes_first(many, planned):
    for number in range(planner.POLLED_THREADS + 1):
        at_host(f"h{number}.example", f"w{number}")
    many.tick()
    begun(planned, "w0", "w1", "w2")
    at_host("h0.example", "call", source="rap_api")
    many.tick()
    begun(planned, "w0", "w1", "w2", "call")


def test_a_request_never_overtakes_an_older_one_of_its_workspace_that_has_no_room(many, planned):
    """The host of the older one is busy, that of the younger one is not."""
    for number in range(planner.MOST_PER_HOST):
        at_host("busy.example", f"w{number}")
    many.tick()
    begun(planned, "w0", "w1")
    at_host("busy.example", "w")
    younger = at_host("free.example", "w")
    many.tick()
    other = at_host("free.example", "other")
    many.tick()
    begun(planned, "w0", "w1", "other")
    assert JobRequest.objects.waiting().filter(pk__in=[younger.pk, other.pk]).count() == 2


def test_one_that_pauses_holds_up_no_other_of_its_workspace(many, planned, monkeypatch):
    monkeypatch.setattr(
        planner, "plan", lambda request, should_stop: request.branch != "silent" and planned(request, should_stop)
    )
    planned.release["w"] = threading.Event()
    planned.release["w"].set()
    at_host("a.example", "w", branch="silent")
    younger = at_host("a.example", "w")
    wait_until(lambda: younger.pk in many.tick())


def test_calls_for_a_silent_host_leave_room_for_a_call_for_another(many, planned):
    for number in range(planner.THREADS):
        at_host("slow.example", f"slow{number}", source="rap_api")
    many.tick()
    at_host("fast.example", "fast", source="rap_api")
    many.tick()
    begun(planned, *(f"slow{number}" for number in range(planner.MOST_CALLS_PER_HOST)), "fast")


def test_a_call_that_finds_no_room_does_not_wait_for_the_plan_of_another_one(many, planned):
    calls = [f"call{number}" for number in range(planner.MOST_CALLS_PER_HOST + 1)]
    for call in calls:
        at_host("a.example", call, source="rap_api")
    many.tick()
    begun(planned, *calls[:-1])
    planned.release["call1"].set()

    def next_begun() -> bool:
        many.tick()
        return calls[-1] in planned.begun

    wait_until(next_begun)


def test_a_polled_request_never_takes_the_thread_of_a_call(many, planned):
    for number in range(planner.POLLED_THREADS):
        at_host(f"h{number}.example", f"w{number}")
    many.tick()
    begun(planned, "w0", "w1", "w2")
    call = at_host("a.example", "call", source="rap_api")
    at_host("a.example", "polled")
    many.tick()
    begun(planned, "w0", "w1", "w2", "call")
    planned.release["call"].set()
    wait_until(lambda: call.pk in many.tick())
    assert "polled" not in planned.begun


def test_the_loop_rests_while_the_host_of_an_overdue_request_has_no_room(many, planned):
    for number in range(planner.MOST_PER_HOST):
        at_host("slow.example", f"w{number}")
    overdue = at_host("slow.example", "overdue")
    many._pauses[overdue.pk] = Backoff(0.0, 0.0)
    many.tick()
    begun(planned, "w0", "w1")
    assert many.seconds_to_next() > 60


def test_many_requests_of_one_host_are_planned_in_few_rounds(many, planned, monkeypatch):
    pks = {at_host("a.example", f"w{number}").pk for number in range(30)}
    for number in range(30):
        planned.release[f"w{number}"] = threading.Event()
        planned.release[f"w{number}"].set()
    rounds, concluded = 0, set()
    while concluded != pks:
        rounds += 1
        concluded |= set(many.tick())
        wait_until(lambda: all(lane.future.done() for lane in many._lanes))
    assert rounds <= 3


def test_a_request_that_fails_lets_the_others_of_its_lane_go_on(many, planned, monkeypatch):
    real = planned.__class__.__call__

    def fails(self, request, should_stop):
        return False if request.workspace == "bad" else real(self, request, should_stop)

    monkeypatch.setattr(planner, "plan", lambda request, should_stop: fails(planned, request, should_stop))
    at_host("a.example", "other")
    at_host("a.example", "bad")
    good = at_host("a.example", "good").pk
    for workspace in ("other", "good"):
        planned.release[workspace] = threading.Event()
        planned.release[workspace].set()
    wait_until(lambda: good in many.tick())


def test_a_request_that_could_not_be_planned_pauses_and_is_tried_again(many, planned, monkeypatch):
    monkeypatch.setattr(planner, "FIRST_PAUSE_SECONDS", 0.05)
    request = at_host("a.example", "w")
    planned.succeeds = False
    planned.release["w"] = threading.Event()
    planned.release["w"].set()
    wait_until(lambda: many.tick() == [] and len(planned.begun) >= 3)
    planned.succeeds = True
    wait_until(lambda: many.tick() == [request.pk])


def test_the_end_of_the_process_ends_plans_that_are_under_way(many, planned):
    at_host("a.example", "w")
    many.tick()
    begun(planned, "w")
    assert many.close(5)
    assert JobRequest.objects.waiting().count() == 1


def test_no_plan_begins_once_the_process_ends(many, monkeypatch):
    """Even if the one before it in the same thread still succeeds."""
    plans = []

    def succeeds_at_the_end(request, should_stop) -> bool:
        plans.append(request.workspace)
        return wait_until(should_stop)

    monkeypatch.setattr(planner, "plan", succeeds_at_the_end)
    for number in range(planner.MOST_PER_HOST * 2):
        at_host("a.example", f"w{number}")
    many.tick()
    wait_until(lambda: len(plans) == planner.MOST_PER_HOST)
    assert many.close(5)
    assert len(plans) == planner.MOST_PER_HOST


def test_a_silent_git_server_is_given_up_at_the_deadline_of_the_whole_request(settings, study, caplog, tmp_path):
    """Real git against a real socket that never answers."""
    import socket

    settings.GIT_ALLOW_HTTP, settings.PLANNING_TIMEOUT_SECONDS = True, 0.5
    with socket.create_server(("127.0.0.1", 0)) as silent, caplog.at_level(logging.WARNING):
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        settings.ALLOWED_GIT_HOSTS = (host,)
        settings.ALLOWED_GITHUB_ORGS = ("*",)
        request = waiting({"repo_url": f"http://{host}/org/study", "commit": "c" * 40, "branch": "main"}, "extract")
        assert not plan(request)
    request.refresh_from_db()
    assert "longer than 0.5 seconds" in request.outcome_message


def test_git_does_not_go_on_for_a_request_that_was_withdrawn(settings, study):
    """It would hold the workspace, and the next call for it would time out as well."""
    import socket

    settings.GIT_ALLOW_HTTP, settings.ALLOWED_GITHUB_ORGS = True, ("*",)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        settings.ALLOWED_GIT_HOSTS = (host,)
        place = {"repo_url": f"http://{host}/org/study", "commit": "c" * 40, "branch": "main"}
        request = waiting(place, "extract", source="rap_api")
        looks = []

        def withdrawn() -> bool:
            if not looks:
                JobRequest.objects.get(pk=request.pk).conclude(JobRequest.Outcome.REFUSED, "too late")
            looks.append(True)
            return False

        assert not plan(request, withdrawn)
    request.refresh_from_db()
    assert request.outcome_message == "too late"
