"""Requests: each is planned once and wholly or not at all, and what no study could make right is refused."""

import pytest
from django.db import IntegrityError

from jobs import planning, storage
from jobs.errors import JobError
from jobs.models import Job, JobRequest, StatusChange
from jobs.models.job import job_identifier
from jobs.planning import RequestError, submit
from jobs.project import ProjectError, UnknownAction, load_project
from jobs.states import StatusCode
from tests.factories import make_job, make_output
from tests.git_repositories import make_repository
from tests.site import Site

pytestmark = pytest.mark.django_db

STUDY = load_project("""
version: '4.0'
actions:
  generate:
    run: ehrql:v1 generate-dataset analysis/dataset.py --output output/dataset.csv
    outputs: {highly_sensitive: {rows: output/dataset.csv}}
  prepare_1:
    run: python:v2 python prepare.py
    needs: [generate]
    outputs: {highly_sensitive: {rows: output/1.csv}}
  analyse:
    run: r:v2 analyse.r
    needs: [prepare_1]
    outputs: {moderately_sensitive: {tables: output/*.json}}
""")


def ask(*actions: str, **columns) -> JobRequest:
    defaults = {
        "backend": "development",
        "workspace": "study",
        "repo_url": "https://github.com/opensafely/study",
        "commit": "c" * 40,
    }
    return JobRequest(requested_actions=list(actions), created_by="alice", **defaults | columns)


def test_identifiers_are_made_from_the_request_and_the_action():
    request = ask("prepare_1", identifier="abcdefgh23456722")
    for job in submit(request, STUDY, by="alice").jobs:
        assert job.identifier == job_identifier("abcdefgh23456722", job.action)


def test_the_same_request_again_makes_nothing_new():
    """M16."""
    first = submit(ask("prepare_1", identifier="same"), STUDY, by="alice")
    Job.objects.filter(pk=first.jobs[0].pk).get().request_cancel(by="bob", reason="")

    again = submit(ask("prepare_1", identifier="same"), STUDY, by="alice")

    assert again.jobs == [] and again.request == first.request
    assert Job.objects.count() == 2 and JobRequest.objects.count() == 1


def test_a_request_that_was_stored_before_is_planned_as_it_stands():
    request = ask("generate")
    request.save()
    assert [job.request for job in submit(request, STUDY, by="alice").jobs] == [request]
    assert JobRequest.objects.count() == 1


def test_an_error_in_the_middle_leaves_nothing():
    """All or nothing: even what was written before the error is gone."""
    make_job(identifier=job_identifier("abc", "analyse"))
    before = (Job.objects.count(), JobRequest.objects.count())

    with pytest.raises(IntegrityError):
        submit(ask("analyse", identifier="abc"), STUDY, by="alice")

    assert (Job.objects.count(), JobRequest.objects.count()) == before
    assert not StatusChange.objects.exists()


def test_an_image_that_nobody_allows_refuses_the_whole_request(settings):
    settings.ALLOWED_IMAGES = ("python", "ehrql")
    settings.ACTIONS_ORG_URL = "/nowhere/actions"
    with pytest.raises(JobError, match="analyse"):
        submit(ask("analyse"), STUDY, by="alice")
    assert not Job.objects.exists()


def meanwhile(monkeypatch, happens) -> None:
    """Let something happen once, between the plan that is made outside of the transaction and the one inside."""
    real, calls = planning.make_plan, []

    def make_plan(*arguments):
        calls.append(arguments)
        plan = real(*arguments)
        if len(calls) == 1:
            happens()
        return plan

    monkeypatch.setattr(planning, "make_plan", make_plan)


def test_what_another_planner_has_added_meanwhile_is_joined_and_not_doubled(monkeypatch):
    meanwhile(monkeypatch, lambda: submit(ask("prepare_1"), STUDY, by="bob"))

    jobs = submit(ask("analyse"), STUDY, by="alice").jobs

    assert [job.action for job in jobs] == ["analyse"]
    assert list(Job.objects.order_by("pk").values_list("action", flat=True)) == ["generate", "prepare_1", "analyse"]
    assert [job.action for job in jobs[0].waits_for.all()] == ["prepare_1"]
    assert jobs[0].status_code == StatusCode.WAITING_ON_DEPENDENCIES


def test_the_same_request_planned_meanwhile_makes_nothing_new(monkeypatch):
    meanwhile(monkeypatch, lambda: submit(ask("prepare_1", identifier="same"), STUDY, by="alice"))
    assert submit(ask("prepare_1", identifier="same"), STUDY, by="alice").jobs == []
    assert Job.objects.count() == 2 and JobRequest.objects.count() == 1


def test_the_same_request_planned_and_cancelled_meanwhile_makes_nothing_new(monkeypatch):
    """Its jobs are not joined any more, but the identifiers of new ones would be theirs."""

    def plan_and_cancel():
        for job in submit(ask("prepare_1", identifier="same"), STUDY, by="alice").jobs:
            job.request_cancel(by="bob", reason="")

    meanwhile(monkeypatch, plan_and_cancel)
    assert submit(ask("prepare_1", identifier="same"), STUDY, by="alice").jobs == []
    assert Job.objects.count() == 2


