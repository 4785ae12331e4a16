"""Calls that nobody means well with, and texts that studies' authors may have written."""

import json
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from jobs.api.door import MOST_BODY_BYTES
from jobs.models import AuditEntry, Flag, Job, JobRequest
from jobs.people.roles import OPERATOR, VIEWER
from jobs.states import StatusCode
from jobs.wire import moment
from tests.api_calls import API, post, program
from tests.databases import SERVER
from tests.factories import make_job, make_request
from tests.web import person

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>\u202e\x1b]8;;x\x07\x00\ufffe"


@pytest.fixture
def caller():
    return program(OPERATOR, may_change=True)


@pytest.mark.parametrize(
    "query",
    ["?stat=failed", "?state=broken", "?limit=0", "?limit=501", "?limit=x", "?since=yesterday", "?needs_db=maybe",
     "?since=2026-11-26T08:00:00", "?state=failed&state=running", "?state=", "?workspace=" + "x" * 200],
)  # fmt: skip
def test_a_query_that_is_not_understood_is_refused(caller, query):
    response = caller.get(f"{API}/jobs{query}")
    assert response.status_code == 422
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["errors"][0]["where"].startswith("query: ")


@pytest.mark.parametrize("path", ["/whoami", "/flags", "/system", "/jobs/abc"])
def test_no_endpoint_takes_a_parameter_that_it_does_not_know(caller, path):
    assert caller.get(f"{API}{path}?token=x").status_code == 422


@pytest.mark.parametrize(
    "name", ["%00", "..%2f..%2fetc", "a'--", "%ff", "a" * 65, "%F0%9F%92%A9", "%E2%80%AE", "a%20b", "*", "%25"]
)
def test_an_identifier_that_is_none_finds_nothing(caller, name):
    assert caller.get(f"{API}/jobs/{name}").status_code in (404, 422)


@pytest.mark.parametrize("name", ["%00", "a'--", "%F0%9F%92%A9", "..", "a/b/c", "%ff"])
def test_a_request_that_is_none_is_not_found(caller, name):
    assert caller.get(f"{API}/requests/{name}").status_code == 404
    assert caller.get(f"{API}/workspaces/{name}/outputs").status_code == 404


def test_a_request_may_be_called_anything(caller):
    make_request(identifier="a/b c\u00e4")
    assert caller.get(f"{API}/requests/a/b%20c%C3%A4").json()["identifier"] == "a/b c\u00e4"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"NaN",
        b'{"identifiers": ["a"], "reason": NaN}',
        b'{"identifiers": ["a"], "identifiers": ["b"], "reason": "x"}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_json_is_refused(caller, body):
    response = caller.post(f"{API}/jobs/cancel", body, content_type="application/json")
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body",
    [
        [],
        "x",
        None,
        {},
        {"identifiers": [], "reason": "x"},
        {"identifiers": "abc", "reason": "x"},
        {"identifiers": [1], "reason": "x"},
        {"identifiers": [None], "reason": "x"},
        {"identifiers": ["\ud800"], "reason": "x"},
        {"identifiers": ["a\n"], "reason": "x"},
        {"identifiers": ["a"], "reason": ""},
        {"identifiers": ["a"], "reason": "\ud800"},
        {"identifiers": ["a"], "reason": "  \n "},
        {"identifiers": ["a"], "reason": 1},
        {"identifiers": ["a"], "reason": "x" * 1001},
        {"identifiers": ["a"] * 1001, "reason": "x"},
        {"identifiers": ["a"], "reason": "x", "force": True},
        {"identifiers": {"a": 1}, "reason": "x"},
    ],
)
def test_a_body_of_another_form_is_refused(caller, body):
    response = post(caller, "/jobs/cancel", json.dumps(body))
    assert response.status_code == 422
    assert response.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"on": "true", "reason": "x"},
        {"on": 1, "reason": "x"},
        {"on": True, "reason": "x", "until": "2020-01-01T00:00:00Z"},
        {"on": True, "reason": "x", "until": "2999-01-01T00:00:00Z"},
        {"on": True, "reason": "x", "until": "2027-01-01T00:00:00"},
        {"on": False, "reason": "x", "until": "2027-01-01T00:00:00Z"},
        {"on": True},
    ],
)
def test_a_switch_is_not_set_by_half(caller, body):
    assert post(caller, "/flags/paused", body).status_code == 422
    assert not Flag.objects.exists()


@pytest.mark.parametrize(
    ("name", "on", "due_at", "until"),
    [("paused", True, 1, None), ("reboot", False, 1, None), ("reboot", True, -1, None), ("reboot", True, 2, 1)],
)
def test_a_reboot_is_not_planned_by_half(caller, name, on, due_at, until):
    hours = {"due_at": due_at, "until": until}
    times = {word: moment(timezone.now() + timedelta(hours=each)) for word, each in hours.items() if each}
    assert post(caller, f"/flags/{name}", {"on": on, "reason": "x"} | times).status_code == 422
    assert not Flag.objects.exists()


