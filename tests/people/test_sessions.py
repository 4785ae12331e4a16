"""When a session ends: by itself, and at once when its person is nobody any more."""

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.people import sessions
from jobs.people.roles import OPERATOR, VIEWER
from tests.web import client_of, poll

pytestmark = pytest.mark.django_db
MINUTE = 60


class Clock:
    def __init__(self):
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sessions, "time", clock)
    return clock


def is_signed_in(client) -> bool:
    return client.get("/account/").status_code == 200


def test_half_an_hour_without_use_ends_it(clock):
    client = client_of(VIEWER)
    clock.now += 24 * MINUTE
    assert is_signed_in(client)
    clock.now += 31 * MINUTE
    assert not is_signed_in(client)


def test_a_page_that_polls_is_in_use_but_not_for_longer_than_twelve_hours(clock):
    client = client_of(VIEWER)
    for _ in range(71):
        clock.now += 10 * MINUTE
        assert poll(client, "/jobs/").status_code == 200
    clock.now += 10 * MINUTE
    assert poll(client, "/jobs/").status_code == 401


def test_use_is_noted_every_five_minutes_and_not_at_each_poll(clock):
    client = client_of(VIEWER)

    def writes() -> int:
        with CaptureQueriesContext(connection) as captured:
            poll(client, "/jobs/")
        return sum("UPDATE" in query["sql"] for query in captured)

    seen = []
    for _ in range(60):
        clock.now += 10
        seen.append(writes())
    assert seen.count(0) == 58 and max(seen) == 1


def test_a_clock_that_was_set_back_makes_no_session_last_longer(clock):
    client = client_of(VIEWER)
    clock.now -= 3600
    assert not is_signed_in(client)


def test_a_disabled_account_is_out_at_once():
    client = client_of(OPERATOR)
    client.person.is_active = False
    client.person.save()
    assert client.get("/jobs/").status_code == 302
    assert poll(client, "/jobs/").status_code == 401


def test_a_role_that_is_taken_away_is_gone_at_once():
    client = client_of(OPERATOR)
    assert client.get("/audit/").status_code == 200
    client.person.groups.set([Group.objects.get(name=VIEWER)])
    assert client.get("/audit/").status_code == 403
    client.person.groups.clear()
    assert client.get("/jobs/").status_code == 403
