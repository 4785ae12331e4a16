"""From a few letters, or a pasted address, to the page that was meant."""

import pytest
from django.urls import reverse

from jobs.people.roles import VIEWER
from tests.factories import make_job, make_request
from tests.web import client_of

pytestmark = pytest.mark.django_db
IDENTIFIER = "jr0000abcdefghij"


def search(word: str):
    return client_of(VIEWER).get(reverse("search"), {"q": word})


@pytest.mark.parametrize(
    "word",
    [
        IDENTIFIER,
        "jr00",
        "  jr0000ab ",
        "JR0000AB",
        "jr00 00ab",
        f"/j/{IDENTIFIER}/",
        f"https://x.example/j/{IDENTIFIER}/#L12",
    ],
)
def test_a_job_is_found_by_its_beginning_however_it_was_pasted(word):
    make_job(identifier=IDENTIFIER, action="table")
    assert search(word).url == reverse("job", args=[IDENTIFIER])


def test_a_request_and_a_workspace_are_found():
    make_request(identifier="rq123", workspace="diabetes")
    assert search("rq1").url == reverse("request", args=["rq123"])
    assert search("https://x.example/r/rq123/").url == reverse("request", args=["rq123"])
    assert search("diab").url == reverse("workspace", args=["diabetes"])


def test_an_action_leads_to_the_newest_job_of_each_workspace():
    for workspace in ("one", "one", "two"):
        newest = make_job(action="fit_model", workspace=workspace)
    found = search("fit").context["found"]["actions"]
    assert [job.workspace for job in found] == ["two", "one"] and found[0] == newest


def test_a_whole_identifier_wins_over_longer_ones():
    for identifier in ("abc", "abcd"):
        make_job(identifier=identifier)
    assert search("abc").url == reverse("job", args=["abc"])
    assert search("ab").status_code == 200


@pytest.mark.parametrize(
    "word", ["", "zzz", "%", "_", "\0", "/", "<script>alert(1)</script>", "x" * 5000, "\u202e", "[", "http://["]
)
def test_nothing_found_is_said_harmlessly(word):
    make_job()
    response = search(word)
    assert response.status_code == 200
    content = response.content.decode()
    assert "<script>alert" not in content


def test_a_search_costs_the_same_with_many_jobs(django_assert_max_num_queries):
    request = make_request(workspace="many")
    for _ in range(40):
        make_job(request=request)
    client = client_of(VIEWER)
    with django_assert_max_num_queries(16):
        client.get(reverse("search"), {"q": "action"})
