"""Who may call, and what a token may do: never more than its person, at that moment."""

import base64
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from jobs.models import ApiToken, AuditEntry, Job, Who
from jobs.people.asking import revoke_tokens
from jobs.people.failed_tokens import MOST_FAILURES, FailedTokens, failed_tokens
from jobs.people.roles import ADMINISTRATOR, OPERATOR, VIEWER
from jobs.people.tokens import digest_of
from jobs.states import StatusCode
from tests.api_calls import API, post, program, secret_of
from tests.factories import make_job
from tests.web import client_of, person

pytestmark = pytest.mark.django_db
WISH = {"identifiers": ["unknown"], "reason": "a test"}
SWITCH = {"on": True, "reason": "a test"}
# Who may call what: paths with a body are asked by POST.
READS = ("/jobs", "/requests", "/workspaces", "/flags", "/flags/paused/history", "/system", "/whoami")
OPERATORS = {
    "/jobs/cancel": WISH,
    "/jobs/kill": WISH,
    "/jobs/retry": WISH,
    "/jobs/rerun": WISH,
    "/flags/paused": SWITCH,
}
OUTSIDE = ("/feeds/failures.atom", "/badge/study.svg", "/cc.xml", "/metrics", "/api/openapi.json")


@pytest.fixture(autouse=True)
def nobody_has_failed_yet():
    failed_tokens.clear()


@pytest.mark.parametrize("path", READS)
def test_nobody_reads_without_a_token(client, path):
    response = client.get(f"{API}{path}")
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == 401


@pytest.mark.parametrize("path", OPERATORS)
def test_nobody_changes_anything_without_a_token(client, path):
    assert post(client, path, OPERATORS[path]).status_code == 401


@pytest.mark.parametrize("path", READS)
def test_every_role_reads(path):
    for role in (VIEWER, OPERATOR, ADMINISTRATOR):
        assert program(role).get(f"{API}{path}").status_code == 200
    assert program().get(f"{API}{path}").status_code == 403


@pytest.mark.parametrize("path", OPERATORS)
def test_only_operators_with_a_token_for_it_change_things(path):
    assert post(program(OPERATOR, may_change=True), path, OPERATORS[path]).status_code == 200
    assert post(program(ADMINISTRATOR, may_change=True), path, OPERATORS[path]).status_code == 200
    assert post(program(OPERATOR), path, OPERATORS[path]).status_code == 403
    assert post(program(VIEWER, may_change=True), path, OPERATORS[path]).status_code == 403
    assert post(program(may_change=True), path, OPERATORS[path]).status_code == 403


def test_a_viewer_does_not_read_logs(settings):
    settings.HIGH_PRIVACY_STORAGE_BASE.mkdir()
    job = make_job()
    assert program(VIEWER).get(f"{API}/jobs/{job.identifier}/log").status_code == 403
    assert program(OPERATOR).get(f"{API}/jobs/{job.identifier}/log").status_code == 404


def test_rights_are_those_of_this_moment():
    caller = program(OPERATOR, may_change=True)
    caller.person.groups.set([Group.objects.get(name=VIEWER)])
    assert post(caller, "/jobs/cancel", WISH).status_code == 403
    assert caller.get(f"{API}/jobs").status_code == 200
    caller.person.groups.clear()
    assert caller.get(f"{API}/jobs").status_code == 403


def test_a_disabled_person_has_no_token():
    caller = program(VIEWER)
    caller.person.is_active = False
    caller.person.save()
    assert caller.get(f"{API}/jobs").status_code == 401


def test_a_revoked_token_is_none():
    caller = program(VIEWER)
    assert revoke_tokens([ApiToken.objects.get().pk], Who("alice", "dashboard"), "it was lost") == 1
    assert caller.get(f"{API}/jobs").status_code == 401


def test_an_expired_token_is_none():
    caller = program(VIEWER)
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert caller.get(f"{API}/jobs").status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer jr_wrong",
        "Bearer jr_\u00e4\u00f6\u00fc",
        "Bearer jr_" + "x" * 5000,
        "Bearer \udcff\udcfe",
        "Basic !!!",
        "Basic " + base64.b64encode(b"alice:jr_wrong").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "jr_wrong",
        "Digest username=alice",
    ],
)
@pytest.mark.parametrize("path", [f"{API}/jobs", "/metrics"])
def test_whatever_stands_in_the_header_is_401(path, header):
    response = Client(headers={"Authorization": header}).get(path)
    assert response.status_code == 401
    assert response["WWW-Authenticate"]


def test_a_token_in_the_address_counts_for_nothing(client):
    secret = secret_of(person(VIEWER))
    assert client.get(f"{API}/jobs?token={secret}").status_code == 401
    assert client.get(f"/metrics?token={secret}").status_code == 401


