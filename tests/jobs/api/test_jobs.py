"""Lists of jobs, one of them, and what it left."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.api import finding
from jobs.models import Job, StatusChange
from jobs.people.roles import VIEWER
from jobs.states import StatusCode
from tests.api_calls import API, program
from tests.factories import make_flag, make_job, make_output, make_request

pytestmark = pytest.mark.django_db


@pytest.fixture
def caller():
    return program(VIEWER)


def names(caller, query: str = "") -> list[str]:
    response = caller.get(f"{API}/jobs{query}")
    assert response.status_code == 200, response.content
    return [job["action"] for job in response.json()["jobs"]]


def all_pages(caller, query: str, start: str = "") -> list[str]:
    """Every identifier of a list, page after page."""
    found, after = [], f"&after={start}" if start else ""
    for _ in range(1000):
        page = caller.get(f"{API}/jobs?{query}{after}").json()
        found += [job["identifier"] for job in page["jobs"]]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"
    raise AssertionError("the pages never end")


def test_the_newest_job_comes_first(caller):
    make_job(action="first")
    make_job(action="second")
    assert names(caller) == ["second", "first"]


def test_each_filter_narrows_the_list(caller):
    alice = make_request(workspace="one", created_by="alice")
    make_job(StatusCode.NONZERO_EXIT, request=alice, action="a", requires_db=True)
    make_job(StatusCode.EXECUTING, workspace="two", action="b")
    make_job(StatusCode.CREATED, workspace="two", action="c")
    make_job(StatusCode.SUCCEEDED, request=make_request(workspace="two", created_by="bob"), action="d")
    assert names(caller, "?state=failed") == ["a"]
    assert names(caller, "?state=running") == ["b"]
    assert names(caller, "?state=pending") == ["c"]
    assert names(caller, "?state=succeeded") == ["d"]
    assert names(caller, "?workspace=two") == ["d", "c", "b"]
    assert names(caller, "?workspace=two&action=b") == ["b"]
    assert names(caller, f"?request={alice.identifier}") == ["a"]
    assert names(caller, "?requester=bob") == ["d"]
    assert names(caller, "?needs_db=true") == ["a"]
    assert names(caller, "?needs_db=false&state=running") == ["b"]
    assert names(caller, "?workspace=none") == []


def test_since_shows_what_has_changed_since(caller):
    old, new = make_job(action="old"), make_job(action="new")
    Job.objects.filter(pk=old.pk).update(updated_at=timezone.now() - timedelta(hours=2))
    Job.objects.filter(pk=new.pk).update(updated_at=timezone.now() - timedelta(minutes=1))
    moment = (timezone.now() - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert names(caller, f"?since={moment}") == ["new"]


def test_pages_hold_every_job_once_whatever_is_added_meanwhile(caller):
    wanted = [make_job().identifier for _ in range(7)]
    first = caller.get(f"{API}/jobs?limit=3").json()
    make_job(action="later")
    rest = all_pages(caller, "limit=3", first["next"])
    assert [job["identifier"] for job in first["jobs"]] + rest == wanted[::-1]


def test_a_page_looks_at_so_many_rows_only_and_the_next_ones_go_on(caller, monkeypatch):
    monkeypatch.setattr(finding, "WINDOW", 4)
    wanted = make_job(StatusCode.NONZERO_EXIT)
    for _ in range(10):
        make_job(StatusCode.SUCCEEDED)
    first = caller.get(f"{API}/jobs?state=failed").json()
    assert first["jobs"] == []
    assert first["next"]
    assert all_pages(caller, "state=failed") == [wanted.identifier]


def test_an_after_that_is_no_job_is_refused(caller):
    response = caller.get(f"{API}/jobs?after=nosuchjob")
    assert response.status_code == 422
    assert "next" in response.json()["detail"]


LISTS = [
    *(f"/jobs{query}" for query in ("", "?state=failed", "?workspace=study", "?requester=alice", "?needs_db=false")),
    *("/requests", "/requests?workspace=study", "/requests/wanted", "/workspaces", "/workspaces/study/outputs"),
    *("/jobs/wanted", "/jobs/wanted/changes", "/jobs/wanted/outputs", "/flags", "/flags/paused/history", "/system"),
]


@pytest.mark.parametrize("path", LISTS)
def test_a_call_takes_as_many_queries_with_many_rows_as_with_few(caller, path):
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert caller.get(f"{API}{path}").status_code == 200
        return len(seen)

    def fill(number: int) -> None:
        for each in range(number):
            for job in (make_job(StatusCode.NONZERO_EXIT), make_job(StatusCode.SUCCEEDED, request=request)):
                make_output(job, f"output/{job.pk}.csv")
                wanted.waits_for.add(job)
                make_output(wanted, f"output/{job.pk}.txt")
                StatusChange.objects.create(job=wanted, to_code="created", actor="planner", at=timezone.now())
            make_flag(reason=f"reason {each}")

    request = make_request(identifier="wanted")
    wanted = make_job(StatusCode.NONZERO_EXIT, identifier="wanted", request=request)
    fill(2)
    queries()
    few = queries()
    fill(15)
    assert queries() == few <= 9


def test_a_job_is_found_by_a_beginning_that_no_other_has(caller):
    job = make_job(identifier="abcd2345abcd2345")
    make_job(identifier="abzz2345abcd2345")
    for name in ("abcd2345abcd2345", "abcd", "abc"):
        assert caller.get(f"{API}/jobs/{name}").json()["identifier"] == job.identifier
    several = caller.get(f"{API}/jobs/ab")
    assert several.status_code == 409
    assert several.json()["candidates"] == ["abcd2345abcd2345", "abzz2345abcd2345"]
    assert caller.get(f"{API}/jobs/abd").status_code == 404


def test_a_whole_identifier_is_that_job_also_if_others_begin_so(caller):
    make_job(identifier="abcd")
    make_job(identifier="abcde")
    assert caller.get(f"{API}/jobs/abcd").json()["identifier"] == "abcd"


def test_a_job_says_what_it_waits_for(caller):
    awaited = make_job(StatusCode.SUCCEEDED, action="first")
    job = make_job(waits_for=[awaited])
    said = caller.get(f"{API}/jobs/{job.identifier}").json()
    assert said["waits_for"] == [{"identifier": awaited.identifier, "action": "first", "state": "succeeded"}]


def test_changes_come_in_pages(caller):
    job = make_job()
    for number in range(5):
        StatusChange.objects.create(job=job, to_code="created", actor=f"actor {number}", at=timezone.now())
    first = caller.get(f"{API}/jobs/{job.identifier}/changes?limit=3").json()
    rest = caller.get(f"{API}/jobs/{job.identifier}/changes?limit=3&after={first['next']}").json()
    assert [each["actor"] for each in first["changes"] + rest["changes"]] == [f"actor {n}" for n in range(5)]
    assert rest["next"] is None


def test_outputs_come_in_pages_and_without_contents(caller):
    job = make_job(StatusCode.SUCCEEDED)
    for number in range(5):
        make_output(job, f"output/{number}.csv")
    first = caller.get(f"{API}/jobs/{job.identifier}/outputs?limit=3").json()
    rest = caller.get(f"{API}/jobs/{job.identifier}/outputs", {"limit": 3, "after": first["next"]}).json()
    assert [each["path"] for each in first["outputs"] + rest["outputs"]] == [f"output/{n}.csv" for n in range(5)]
    assert rest["next"] is None


def test_head_is_answered_as_get_without_a_body(caller):
    make_job()
    whole = caller.get(f"{API}/jobs")
    head = caller.head(f"{API}/jobs")
    assert head.status_code == 200
    assert head.content == b""
    assert head["ETag"] == whole["ETag"]
    assert head["Content-Length"] == str(len(whole.content))


def test_a_poll_hears_304_until_something_changes(caller):
    job = make_job()
    tag = caller.get(f"{API}/jobs")["ETag"]
    poll = caller.get(f"{API}/jobs", headers={"If-None-Match": tag})
    assert poll.status_code == 304
    assert poll.content == b""
    assert poll["Cache-Control"] == "no-store"
    job.move_to(StatusCode.INITIATED, "Starting.")
    assert caller.get(f"{API}/jobs", headers={"If-None-Match": tag}).status_code == 200


def test_nothing_is_kept_on_the_way(caller):
    for path in ("/jobs", "/jobs/none", "/nowhere"):
        assert caller.get(f"{API}{path}")["Cache-Control"] == "no-store"
