"""The proxy's header opens accounts only where it is believed, and nothing else."""

import ipaddress

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from jobs.models import AuditEntry
from jobs.people.roles import OPERATOR
from tests.web import PASSWORD, person

pytestmark = pytest.mark.django_db
PROXY = "10.0.0.1"


@pytest.fixture(autouse=True)
def single_sign_on(settings):
    settings.SSO_HEADER = "X-Remote-User"
    settings.SSO_TRUSTED_PROXIES = (ipaddress.ip_network(PROXY),)
    settings.SSO_ROLE = "viewer"


def come(client: Client, name: str = "", *, address: str = PROXY, path: str = "/jobs/"):
    headers = {"X-Remote-User": name} if name else {}
    return client.get(path, headers=headers, REMOTE_ADDR=address)


def names() -> list[str]:
    return list(get_user_model().objects.values_list("username", flat=True))


def test_whoever_the_proxy_names_is_signed_in_and_made_on_first_sight(client):
    assert come(client, "alice").status_code == 200
    alice = get_user_model().objects.get()
    assert (alice.username, alice.has_usable_password()) == ("alice", False)
    assert [group.name for group in alice.groups.all()] == ["viewer"]
    come(client, "alice")
    assert list(AuditEntry.objects.order_by("pk").values_list("verb", "after")) == [
        ("add", "viewer, by single sign-on"),
        ("log in", "single sign-on"),
    ]


def test_new_people_have_no_role_unless_the_site_says_so(client, settings):
    settings.SSO_ROLE = "none"
    assert come(client, "alice").status_code == 403


@pytest.mark.parametrize("address", ["10.0.0.2", "127.0.0.1", "::1", ""])
def test_the_header_of_anybody_else_is_ignored(client, address):
    assert come(client, "alice", address=address).status_code == 302
    assert names() == []


def test_a_forwarded_address_is_not_the_proxy_s(client, settings):
    settings.TRUSTED_PROXIES = (ipaddress.ip_network("10.0.0.2"),)
    answer = client.get("/jobs/", headers={"X-Remote-User": "alice", "X-Forwarded-For": PROXY}, REMOTE_ADDR="10.0.0.2")
    assert answer.status_code == 302 and names() == []


def test_without_the_setting_nobody_is_believed(client, settings):
    settings.SSO_HEADER = ""
    assert come(client, "alice").status_code == 302


def test_an_account_with_a_password_is_not_opened_by_a_name(client):
    person(OPERATOR, name="olive")
    assert come(client, "olive").status_code == 302
    assert client.post("/login/", {"username": "olive", "password": PASSWORD}).status_code == 302
    assert come(client, "olive").status_code == 200


def test_a_disabled_account_is_not_opened(client):
    come(client, "alice")
    get_user_model().objects.update(is_active=False)
    assert come(client, "alice").status_code == 302
    assert come(Client(), "alice").status_code == 302


def test_a_session_ends_when_the_proxy_names_another_or_nobody(client):
    come(client, "alice")
    assert come(client, "bob", path="/account/").context["user"].username == "bob"
    assert come(client).status_code == 302
    come(client, "bob")
    assert come(client, "bob", address="10.0.0.9").status_code == 302


@pytest.mark.parametrize("name", ["<script>", "a b", "alice,bob", "x" * 151, "a\u202eb".encode().decode("latin-1")])
def test_a_name_that_no_account_can_have_is_nobody(client, name):
    assert come(client, name).status_code == 302
    assert names() == []


def test_a_name_in_utf_8_is_understood(client):
    come(client, "zoë".encode().decode("latin-1"))
    assert names() == ["zoë"]


def test_signing_out_says_that_the_site_still_knows_them(client):
    come(client, "alice")
    left = client.post("/logout/", headers={"X-Remote-User": "alice"}, REMOTE_ADDR=PROXY)
    assert left.status_code == 200 and "still knows you" in left.content.decode()
    assert client.get("/jobs/").status_code == 302


def test_the_door_says_that_there_is_single_sign_on(client):
    assert "single sign-on" in client.get("/login/").content.decode()
