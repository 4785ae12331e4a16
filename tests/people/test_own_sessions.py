"""A person sees where they are signed in, and ends it from elsewhere; nobody else's sessions are in reach."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from jobs.models import AuditEntry
from jobs.people import sessions
from jobs.people.own_sessions import browser
from jobs.people.roles import OPERATOR, VIEWER
from tests.web import PASSWORD, person

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"


@pytest.fixture(autouse=True)
def people():
    person(OPERATOR, name="alice")
    person(VIEWER, name="bob")


def signed_in(name: str = "alice", agent: str = FIREFOX, address: str = "10.0.0.1") -> Client:
    client = Client(headers={"User-Agent": agent}, REMOTE_ADDR=address)
    assert client.post("/login/", {"username": name, "password": PASSWORD}).status_code == 302
    return client


def page(client: Client) -> str:
    return client.get(reverse("account")).content.decode()


def named(client: Client) -> list[str]:
    """The sessions that the page offers to end."""
    return re.findall(r'name="session" value="(\w+)"', page(client))


def is_signed_in(client: Client) -> bool:
    return client.get(reverse("account")).status_code == 200


def end(client: Client, **data: str) -> None:
    assert client.post(reverse("end-session"), data).status_code == 302


def test_each_session_is_listed_with_its_browser_and_address_and_this_one_is_marked():
    here = signed_in()
    signed_in(agent=CHROME, address="10.0.0.9")
    text = page(here)
    assert text.index("Firefox on Windows <strong>(this one)") < text.index("Chrome on Linux")
    assert "10.0.0.9" in text and len(named(here)) == 1


def test_one_session_is_ended_and_the_others_go_on():
    here, there, elsewhere = signed_in(), signed_in(agent=CHROME), signed_in(agent="curl/8")
    chosen = re.search(r'Chrome on Linux.*?name="session" value="(\w+)"', page(here), re.DOTALL)[1]
    end(here, session=chosen)
    assert [is_signed_in(each) for each in (here, there, elsewhere)] == [True, False, True]
    entry = AuditEntry.objects.get(verb="end session")
    assert (entry.actor, entry.object_id, entry.after, entry.address) == ("alice", "alice", "1 signed out", "10.0.0.1")


def test_all_others_are_ended_at_once():
    here, there, elsewhere = signed_in(), signed_in(), signed_in()
    end(here)
    assert [is_signed_in(each) for each in (here, there, elsewhere)] == [True, False, False]


def test_nobody_ends_another_persons_session_nor_their_own_by_mistake():
    alice, other, bob = signed_in(), signed_in(), signed_in("bob")
    for identifier in named(alice):
        end(bob, session=identifier)
    end(bob)
    for identifier in ("x", "\0", "ü" * 300):
        end(alice, session=identifier)
    assert [is_signed_in(each) for each in (alice, other, bob)] == [True, True, True]
    assert not AuditEntry.objects.filter(verb="end session").exists()


def test_the_page_holds_no_key_of_a_session():
    here, there = signed_in(), signed_in()
    for client in (here, there):
        assert client.cookies["sessionid"].value not in page(here)


def test_sessions_that_would_not_be_let_in_are_not_listed(monkeypatch):
    here = signed_in()
    signed_in()
    monkeypatch.setattr(sessions, "goes_on", lambda session: session["agent"] != FIREFOX)
    assert named(here) == []


def test_what_a_browser_calls_itself_is_shown_harmlessly():
    here = signed_in()
    signed_in(agent="<script>alert(1)</script>\u202e" + "x" * 5000)
    text = page(here)
    assert "&lt;script&gt;" in text and "<script>alert" not in text and "x" * 61 not in text


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Windows"),
        (CHROME, "Chrome on Linux"),
        (CHROME + " Edg/156.0", "Edge on Linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"),
        ("curl/8.5", "curl/8.5"),
        ("", "unknown"),
    ],
)
def test_known_browsers_are_told_by_their_names(agent, words):
    assert browser(agent) == words
