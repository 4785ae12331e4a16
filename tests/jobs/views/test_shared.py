"""Polls of several people share an answer for a moment, and never more than each of them may see."""

import threading

import pytest
from django.urls import reverse

from jobs.people.roles import OPERATOR, VIEWER
from jobs.states import StatusCode
from jobs.views import live
from jobs.views.shared import Shared
from tests.factories import make_job
from tests.web import client_of, poll


@pytest.fixture
def sharing(settings, monkeypatch):
    settings.LIVE_SHARED_SECONDS = 1000
    monkeypatch.setattr(live, "_tags", Shared(most=1000))
    monkeypatch.setattr(live, "_parts", Shared(most=50))


def test_what_is_asked_for_again_within_a_while_is_made_once():
    made, shared = [], Shared(most=2)
    for _ in range(3):
        assert shared.get("jobs", 1000, lambda: made.append("x") or len(made)) == 1
    assert shared.get("others", 1000, lambda: "others") == "others"


def test_without_a_while_everything_is_made_anew():
    made, shared = [], Shared(most=2)
    assert [shared.get("jobs", 0, lambda: made.append("x") or len(made)) for _ in range(3)] == [1, 2, 3]


def test_only_so_many_answers_are_kept():
    shared = Shared(most=2)
    for key in ("a", "b", "c"):
        shared.get(key, 1000, lambda key=key: key)
    assert shared.get("c", 1000, lambda: "anew") == "c"
    assert shared.get("a", 1000, lambda: "anew") == "anew"


def test_what_fails_is_kept_by_nobody():
    shared = Shared(most=2)
    with pytest.raises(ZeroDivisionError):
        shared.get("jobs", 1000, lambda: 1 / 0)
    assert shared.get("jobs", 1000, lambda: "well") == "well"


def test_whoever_asks_for_what_is_just_being_made_waits_for_it():
    shared, begun, go_on, found = Shared(most=2), threading.Event(), threading.Event(), []

    def slow() -> str:
        begun.set()
        go_on.wait(10)
        return "made once"

    first = threading.Thread(target=lambda: found.append(shared.get("jobs", 1000, slow)))
    first.start()
    assert begun.wait(10)
    second = threading.Thread(target=lambda: found.append(shared.get("jobs", 1000, lambda: "made twice")))
    second.start()
    go_on.set()
    first.join(10)
    second.join(10)
    assert found == ["made once", "made once"]


@pytest.mark.django_db
def test_a_change_is_rendered_once_for_all_who_may_see_the_same(sharing, django_assert_max_num_queries):
    make_job(StatusCode.CREATED, action="make_table")
    alice, bob = client_of(VIEWER), client_of(VIEWER)
    first = poll(alice, reverse("jobs"))
    with django_assert_max_num_queries(4):  # who is it, and what may they
        second = poll(bob, reverse("jobs"))
    assert b"make_table" in second.content
    assert (second.content, second["HX-PTag"]) == (first.content, first["HX-PTag"])
    assert poll(bob, reverse("jobs"), second["HX-PTag"]).status_code == 304


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["jobs", "requests", "system"])
def test_people_with_other_rights_never_share(sharing, address):
    make_job(StatusCode.CREATED)
    operator = poll(client_of(OPERATOR), reverse(address))
    viewer = poll(client_of(VIEWER), reverse(address))
    assert operator["HX-PTag"] != viewer["HX-PTag"]


@pytest.mark.django_db
def test_a_page_that_is_loaded_is_always_fresh(sharing):
    job, client = make_job(StatusCode.CREATED), client_of(VIEWER)
    poll(client, reverse("jobs"))
    job.move_to(StatusCode.INITIATED, "Starting now.")
    assert b"Starting now." in client.get(reverse("jobs")).content


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["jobs", "requests", "workspaces", "system", "job", "request", "workspace"])
def test_no_polled_part_holds_what_belongs_to_one_person(name):
    job = make_job(StatusCode.CREATED)
    known = {"job": job.identifier, "request": job.request.identifier, "workspace": job.workspace}
    address = reverse(name, args=[known[name]] if name in known else [])
    client = client_of(OPERATOR, name="somebody-in-particular")
    shown = poll(client, address).content.decode()
    assert "csrfmiddlewaretoken" not in shown
    assert "somebody-in-particular" not in shown
