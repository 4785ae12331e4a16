"""What all pages have in common."""

import re

import pytest
from django.urls import reverse

from jobrunner_site.fixed import BASE_DIR
from jobs.people.roles import OPERATOR, VIEWER
from jobs.states import StatusCode
from tests.factories import make_job
from tests.web import client_of, poll

pytestmark = pytest.mark.django_db
PAGES = ("jobs", "requests", "workspaces", "system", "search", "account")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_who_is_there(client, name):
    response = client.get(reverse(name))
    assert response.status_code == 302
    assert response.url.startswith(reverse("login"))


@pytest.mark.parametrize("name", PAGES)
def test_a_viewer_sees_the_pages(name):
    response = client_of(VIEWER).get(reverse(name))
    assert response.status_code == 200
    assert "default-src 'none'" in response["Content-Security-Policy"]


def test_whoever_has_no_role_sees_only_that():
    client = client_of()
    assert client.get(reverse("jobs")).status_code == 403
    assert "no role yet" in client.get(reverse("account")).content.decode()


def test_only_operators_see_the_audit():
    assert client_of(VIEWER).get(reverse("audit")).status_code == 403
    assert client_of(OPERATOR).get(reverse("audit")).status_code == 200


def test_a_poll_hears_304_until_something_changes():
    client, job = client_of(VIEWER), make_job()
    address = reverse("jobs")
    page = client.get(address)
    assert poll(client, address, page["HX-PTag"]).status_code == 304
    job.move_to(StatusCode.INITIATED, "Starting.")
    changed = poll(client, address, page["HX-PTag"])
    assert changed.status_code == 200
    assert b"<html" not in changed.content
    assert b"Starting." in changed.content


def test_the_poll_of_a_session_that_has_ended_is_no_redirect():
    client = client_of(VIEWER)
    client.logout()
    assert poll(client, reverse("jobs")).status_code == 401


def test_no_script_runs_twice_by_being_named_in_a_template_and_imported():
    """Templates name files with their hash, imports without it: to a browser those are two modules."""
    named = {
        name
        for page in (BASE_DIR / "templates").rglob("*.html")
        for name in re.findall(r"js/([\w-]+\.js)'", page.read_text())
    }
    scripts = [script.read_text() for script in (BASE_DIR / "static" / "js").glob("*.js")]
    imported = {name for script in scripts for name in re.findall(r'^import .*"\./([\w-]+\.js)";$', script, re.M)}
    assert {"live.js", "announce.js", "watch.js"} <= imported
    assert named & imported == set()
