"""The page where people make and revoke their tokens, and the pages that describe the API."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs.models import ApiToken, AuditEntry, Who
from jobs.people.roles import OPERATOR, VIEWER
from jobs.people.tokens import MOST_TOKENS, RANDOM_BYTES, TooManyTokens, find, make_token
from tests.web import client_of, person

pytestmark = pytest.mark.django_db
ADDRESS = "/account/tokens/"
WISH = {"name": "nightly report", "days": "30"}
SECRET = re.compile(r"jr_[A-Za-z0-9_-]{43}")


def make(client, **more) -> str:
    page = client.post(ADDRESS, WISH | more)
    assert page.status_code == 200
    return SECRET.search(page.content.decode())[0]


def test_a_token_is_shown_once():
    client = client_of(VIEWER)
    secret = make(client)
    assert find(secret).user == client.person
    assert secret not in client.get(ADDRESS).content.decode()
    assert secret[:8] in client.get(ADDRESS).content.decode()


def test_a_page_that_is_loaded_again_makes_no_second_token():
    client = client_of(VIEWER)
    once = re.search(r'name="once" value="(\w+)"', client.get(ADDRESS).content.decode())[1]
    make(client, once=once)
    again = client.post(ADDRESS, WISH | {"once": once}).content.decode()
    assert "That token was made already, and is not shown again." in again and not SECRET.search(again)
    assert ApiToken.objects.count() == 1
    next_one = re.search(r'name="once" value="(\w+)"', again)[1]
    make(client, once=next_one)
    assert ApiToken.objects.count() == 2


def test_the_page_that_shows_a_token_is_stored_nowhere():
    assert "no-store" in client_of(VIEWER).post(ADDRESS, WISH)["Cache-Control"]


def test_a_token_only_reads_unless_it_was_made_to_change_things():
    client = client_of(OPERATOR)
    assert not find(make(client)).may_change
    assert find(make(client, may_change="on")).may_change


def test_a_token_lasts_as_long_as_was_asked_for_and_a_year_at_most():
    client = client_of(VIEWER)
    left = find(make(client)).expires_at - timezone.now()
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
    for days in ("0", "366", "", "x"):
        client.post(ADDRESS, WISH | {"days": days})
    assert ApiToken.objects.count() == 1


def test_no_two_tokens_are_alike_and_each_holds_256_bits():
    secrets = {make_token(person(VIEWER), "x", Who("alice", "dashboard"))[1] for _ in range(50)}
    assert len(secrets) == 50
    assert RANDOM_BYTES * 8 >= 256


def test_making_and_revoking_are_in_the_audit():
    client = client_of(VIEWER)
    make(client)
    client.post(reverse("revoke-token", args=[ApiToken.objects.get().pk]))
    entries = AuditEntry.objects.filter(object_kind="token").order_by("pk")
    assert [entry.verb for entry in entries] == ["make token", "revoke"]
    assert {entry.actor for entry in entries} == {client.person.username}


def test_a_revoked_token_is_found_no_more_and_revoked_once():
    client = client_of(VIEWER)
    secret = make(client)
    address = reverse("revoke-token", args=[ApiToken.objects.get().pk])
    assert client.get(address).status_code == 405
    assert client.post(address).status_code == 302
    assert find(secret) is None
    client.post(address)
    assert AuditEntry.objects.filter(verb="revoke").count() == 1


def test_nobody_revokes_or_sees_anybody_elses():
    make(client_of(VIEWER), name="alice's report")
    other = client_of(OPERATOR)
    assert other.post(reverse("revoke-token", args=[ApiToken.objects.get().pk])).status_code == 404
    assert "alice" not in other.get(ADDRESS).content.decode()
    assert ApiToken.objects.get().revoked_at is None


def test_whoever_has_no_role_makes_none(client):
    assert client_of().post(ADDRESS, WISH).status_code == 403
    assert client.post(ADDRESS, WISH).status_code == 302
    assert not ApiToken.objects.exists()


def test_so_many_tokens_are_enough():
    client, who = client_of(VIEWER), Who("alice", "dashboard")
    for _ in range(MOST_TOKENS):
        make_token(client.person, "x", who)
    with pytest.raises(TooManyTokens):
        make_token(client.person, "x", who)
    assert "revoke one" in client.post(ADDRESS, WISH).content.decode()


def test_a_name_is_shown_harmlessly():
    client = client_of(VIEWER)
    page = client.post(ADDRESS, WISH | {"name": "<b>x</b>\u202e\x1b"}).content.decode()
    assert "<b>x" not in page
    assert "\u202e" not in page
    assert "Say what will use it." in client.post(ADDRESS, WISH | {"name": "\u202e"}).content.decode()


@pytest.mark.parametrize(("address", "status"), [("/api/docs", 302), ("/api/openapi.json", 401)])
def test_what_describes_the_api_is_behind_a_login(client, address, status):
    assert client.get(address).status_code == status
    assert client_of().get(address).status_code == 403
    page = client_of(VIEWER).get(address)
    assert page.status_code == 200
    assert "default-src 'none'" in page["Content-Security-Policy"]


def test_the_page_of_the_api_takes_everything_from_here():
    page = client_of(VIEWER).get("/api/docs").content.decode()
    assert "/static/ninja/swagger-ui-bundle.js" in page
    assert not re.search(r"(src|href)=\"(https?:)?//", page)
    assert " style=" not in page
