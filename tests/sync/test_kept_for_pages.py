"""What planning keeps of a request for the pages, which reach no git: project.yaml, its faults, the graph."""

import pytest

from jobs.states import StatusCode
from sync.planner import plan
from tests.factories import make_job, make_request
from tests.git_repositories import make_repository
from tests.sync.conftest import STUDY
from tests.sync.test_planner import done, waiting

pytestmark = pytest.mark.django_db
FAULTY = "version: '3.0'\nactions:\n  one:\n    run: python:latest\n    outpts: {}\n  two: 3\n"


def planned(tmp_path, content, *actions: str):
    commit = make_repository(tmp_path / "study", {"project.yaml": content})
    request = waiting({"repo_url": str(tmp_path / "study"), "commit": commit}, *actions)
    plan(request)
    request.refresh_from_db()
    return request


def test_a_planned_request_keeps_its_project_file_and_where_its_jobs_stand(tmp_path):
    request = planned(tmp_path, STUDY, "count")
    assert request.project_file.text == STUDY
    assert (len(request.graph["centres"]), request.graph["links"]) == (2, [[0, 1]])


def test_a_refused_request_keeps_its_project_file_and_each_fault_with_its_line(tmp_path):
    request = planned(tmp_path, FAULTY, "one")
    assert (request.outcome, request.project_file.text) == ("refused", FAULTY)
    lines = FAULTY.split("\n")
    assert request.faults
    assert all(line is None or 1 <= line <= len(lines) for line, _ in request.faults)
    assert {line for line, _ in request.faults} & {3, 4, 5, 6}


def test_a_fault_of_one_line_is_found_too(tmp_path):
    request = planned(tmp_path, "version: '3.0'\nactions: {a: [\n", "a")
    assert request.faults[0][0] is not None


def test_a_fault_of_no_line_is_kept_without_one(tmp_path):
    request = planned(tmp_path, STUDY, "exctract")
    assert request.faults[0][0] is None
    assert "exctract" in request.faults[0][1]


def test_what_is_no_utf_8_is_kept_with_marks(tmp_path):
    request = planned(tmp_path, b"version: '3.0'\nactions: \xff\xfe\n", "a")
    assert request.outcome == "refused"
    assert "\ufffd" in request.project_file.text


def test_a_file_too_large_to_show_is_not_kept(tmp_path):
    request = planned(tmp_path, STUDY + "\n#" + "x" * 1_000_000, "count")
    assert (request.outcome, request.project_file) == ("planned", None)


def test_when_there_is_nothing_to_do_the_file_is_kept(tmp_path):
    commit = make_repository(tmp_path / "study", {"project.yaml": STUDY})
    study = {"repo_url": str(tmp_path / "study"), "commit": commit}
    earlier = make_request(requested_actions=["extract"], **study)
    done(make_job(StatusCode.SUCCEEDED, request=earlier, action="extract"), "output/rows.csv")
    done(make_job(StatusCode.SUCCEEDED, request=earlier, action="count"), "output/counts.csv")
    done(make_job(StatusCode.SUCCEEDED, request=earlier, action="dataset"), "output/dataset.csv")
    request = waiting(study, "run_all")
    plan(request)
    request.refresh_from_db()
    assert request.outcome == "nothing_to_do"
    assert request.project_file.text == STUDY


def test_a_request_whose_file_cannot_be_read_keeps_none(tmp_path):
    commit = make_repository(tmp_path / "study", {"README.md": "x"})
    request = waiting({"repo_url": str(tmp_path / "study"), "commit": commit}, "count")
    plan(request)
    request.refresh_from_db()
    assert (request.project_file, request.faults) == (None, [])


def test_another_try_forgets_the_faults_of_the_last(tmp_path):
    request = planned(tmp_path, FAULTY, "one")
    assert request.revive()
    request.refresh_from_db()
    assert request.faults == []