def test_whoever_comes_with_a_wrong_token_is_not_saved_by_a_session():
    client = client_of(VIEWER)
    assert client.get(f"{API}/jobs").status_code == 200
    assert client.get(f"{API}/jobs", headers={"Authorization": "Bearer jr_wrong"}).status_code == 401


def test_the_password_of_a_proxy_does_not_hide_a_session():
    header = "Basic " + base64.b64encode(b"proxy:secret").decode()
    assert client_of(VIEWER).get(f"{API}/jobs", headers={"Authorization": header}).status_code == 200


def test_a_session_changes_nothing_without_a_csrf_token():
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(person(OPERATOR), backend="django.contrib.auth.backends.ModelBackend")
    job = make_job()
    wish = {"identifiers": [job.identifier], "reason": "a test"}
    assert post(browser, "/jobs/cancel", wish).status_code == 403
    job.refresh_from_db()
    assert not job.is_stop_requested
    browser.get("/account/tokens/")
    token = browser.cookies["csrftoken"].value
    assert post(browser, "/jobs/cancel", wish, headers={"X-CSRFToken": token}).status_code == 200
    job.refresh_from_db()
    assert job.is_stop_requested


def test_a_token_needs_no_csrf_token_and_the_audit_says_who_came_which_way():
    caller, job = program(OPERATOR, may_change=True), make_job()
    assert post(caller, "/jobs/cancel", {"identifiers": [job.identifier], "reason": "a test"}).status_code == 200
    entry = AuditEntry.objects.get(verb="cancel")
    assert (entry.actor, entry.via, entry.object_id) == (caller.person.username, "api", job.identifier)
    assert entry.address == "127.0.0.1"


@pytest.mark.parametrize("path", OUTSIDE)
def test_feeds_and_the_like_take_the_token_as_a_password(client, path):
    make_job(StatusCode.NONZERO_EXIT, workspace="study")
    assert client.get(path).status_code == 401
    assert client.get(path)["WWW-Authenticate"].startswith("Basic")
    assert program(VIEWER).get(path).status_code == 200
    assert client_of(VIEWER).get(path).status_code == 200
    assert client_of().get(path).status_code == 403
    password = base64.b64encode(f"anybody:{secret_of(person(VIEWER))}".encode()).decode()
    assert client.get(path, headers={"Authorization": f"Basic {password}"}).status_code == 200
    assert client_of(VIEWER).post(path).status_code == 405


def test_only_the_digest_is_stored():
    caller = program(VIEWER)
    token = ApiToken.objects.get()
    assert token.digest == digest_of(caller.secret)
    assert caller.secret not in repr(vars(token))
    assert not AuditEntry.objects.filter(label__contains=caller.secret).exists()


def test_that_it_was_used_is_written_once_a_minute(django_assert_num_queries):
    caller = program(VIEWER)
    caller.get(f"{API}/flags")
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    caller.get(f"{API}/flags")
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    caller.get(f"{API}/flags")
    assert ApiToken.objects.get().last_used_at > first


def test_too_many_wrong_tokens_are_told_to_wait_but_a_right_one_is_let_in(django_assert_max_num_queries):
    wrong = Client(headers={"Authorization": "Bearer jr_wrong"})
    for _ in range(MOST_FAILURES):
        assert wrong.get(f"{API}/jobs").status_code == 401
    response = wrong.get(f"{API}/jobs")
    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= 60
    assert program(VIEWER).get(f"{API}/jobs").status_code == 200


def test_a_wrong_token_writes_nothing(django_assert_num_queries):
    with django_assert_num_queries(1):
        Client(headers={"Authorization": "Bearer jr_wrong"}).get(f"{API}/jobs")


def test_failures_are_counted_for_each_address_and_the_oldest_forgotten(monkeypatch):
    monkeypatch.setattr("jobs.people.failed_tokens.MOST_ADDRESSES", 2)
    counts = FailedTokens()
    for _ in range(MOST_FAILURES):
        assert counts.note("10.0.0.1") == 0
    assert counts.note("10.0.0.1") > 0
    assert counts.note("10.0.0.2") == 0
    assert counts.note("10.0.0.3") == 0
    assert counts.note("10.0.0.1") == 0


def test_whoami_says_what_the_token_may():
    said = program(OPERATOR).get(f"{API}/whoami").json()
    assert said["roles"] == [OPERATOR]
    assert "jobs.read_log" in said["permissions"]
    assert "jobs.cancel_job" not in said["permissions"]
    assert said["may_change"] is False
    assert said["token"] == "nightly report"
    assert "jobs.cancel_job" in program(OPERATOR, may_change=True).get(f"{API}/whoami").json()["permissions"]


def test_a_wish_of_a_reading_token_changes_nothing():
    job = make_job()
    post(program(OPERATOR), "/jobs/cancel", {"identifiers": [job.identifier], "reason": "a test"})
    assert not Job.objects.get(pk=job.pk).is_stop_requested