def test_a_switch_that_there_is_not_is_refused(caller):
    assert post(caller, "/flags/selfdestruct", {"on": True, "reason": "x"}).status_code == 422


def test_a_reason_is_kept_harmlessly(caller):
    job = make_job()
    assert (
        post(caller, "/jobs/cancel", json.dumps({"identifiers": [job.identifier], "reason": HOSTILE})).status_code
        == 200
    )
    stored = AuditEntry.objects.get(verb="cancel").reason
    assert "\u202e" not in stored
    assert "\x1b" not in stored
    assert Job.objects.get(pk=job.pk).stop_reason == stored


def test_what_a_study_wrote_comes_as_escaped_json(caller):
    make_job(action=HOSTILE, status_message=HOSTILE)
    response = caller.get(f"{API}/jobs")
    stored = HOSTILE.replace("\x00", "\ufffd") if SERVER else HOSTILE
    assert response.json()["jobs"][0]["action"] == stored
    assert response.content.isascii()
    assert response["X-Content-Type-Options"] == "nosniff"


def test_a_large_body_is_refused_unread(caller):
    response = caller.post(f"{API}/jobs/cancel", b"x" * (MOST_BODY_BYTES + 1), content_type="application/json")
    assert response.status_code == 413


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_of_a_form_is_refused(caller, kind):
    """What a page of another site could send without asking."""
    response = caller.post(f"{API}/jobs/cancel", b"identifiers=a&reason=x", content_type=kind)
    assert response.status_code == 415


@pytest.mark.parametrize(
    ("method", "path"), [("post", "/jobs"), ("delete", "/jobs/abc"), ("get", "/jobs/x/y"), ("put", "/")]
)
def test_what_is_not_there_is_told_as_a_problem(caller, method, path):
    response = getattr(caller, method)(f"{API}{path}", content_type="application/json")
    assert response.status_code in (404, 405)
    assert response["Content-Type"] == "application/problem+json"
    if response.status_code == 405:
        assert "GET" in response["Allow"]


def test_an_address_of_the_api_never_leads_to_the_log_in_page(client):
    for path in ("/nowhere", "/", "/jobs/abc/outputs/x"):
        assert client.get(f"{API}{path}").status_code in (401, 404)


def test_a_fault_of_ours_says_nothing_of_the_inside(monkeypatch, caplog):
    caller = program(VIEWER)
    monkeypatch.setattr("jobs.api.system.health", lambda: 1 / 0)
    caller.raise_request_exception = False
    response = caller.get(f"{API}/system")
    assert response.status_code == 500
    assert "division" not in response.content.decode()
    assert "division" in caplog.text


def test_a_busy_database_is_no_fault_and_can_be_asked_again(monkeypatch):
    def busy():
        raise OperationalError("database is locked")

    caller = program(VIEWER)
    monkeypatch.setattr("jobs.api.system.health", busy)
    response = caller.get(f"{API}/system")
    assert response.status_code == 503
    assert response["Retry-After"]


def test_a_wish_for_the_same_job_twice_has_one_result(caller):
    job = make_job()
    wish = {"identifiers": [job.identifier, job.identifier], "reason": "x"}
    assert len(post(caller, "/jobs/cancel", wish).json()["results"]) == 1


def test_a_wish_to_run_again_that_comes_twice_with_its_key_is_done_once(caller):
    job = make_job(StatusCode.NONZERO_EXIT)
    wish = {"identifiers": [job.identifier], "reason": "x"}
    asked = [post(caller, "/jobs/rerun", wish, headers={"Idempotency-Key": key}) for key in ("one", "one", "two", "")]
    first, again, other, keyless = (answer.json()["requests"] for answer in asked)
    assert first == again
    assert len({*first, *other, *keyless}) == 3
    assert JobRequest.objects.filter(source="operator").count() == 3


def test_a_beginning_is_not_enough_to_change_a_job(caller):
    job = make_job()
    result = post(caller, "/jobs/kill", {"identifiers": [job.identifier[:8]], "reason": "x"}).json()["results"][0]
    assert (result["was_done"], result["sentence"]) == (False, "no such job")


def test_nobody_finds_out_what_there_is_without_a_token():
    job = make_job()
    one, other = (Client().get(f"{API}/jobs/{name}") for name in (job.identifier, "nosuchjob"))
    assert one.content == other.content


def test_a_superuser_may_everything():
    caller = program(is_superuser=True)
    assert caller.get(f"{API}/jobs").status_code == 200
    assert person(is_superuser=True).has_perm("jobs.cancel_job")
