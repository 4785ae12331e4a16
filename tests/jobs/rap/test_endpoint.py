"""What all endpoints have in common: when they are there, who may call how, and what a fault of ours looks like."""

import subprocess
import sys

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs.models import Heartbeat
from jobs.rap import reporting
from tests.rap import BASE, Caller

pytestmark = pytest.mark.django_db

ENDPOINTS = [
    ("GET", "/backend/status/"),
    ("POST", "/rap/create/"),
    ("POST", "/rap/cancel/"),
    ("POST", "/rap/status/"),
]
PAGES = [("GET", "/docs/"), ("GET", "/spec.json")]


@pytest.mark.parametrize(("method", "address"), [*ENDPOINTS, *PAGES, ("POST", "/rap/create"), ("GET", "/docs")])
def test_without_a_token_configured_nothing_is_there(settings, caller, method, address):
    settings.RAP_API_TOKENS = {}
    assert caller.send(method, address, b"{}").status_code == 404


@pytest.mark.parametrize(("method", "address"), [*ENDPOINTS, *PAGES])
def test_another_method_is_answered_with_nothing_but_the_right_one(caller, method, address):
    for wrong in {"GET", "POST", "PUT", "DELETE"} - {method}:
        answer = caller.send(wrong, address)
        assert (answer.status_code, answer.content, answer.headers["Allow"]) == (405, b"", method)


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(("method", "address"), [*ENDPOINTS, ("GET", "/docs/")])
def test_a_missing_slash_is_pointed_out_also_while_debugging(settings, caller, method, address, debug):
    settings.DEBUG = debug
    answer = caller.send(method, address.rstrip("/"), b"{}")
    assert (answer.status_code, answer.headers["Location"]) == (301, BASE + address)


@pytest.mark.parametrize(("method", "address"), ENDPOINTS)
def test_without_a_token_nobody_is_let_in_not_even_with_a_login(method, address):
    stranger = Caller(None)
    stranger.client.force_login(User.objects.create_superuser("olive"))
    answer = stranger.send(method, address, b"{}")
    assert answer.status_code == 401
    assert answer.json() == {"error": "Unauthorized", "details": "No token provided"}


def test_a_token_opens_no_other_page(caller):
    assert caller.client.get("/admin/jobs/job/", headers=caller.headers).status_code == 302


def test_the_body_of_a_stranger_is_not_read(monkeypatch):
    monkeypatch.setattr("jobs.rap.endpoint.read", lambda request: pytest.fail("it was read"))
    assert Caller("not-a-token-of-ours").post("/rap/status/", {"rap_ids": []}).status_code == 401


def test_a_fault_of_ours_is_not_answered_in_json(monkeypatch, caller, caplog):
    """JSON with details would make a job-server fail the user's request for good."""
    monkeypatch.setattr(reporting, "backends", lambda slugs: 1 / 0)
    answer = caller.get("/backend/status/")
    assert answer.status_code == 500
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "division" not in answer.content.decode() and "ZeroDivisionError" in caplog.text


def test_no_answer_makes_a_session_or_a_cookie(caller):
    Heartbeat.beat("run")
    answer = caller.get("/backend/status/")  # the caller looks for cookies in every answer
    assert answer.status_code == 200
    assert "sessionid" not in caller.client.cookies


def test_production_sends_plain_http_to_https(settings, caller):
    settings.SECURE_SSL_REDIRECT = True
    answer = Client().post(f"{BASE}/rap/status/", headers=caller.headers)
    assert (answer.status_code, answer.headers["Location"]) == (301, f"https://testserver{BASE}/rap/status/")
    assert caller.status().status_code == 301
    assert caller.get("/backend/status/", secure=True).status_code == 200


def test_the_web_reaches_no_git_and_no_planning_even_by_way_of_others():
    """`tests/test_architecture.py` reads what a file imports itself; this reads what has been imported in the end."""
    source = (
        "import django, sys; django.setup(); import jobrunner_site.urls; "
        "print([name for name in ('jobs.git', 'jobs.planning', 'sync.loop', 'runner.loop', 'docker', 'requests')"
        " if name in sys.modules])"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
