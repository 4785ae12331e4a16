"""Signing in and out: one answer for every failure, longer and longer waits for whoever guesses, nothing left open."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import check_password
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.models import AuditEntry, LogInCount
from jobs.people import lock_out
from jobs.people.roles import ADMINISTRATOR, OPERATOR, VIEWER
from tests.web import PASSWORD, client_of, person

pytestmark = pytest.mark.django_db
LOGIN = "/login/"


def sign_in(name: str, password: str = PASSWORD, *, client: Client | None = None, address: str = "10.0.0.1", **more):
    return (client or Client()).post(LOGIN, {"username": name, "password": password, **more}, REMOTE_ADDR=address)


def fail(name: str, times: int, address: str = "10.0.0.1") -> list[int]:
    return [sign_in(name, "wrong", address=address).status_code for _ in range(times)]


def audited(verb: str) -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.filter(verb=verb).values_list("actor", "object_id", "address"))


def wind_back(**time) -> None:
    """As if all attempts had been so long ago."""
    for row in LogInCount.objects.all():
        row.last_at -= timedelta(**time)
        row.succeeded_at = row.succeeded_at and row.succeeded_at - timedelta(**time)
        row.save()


def test_a_person_signs_in_and_out_and_the_audit_says_so():
    person(OPERATOR, name="alice")
    client = Client()
    assert sign_in("alice", client=client).url == "/"
    assert client.get("/jobs/").status_code == 200
    assert client.post("/logout/").url == LOGIN
    assert client.get("/jobs/").status_code == 302
    assert audited("log in") == [("alice", "alice", "10.0.0.1")]
    assert audited("log out") == [("alice", "alice", "127.0.0.1")]


def test_a_link_cannot_sign_anybody_out():
    client = client_of(VIEWER)
    assert client.get("/logout/").status_code == 405
    assert client.get("/jobs/").status_code == 200


def page_without_names(name: str, password: str) -> str:
    shown = sign_in(name, password).content.decode()
    return re.sub(r'(name="csrfmiddlewaretoken" )?value="[^"]*"', "", shown)


def test_an_unknown_name_a_wrong_password_and_a_disabled_account_get_the_same_answer():
    person(VIEWER, name="alice")
    person(VIEWER, name="carol", is_active=False)
    pages = {page_without_names(*pair) for pair in (("alice", "x"), ("nobody", "x"), ("carol", PASSWORD))}
    assert len(pages) == 1
    assert "do not fit together" in pages.pop()


def test_a_password_is_hashed_for_unknown_names_too_so_that_time_tells_nothing(monkeypatch):
    person(VIEWER, name="alice")
    hashed = []
    user_model = get_user_model()
    monkeypatch.setattr(user_model, "set_password", lambda user, password: hashed.append("unknown"))
    monkeypatch.setattr(
        user_model,
        "check_password",
        lambda user, password: hashed.append("known") or check_password("x", user.password),
    )
    sign_in("alice", "x")
    sign_in("nobody", "x")
    assert hashed == ["known", "unknown"]


def test_the_key_of_the_session_is_a_new_one():
    person(VIEWER, name="alice")
    client = Client()
    client.get(LOGIN)
    session = client.session
    session["planted"] = True
    session.save()
    client.cookies["sessionid"] = planted = session.session_key
    sign_in("alice", client=client)
    assert client.cookies["sessionid"].value != planted


@pytest.mark.parametrize("there", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"])
def test_nobody_is_led_to_another_host(there):
    person(VIEWER, name="alice")
    assert sign_in("alice", next=there).url == "/"


def test_whoever_was_sent_here_comes_back():
    person(VIEWER, name="alice")
    assert Client().get("/requests/").url == "/login/?next=/requests/"
    assert sign_in("alice", next="/requests/").url == "/requests/"


def test_after_five_failures_not_even_the_right_password_is_looked_at():
    person(OPERATOR, name="alice")
    assert fail("alice", 5) == [200] * 5
    locked = sign_in("alice")
    assert locked.status_code == 429
    assert 0 < int(locked["Retry-After"]) <= 60
    assert f"{timezone.now() + timedelta(minutes=1):%H:%M}" in locked.content.decode()
    assert audited("lock out") == [("somebody", "alice", "10.0.0.1")]
    assert sign_in("alice", address="10.0.0.2").status_code == 302


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_whoever_is_near_the_wait_is_warned_whether_or_not_there_is_such_a_name(name):
    person(OPERATOR, name="alice")
    said = [sign_in(name, "wrong").content.decode() for _ in range(5)]
    assert ["wait" in each for each in said] == [False, False, True, True, True]
    assert "After 2 more failed tries you have to wait" in said[2]
    assert "If one more try fails, you have to wait" in said[3]
    assert f"wait until {timezone.now() + timedelta(minutes=1):%H:%M}" in said[4]


def test_an_unknown_name_is_locked_in_the_same_way_but_not_audited():
    assert fail("nobody", 6) == [200] * 5 + [429]
    assert audited("lock out") == []


def test_each_further_failure_doubles_the_wait_up_to_an_hour():
    person(OPERATOR, name="alice")
    fail("alice", 5)
    waits = []
    for _ in range(8):
        waits.append(int(sign_in("alice")["Retry-After"]))
        wind_back(seconds=waits[-1] + 1)
        fail("alice", 1)
    expected = [60 * min(60, 2**number) for number in range(8)]
    assert all(most - 5 <= wait <= most + 1 for wait, most in zip(waits, expected, strict=True)), waits


def test_attempts_during_a_lock_do_not_prolong_it():
    person(OPERATOR, name="alice")
    fail("alice", 5)
    wind_back(seconds=50)
    fail("alice", 20)
    wind_back(seconds=11)
    assert sign_in("alice").status_code == 302


def test_a_success_forgets_the_failures():
    person(OPERATOR, name="alice")
    for _ in range(3):
        fail("alice", 4)
        assert sign_in("alice").status_code == 302
    assert fail("alice", 5) == [200] * 5


def test_attempts_at_the_same_moment_are_counted_before_any_password_is_looked_at():
    under_way = [lock_out.begin("alice", "10.0.0.1") for _ in range(7)]
    assert [attempt.until is None for attempt in under_way] == [True] * 5 + [False] * 2


def test_guesses_from_many_machines_lock_the_name_but_not_at_the_desk_of_its_owner():
    person(OPERATOR, name="alice")
    assert sign_in("alice", address="10.9.9.9").status_code == 302
    for number in range(50):
        fail("alice", 1, address=f"10.1.{number}.1")
    assert fail("alice", 1, address="10.2.0.1") == [429]
    assert sign_in("alice", address="10.9.9.9").status_code == 302
    wind_back(days=31)
    LogInCount.objects.filter(name="alice", address="").update(failures=50, last_at=timezone.now())
    assert sign_in("alice", address="10.9.9.9").status_code == 429


def test_the_wait_for_a_whole_name_is_a_quarter_of_an_hour_at_most():
    assert lock_out.NAME.pause(49) == timedelta(0)
    assert lock_out.NAME.pause(10_000) == timedelta(minutes=15)


def test_guesses_of_many_names_from_one_machine_lock_the_machine():
    for number in range(100):
        fail(f"name{number}", 1)
    assert fail("another", 1) == [429]
    assert fail("another", 1, address="10.0.0.2") == [200]


def test_a_whole_ipv6_network_counts_as_one_machine():
    fail("alice", 5, address="2001:db8::1")
    assert fail("alice", 1, address="2001:db8::ffff:2") == [429]
    assert fail("alice", 1, address="2001:db8:0:1::1") == [200]


def test_names_that_read_alike_count_as_one():
    assert [*fail("alice", 3), *fail("ALICE", 2), *fail("\uff41lice", 1)] == [200] * 5 + [429]


def test_whoever_makes_up_names_does_not_fill_the_database(monkeypatch):
    monkeypatch.setattr(lock_out, "MOST_STRANGERS", 20)
    for number in range(60):
        lock_out.begin(f"name{number}", f"10.1.{number}.1")
    assert LogInCount.objects.count() <= 24


def test_failures_of_yesterday_count_no_more():
    fail("alice", 5)
    wind_back(hours=25)
    assert fail("alice", 5) == [200] * 5
    assert LogInCount.objects.count() == 3


def test_a_clock_that_was_set_back_locks_nobody_until_it_has_caught_up():
    person(OPERATOR, name="alice")
    fail("alice", 5)
    wind_back(days=-3)
    assert sign_in("alice").status_code == 302


def test_changing_the_password_ends_the_other_sessions_and_not_this_one():
    here, there = client_of(OPERATOR, name="alice"), Client()
    sign_in("alice", client=there)
    new = "another horse battery staple"
    asked = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post("/account/password/", asked).url == reverse("account")
    assert here.get("/jobs/").status_code == 200
    assert there.get("/jobs/").status_code == 302
    assert sign_in("alice").status_code == 200 and sign_in("alice", new).status_code == 302
    assert audited("new password") == [("alice", "alice", "127.0.0.1")]


def test_whoever_sits_at_an_open_session_cannot_guess_its_password():
    client = client_of(OPERATOR, name="alice")
    asked = {"old_password": "guess", "new_password1": "x" * 20, "new_password2": "x" * 20}
    assert [client.post("/account/password/", asked).status_code for _ in range(6)] == [200] * 5 + [429]


def test_a_new_password_that_is_too_short_is_refused_and_counts_as_no_guess():
    client = client_of(OPERATOR, name="alice")
    asked = {"old_password": PASSWORD, "new_password1": "short", "new_password2": "short"}
    assert [client.post("/account/password/", asked).status_code for _ in range(7)] == [200] * 7


def test_the_account_says_in_words_what_its_role_may_do():
    shown = client_of(VIEWER).get("/account/").content.decode()
    assert re.search(r"You may: </span>see jobs", shown)
    assert re.search(r"You may not: </span>read the logs", shown)


def test_a_stranger_who_signs_out_is_led_to_the_door():
    assert Client().post("/logout/").url == LOGIN
    assert not AuditEntry.objects.exists()


def test_whoever_looks_after_people_sees_who_has_to_wait_and_until_when():
    now = timezone.now()
    columns = {"failures": lock_out.PAIR.failures, "last_at": now}
    locked = LogInCount.objects.create(name="alice", address="10.0.0.1", **columns)
    others = [
        LogInCount(name="alice", address="", **columns),  # five are few for a name anywhere
        LogInCount(name="", address="10.0.0.1", **columns),
        LogInCount(name="bob", address="10.0.0.1", failures=4, last_at=now),
        LogInCount(name="eve", address="10.0.0.1", failures=5, last_at=now - timedelta(minutes=2)),
    ]
    assert lock_out.waits_until(locked) == now + timedelta(minutes=1)
    assert not any(map(lock_out.waits_until, others))
    assert lock_out.waits_until(LogInCount(name="", address="10.0.0.1", failures=100, last_at=now))
    page = client_of(ADMINISTRATOR).get("/admin/jobs/logincount/").content.decode()
    assert "Has to wait until" in page