def test_a_job_that_succeeded_meanwhile_is_not_waited_for(monkeypatch):
    active = make_job(StatusCode.FINALIZED, action="generate")
    make_output(active, "output/dataset.csv")
    file = storage.high_privacy_workspace("study") / "output/dataset.csv"
    file.parent.mkdir(parents=True)
    file.touch()
    meanwhile(monkeypatch, lambda: active.move_to(StatusCode.SUCCEEDED, "Completed successfully."))
    assert [job.status_code for job in submit(ask("prepare_1"), STUDY, by="alice").jobs] == [StatusCode.CREATED]


def test_what_has_to_run_only_since_a_moment_is_run_too(monkeypatch):
    """More has to run inside the transaction than was made ready before it: everything is begun once more."""
    active = make_job(StatusCode.EXECUTING, action="generate")
    meanwhile(monkeypatch, lambda: active.request_cancel(by="bob", reason=""))
    jobs = submit(ask("prepare_1"), STUDY, by="alice").jobs
    assert [job.action for job in jobs] == ["generate", "prepare_1"]


@pytest.mark.slow_test
def test_two_processes_that_plan_at_the_same_moment_add_each_action_once(tmp_path):
    actions = "".join(
        f"  a{n}: {{run: 'python:v2 a {n}', outputs: {{highly_sensitive: {{x: o/{n}.csv}}}}}}\n" for n in range(500)
    )
    make_repository(tmp_path / "study", {"project.yaml": f"version: '4.0'\nactions:\n{actions}"})
    with Site(tmp_path) as site:
        planners = [site.start("add_job", str(tmp_path / "study"), "run_all") for _ in range(2)]
        printed = [planner.communicate(timeout=60)[0] for planner in planners]
        assert [planner.returncode for planner in planners] == [0, 0], printed
        assert site.query("SELECT count(*), count(DISTINCT action) FROM jobs_job") == [(500, 500)]
        assert site.query("SELECT count(*) FROM jobs_jobrequest") == [(1,)]


def test_an_unknown_action_is_named_with_those_that_exist():
    with pytest.raises(UnknownAction, match="analyze") as refusal:
        submit(ask("analyze"), STUDY, by="alice")
    assert "analyse" in str(refusal.value)
    assert not JobRequest.objects.exists()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"requested_actions": []}, "names no action"),
        ({"requested_actions": [{"name": "generate"}]}, "must be a list of names"),
        ({"workspace": ""}, "not a valid name"),
        ({"workspace": " "}, "not a valid name"),
        ({"workspace": "../up"}, "not a valid name"),
        ({"workspace": "a.b"}, "not a valid name"),
        ({"workspace": "name\n"}, "not a valid name"),
        ({"workspace": "é"}, "not a valid name"),
        ({"workspace": "-study"}, "not a valid name"),
        ({"workspace": "-"}, "not a valid name"),
        ({"workspace": "w" * 129}, "not a valid name"),
        ({"database_name": "patients"}, "this backend knows default, full, slice and dummy"),
    ],
)
def test_a_request_that_no_study_could_make_right_is_refused(columns, words):
    """M7."""
    request = ask("generate")
    for name, value in columns.items():
        setattr(request, name, value)
    with pytest.raises(RequestError, match=words):
        submit(request, STUDY, by="alice")
    assert not JobRequest.objects.exists()


def test_a_project_that_needs_itself_in_a_circle_is_refused_before_planning():
    with pytest.raises(ProjectError):
        load_project("""
version: '4.0'
actions:
  a: {run: 'r:v1 a', needs: [b], outputs: {highly_sensitive: {x: a.csv}}}
  b: {run: 'r:v1 b', needs: [a], outputs: {highly_sensitive: {x: b.csv}}}
""")


def test_an_action_that_names_a_need_twice_waits_for_it_once():
    study = load_project("""
version: '4.0'
actions:
  a: {run: 'r:v1 a', outputs: {highly_sensitive: {x: a.csv}}}
  b: {run: 'r:v1 b', needs: [a, a], outputs: {highly_sensitive: {x: b.csv}}}
""")
    submit(ask("b"), study, by="alice")
    assert [job.action for job in Job.objects.get(action="b").waits_for.all()] == ["a"]
    assert Job.objects.get(action="b").status_message == "Waiting for a."


@pytest.mark.slow_test
def test_a_chain_of_ten_thousand_actions_is_planned_without_recursion():
    actions = "".join(
        f"  a{n}: {{run: 'r:v1 a {n}', {f'needs: [a{n - 1}], ' if n else ''}"
        f"outputs: {{highly_sensitive: {{x: o/{n}.csv}}}}}}\n"
        for n in range(10_000)
    )
    study = load_project(f"version: '4.0'\nactions:\n{actions}")
    jobs = submit(ask("a9999"), study, by="alice").jobs
    assert [job.action for job in jobs] == [f"a{n}" for n in range(10_000)]
    assert Job.waits_for.through.objects.count() == 9_999
    assert Job.objects.ready().count() == 1
