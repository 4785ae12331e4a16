"""The list of requests."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from jobs.models import JobRequest
from jobs.people.roles import VIEWER
from jobs.states import StatusCode
from jobs.views.request_list import PAGE_SIZE
from tests.factories import make_job, make_request
from tests.web import client_of, poll

pytestmark = pytest.mark.django_db


def get(query: str = ""):
    response = client_of(VIEWER).get(f"{reverse('requests')}?{query}")
    assert response.status_code == 200
    return response


def test_each_request_tells_how_far_it_is_or_why_it_has_no_jobs():
    request = make_request(workspace="one")
    make_job(StatusCode.SUCCEEDED, request)
    make_job(StatusCode.EXECUTING, request)
    make_request(outcome="refused", outcome_message="line 3: <b>no</b>\u202e")
    content = get().content.decode()
    assert "1 of 2" in content and "1 running, 1 succeeded" in content
    assert "line 3: &lt;b&gt;no&lt;/b&gt;\\u202e" in content


@pytest.mark.parametrize("query", ["outcome=refused", "workspace=two", "by=bob", "outcome=refused&by=bob"])
def test_filters_leave_out_what_does_not_fit(query):
    make_request()
    wanted = make_request(outcome="refused", workspace="two", created_by="bob")
    assert [each for each, _ in get(query).context["requests"]] == [wanted]


def test_senseless_filters_are_said():
    make_request()
    response = get("outcome=x&before=-5&by=%00")
    assert len(response.context["requests"]) == 1
    assert "Ignored" in response.content.decode()


def test_pages_hold_every_request_once():
    for _ in range(PAGE_SIZE + 3):
        make_request()
    first = get()
    second = get(first.context["older"])
    seen = [each.pk for response in (first, second) for each, _ in response.context["requests"]]
    assert seen == sorted(JobRequest.objects.values_list("pk", flat=True), reverse=True)
    assert not second.context["older"]


def test_a_poll_hears_of_a_request_that_was_refused():
    client, request = client_of(VIEWER), make_request(outcome="waiting")
    tag = client.get(reverse("requests"))["HX-PTag"]
    assert poll(client, reverse("requests"), tag).status_code == 304
    request.conclude(JobRequest.Outcome.REFUSED, "no such action")
    assert b"no such action" in poll(client, reverse("requests"), tag).content


def test_the_number_of_queries_does_not_depend_on_the_number_of_requests():
    client, numbers = client_of(VIEWER), []
    for more in (2, 40):
        for _ in range(more):
            make_job(StatusCode.EXECUTING, make_request())
        client.get(reverse("requests"))
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("requests"))
        numbers.append(len(queries))
    assert numbers[0] == numbers[1]
