"""The pages that come when something is wrong."""

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.models import Heartbeat
from jobs.people.roles import OPERATOR, VIEWER
from tests.factories import make_flag
from tests.web import client_of, person


@pytest.mark.parametrize("template", ["400.html", "500.html", "403_csrf.html"])
def test_a_page_for_trouble_needs_no_database(template):
    assert "<h1>" in render_to_string(template)  # without the mark, any query would fail the test


@pytest.mark.django_db
def test_a_page_that_is_not_there_offers_the_search():
    response = client_of(VIEWER).get("/nowhere/")
    assert response.status_code == 404 and reverse("search") in response.content.decode()


@pytest.mark.django_db
def test_a_form_that_is_too_old_says_so():
    client = Client(enforce_csrf_checks=True)
    client.force_login(person(OPERATOR), backend="django.contrib.auth.backends.ModelBackend")
    response = client.post(reverse("cancel-jobs"), {"job": "x"})
    assert response.status_code == 403 and "too old" in response.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(("role", "sees_button"), [(OPERATOR, True), (VIEWER, False)])
def test_the_banner_of_a_flag_leads_to_its_switch(role, sees_button):
    Heartbeat.objects.create(name="run", at=timezone.now(), detail={})
    make_flag(reason="<b>disk</b>")
    content = client_of(role).get(reverse("search")).content.decode()
    assert "&lt;b&gt;disk&lt;/b&gt;" in content
    assert ("/system/flags/paused/" in content) == sees_button


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "headline"),
    [
        ("/j/nothing/", "There is no job nothing"),
        ("/r/a/b/", "There is no request a/b"),
        ("/w/nowhere/", "There is no workspace nowhere"),
        ("/nowhere/", "There is no such page"),
        ("/j/x%E2%80%AE%3Cb%3E/", "There is no job x\\u202e&lt;b&gt;"),
    ],
)
def test_a_page_that_is_not_there_says_what_is_missing(address, headline):
    answer = client_of(VIEWER).get(address)
    assert answer.status_code == 404
    assert f"<h1>{headline}</h1>" in answer.content.decode()
