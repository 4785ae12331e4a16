"""The pages of workspaces: found without reading all requests, the matrix, outputs and what is out of date."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from jobs.models.request_history import workspaces
from jobs.people.roles import VIEWER
from jobs.states import StatusCode
from jobs.views.workspace_parts import matrix_of
from tests.factories import make_job, make_output, make_request
from tests.web import client_of

pytestmark = pytest.mark.django_db
C = StatusCode


def page(name: str = "") -> str:
    where = reverse("workspace", args=[name]) if name else reverse("workspaces")
    response = client_of(VIEWER).get(where)
    assert response.status_code == 200
    return response.content.decode()


def test_each_workspace_is_found_once_with_its_newest_request():
    for name in ("beta", "alpha", "beta"):
        last = make_request(workspace=name)
    assert workspaces() == [("alpha", last.pk - 1), ("beta", last.pk)]


def test_without_workspaces_the_list_says_so():
    assert workspaces() == []
    assert "No workspace yet" in page()


def test_the_list_says_where_jobs_are_active():
    make_job(C.EXECUTING, workspace="busy")
    make_job(C.SUCCEEDED, workspace="quiet")
    text = page()
    assert "1 active" in text and text.index("quiet") < text.index("busy")


def test_the_matrix_has_a_cell_for_each_action_and_request():
    first, second = make_request(), make_request()
    old = make_job(C.SUCCEEDED, request=first, action="extract")
    new = make_job(C.NONZERO_EXIT, request=second, action="extract")
    make_job(C.EXECUTING, request=second, action="count")
    text = page("study")
    assert text.index(reverse("job", args=[old.identifier])) < text.index(reverse("job", args=[new.identifier]))
    assert "cell-failed" in text and "not part of it" in text


def test_more_actions_than_fit_are_told_of(monkeypatch):
    monkeypatch.setattr("jobs.views.workspace_parts.MOST_ACTIONS", 1)
    request = make_request()
    make_job(request=request)
    assert "The bar of a request" not in page("study")
    make_job(request=request)
    assert "1 action is shown" in page("study")


def test_of_too_many_actions_those_that_failed_or_run_are_shown(monkeypatch):
    monkeypatch.setattr("jobs.views.workspace_parts.MOST_ACTIONS", 2)
    request = make_request()
    codes = {"first": C.SUCCEEDED, "behind": C.DEPENDENCY_FAILED, "broken": C.NONZERO_EXIT, "busy": C.EXECUTING}
    for action, code in codes.items():
        make_job(code, request=request, action=action)
    matrix = matrix_of([request])
    assert [action for action, _ in matrix.rows] == ["broken", "busy"]
    assert matrix.is_cut


def test_a_failure_of_an_old_request_is_shown_however_many_jobs_came_after_it(monkeypatch):
    monkeypatch.setattr("jobs.views.workspace_parts.MOST_ACTIONS", 2)
    requests = [make_request() for _ in range(3)]
    for request in requests:
        for number in range(4):
            code = C.NONZERO_EXIT if request == requests[0] and number == 3 else C.SUCCEEDED
            make_job(code, request=request, action=f"action_{number}")
    matrix = matrix_of(requests[::-1])
    assert matrix.rows[0][0] == "action_3"
    assert [column.kind for column in matrix.columns] == ["failed", "succeeded", "succeeded"]


def test_a_request_has_the_colour_of_its_worst_job_also_when_that_is_not_shown(monkeypatch):
    monkeypatch.setattr("jobs.views.workspace_parts.MOST_ACTIONS", 1)
    old, new = make_request(), make_request()
    for request in (old, new):
        make_job(C.NONZERO_EXIT, request=request, action="newest failure" if request == new else "older failure")
        make_job(C.SUCCEEDED, request=request, action="extract")
    matrix = matrix_of([new, old])
    assert [action for action, _ in matrix.rows] == ["newest failure"]
    assert [column.kind for column in matrix.columns] == ["failed", "failed"]
    assert "none of 2 jobs shown" in matrix.columns[0].words and "1 of 2 jobs shown" in matrix.columns[1].words


def test_actions_stand_in_the_order_in_which_they_were_planned():
    request = make_request()
    for action, code in (("extract", C.SUCCEEDED), ("clean", C.NONZERO_EXIT), ("count", C.DEPENDENCY_FAILED)):
        make_job(code, request=request, action=action)
    assert [action for action, _ in matrix_of([request]).rows] == ["extract", "clean", "count"]


def test_an_output_whose_inputs_were_made_anew_is_out_of_date():
    actions = ["extract", "count"]
    request = make_request(study_actions=actions)
    extract = make_job(C.SUCCEEDED, request=request, action="extract")
    count = make_job(C.SUCCEEDED, request=request, action="count", waits_for=[extract])
    make_output(count, "output/counts.csv", size=2048)
    assert "output/counts.csv" in page("study") and "out of date" not in page("study")
    make_job(C.SUCCEEDED, request=make_request(study_actions=actions), action="extract")
    assert "its inputs were made anew since" in page("study")


def test_an_output_that_no_action_makes_any_more_is_out_of_date():
    make_output(make_job(C.SUCCEEDED, request=make_request(study_actions=["new"]), action="old"))
    assert "no action makes it any more" in page("study")


def test_room_is_counted_of_current_files_only():
    job = make_job(C.SUCCEEDED, workspace="study")
    make_output(job, "output/a.csv", size=1024)
    make_output(job, "output/b.csv", size=4096, is_current=False)
    text = page("study")
    assert "1 current, 1.0 KiB" in text and "output/b.csv" not in text


def test_hostile_names_are_shown_harmlessly():
    name = "<script>x</script>\u202e"
    job = make_job(C.SUCCEEDED, request=make_request(created_by=name, repo_url=name, branch=name), action=name)
    make_output(job, f"output/{name}")
    for text in (page(), page("study")):
        assert "<script>x" not in text and "\u202e" not in text and " style=" not in text


def test_the_number_of_queries_does_not_grow():
    def queries() -> int:
        client = client_of(VIEWER)
        client.get(reverse("workspace", args=["study"]))
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse("workspace", args=["study"]))
        return len(captured)

    for _ in range(2):
        make_output(make_job(C.SUCCEEDED, workspace="study"))
    few = queries()
    for _ in range(15):
        make_output(make_job(C.SUCCEEDED, workspace="study"))
    assert queries() == few <= 27


def test_a_workspace_that_nobody_named_is_404():
    assert client_of(VIEWER).get(reverse("workspace", args=["nowhere"])).status_code == 404


def test_a_workspace_whose_requests_have_no_jobs_is_told_so():
    make_request(outcome="refused")
    assert "None of them has jobs" in page("study")
