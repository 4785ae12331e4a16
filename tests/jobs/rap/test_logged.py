"""What operators find in the log of calls: one line each, with who has called, without what is secret."""

import logging

import pytest

from jobs.models import Heartbeat
from jobs.rap import reporting
from jobs.states import StatusCode
from tests.factories import make_job, make_request
from tests.rap import RAP_ID, TOKEN, Caller, planning

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("planner_lives")]

WHO = "127.0.0.1 (token of test, tpp"


@pytest.fixture
def lines(caplog):
    """Level and text of what was logged, whoever has logged it."""
    caplog.set_level(logging.INFO)
    by_others = ("jobs.planning",)  # which is at work in another process
    return lambda: [(each.levelname, each.getMessage()) for each in caplog.records if each.name not in by_others]


def test_what_was_created_is_one_line_with_who_has_asked(caller, lines):
    with planning():
        assert caller.create().status_code == 201
        assert caller.create().status_code == 200
    call = f"{WHO}; rap_id '{RAP_ID}'; backend 'test'; workspace 'study')"
    assert lines() == [
        ("INFO", f"/controller/v1/rap/create/ by {call}: Jobs {what} for rap_id '{RAP_ID}'")
        for what in ("created", "already created")
    ]


def test_what_was_cancelled_is_one_line_with_who_has_asked(caller, lines):
    make_job(StatusCode.EXECUTING, request=make_request(identifier=RAP_ID, backend="test"), action="extract")
    assert caller.cancel("extract").status_code == 200
    assert lines() == [
        (
            "INFO",
            f"/controller/v1/rap/cancel/ by {WHO}; rap_id '{RAP_ID}'): 1 actions cancelled",
        )
    ]


def test_answers_to_questions_are_no_lines(caller, lines):
    assert caller.status().status_code == caller.get("/backend/status/").status_code == 200
    assert lines() == []


def refused_calls(caller: Caller):
    """Status, the call, and what has to be said of it."""
    return {
        "a stranger": (401, lambda: Caller("guessed").create(), ("WARNING", "(no valid token)", "Invalid token")),
        "no JSON": (400, lambda: caller.send("POST", "/rap/create/", b"{"), ("INFO", WHO, "could not parse")),
        "not its schema": (
            400,
            lambda: caller.create(workspace="a b", rap_id=7),
            ("INFO", "backend 'test'; workspace 'a b'", "7 is not of type"),
        ),
        "another backend": (400, lambda: caller.create(backend="emis"), ("INFO", RAP_ID, "backend 'emis'", "'study'")),
        "no jobs": (404, lambda: caller.cancel("extract"), ("INFO", WHO, RAP_ID, "No jobs found")),
        "another method": (405, lambda: caller.send("PUT", "/rap/create/"), ("INFO", "127.0.0.1", "POST, not PUT")),
        "nobody plans": (503, caller.create, ("WARNING", WHO, RAP_ID, "manage.py sync")),
    }


@pytest.mark.parametrize("name", refused_calls(Caller()))
def test_what_was_refused_is_one_line_with_who_has_asked(caller, lines, name):
    status, call, (level, *said) = refused_calls(caller)[name]
    if status == 503:
        Heartbeat.objects.all().delete()
    assert call().status_code == status
    ((found, line),) = lines()
    assert found == level
    assert "127.0.0.1" in line and (status == 405 or f"refused with {status}" in line)
    assert [part for part in said if part not in line] == []


def test_a_fault_of_ours_is_one_line_with_who_has_asked(monkeypatch, caller, lines):
    monkeypatch.setattr(reporting, "backends", lambda slugs: 1 / 0)
    assert caller.get("/backend/status/").status_code == 500
    ((level, line),) = lines()
    assert level == "ERROR" and WHO in line


def test_what_is_polled_as_well_is_one_line_when_it_is_left_open(caller, settings, lines):
    settings.RAP_CREATE_TIMEOUT_SECONDS = 0.05
    make_request(
        identifier=RAP_ID,
        source="polling",
        outcome="waiting",
        backend="test",
        workspace="study",
        repo_url="https://github.com/opensafely/example-study",
        commit="951d8981b53022e58a7f6eb7cd95b1127b12b718",
        requested_actions=["generate_dataset"],
    )
    assert caller.create().status_code == 503
    ((level, line),) = lines()
    assert level == "WARNING" and "left open" in line and WHO in line


def test_no_line_holds_a_token_or_what_would_make_two_of_it(caller, lines):
    forged = "x'\n2026-11-26 INFO all is well\u202e"
    assert caller.create(workspace=forged * 20, rap_id=forged, backend=forged).status_code == 400
    assert Caller(f"{TOKEN}x").create(workspace=forged).status_code == 401
    for _, line in lines():
        assert TOKEN not in line
    of_call = lines()[0][1].partition("): ")[0]
    assert of_call.isprintable() and len(of_call) < 500
