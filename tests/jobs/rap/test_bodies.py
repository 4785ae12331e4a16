"""Bodies: what is not as the document asks is refused, with the place of the fault, and stored nowhere."""

import json

import pytest
from django.http import HttpRequest

from jobs.models import JobRequest
from jobs.rap.answers import Refused
from jobs.rap.bodies import MOST_BYTES, MOST_DEPTH, read, unstorable
from tests.rap import RAP_ID, create_body

pytestmark = pytest.mark.django_db


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


NO_JSON = {
    "nothing": b"",
    "half": b"{",
    "a page": b"<html>",
    "not UTF-8": b'{"rap_ids": ["\xff"]}',
    "UTF-16": '{"rap_ids": []}'.encode("utf-16"),
    "NaN": b'{"rap_ids": [], "x": NaN}',
    "infinity": b'{"rap_ids": [], "x": -Infinity}',
    "two": b'{"rap_ids": []} {}',
    "a number of 5,000 digits": b'{"rap_ids": [], "x": ' + b"9" * 5000 + b"}",
    "100,000 brackets": b"[" * 100_000,
    "100,000 objects": b'{"a":' * 100_000,
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
def test_what_is_no_json_is_refused(caller, body):
    answer = caller.send("POST", "/rap/status/", body)
    assert answer.status_code == 400
    assert answer.json() == {"error": "Validation error", "details": "could not parse JSON from request body"}


UNSTORABLE = {
    "NUL": '{"rap_ids": [], "x": "a\\u0000b"}',
    "NUL in a key": '{"rap_ids": [], "a\\u0000b": 1}',
    "NUL in an id": '{"rap_ids": ["a\\u0000b"]}',
    "a lone surrogate": '{"rap_ids": [], "x": [{"y": "\\ud800"}]}',
    "a number beyond all": '{"rap_ids": [], "x": 1e999}',
    "too deep": json.dumps({"rap_ids": [], "x": nested(MOST_DEPTH)}),
}


@pytest.mark.parametrize("body", UNSTORABLE.values(), ids=UNSTORABLE.keys())
def test_what_no_database_keeps_is_refused(caller, body):
    answer = caller.send("POST", "/rap/status/", body.encode())
    assert answer.status_code == 400
    assert answer.json()["details"].startswith("Invalid request body received: ")


def test_what_is_just_deep_enough_is_taken():
    assert unstorable(nested(MOST_DEPTH - 1)) == "" != unstorable(nested(MOST_DEPTH))


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"null", b"1"], ids=["a list", "a text", "null", "a number"])
def test_only_an_object_is_a_body(caller, body):
    answer = caller.send("POST", "/rap/create/", body)
    assert answer.status_code == 400 and "is not of type 'object'" in answer.json()["details"]


def test_a_body_of_one_megabyte_is_taken_and_a_longer_one_refused(caller):
    frame = b'{"rap_ids": [], "x": ""}'
    whole = frame[:-2] + b"x" * (MOST_BYTES - len(frame)) + frame[-2:]
    assert caller.send("POST", "/rap/status/", whole).status_code == 200
    answer = caller.send("POST", "/rap/status/", whole + b" ")
    assert answer.status_code == 400 and "longer than 1000000 bytes" in answer.json()["details"]


@pytest.mark.parametrize("length", ["9" * 12, "-1", "ten", "²", "9" * 5000])
def test_a_body_that_says_it_is_too_long_is_not_read(length):
    class Unread(HttpRequest):
        @property
        def body(self):
            raise AssertionError("it was read")

    request = Unread()
    request.META["CONTENT_LENGTH"] = length
    with pytest.raises(Refused) as refused:
        read(request)
    assert refused.value.status == 400


def test_a_body_that_breaks_off_is_refused(caller):
    class Broken:
        def read(self, *size):
            raise OSError("the caller is gone")

        readline = read

    answer = caller.send("POST", "/rap/status/", **{"wsgi.input": Broken(), "CONTENT_LENGTH": "20"})
    assert answer.status_code == 400 and "could not be read" in answer.json()["details"]


CREATE_FAULTS = {
    "rap_id missing": ({"rap_id": ...}, ": 'rap_id' is a required property"),
    "rap_id not a text": ({"rap_id": 7}, " at $.rap_id: 7 is not of type 'string'"),
    "rap_id long": ({"rap_id": RAP_ID + "x"}, " at $.rap_id: 'abcdefgh12345678x' does not match '^[a-z0-9]{16}$'"),
    "rap_id with a line feed": ({"rap_id": f"{RAP_ID}\n"}, " at $.rap_id: 'abcdefgh12345678\\n' is too long"),
    "commit short": ({"commit": "abc"}, " at $.commit: 'abc' does not match '^[0-9a-f]{40}$'"),
    "commit in capitals": ({"commit": "A" * 40}, f" at $.commit: '{'A' * 40}' does not match '^[0-9a-f]{{40}}$'"),
    "workspace": ({"workspace": "../x"}, " at $.workspace: '../x' does not match '^[a-zA-Z0-9_][a-zA-Z0-9_-]{0,127}$'"),
    "database": ({"database_name": "full"}, " at $.database_name: 'full' is not one of ['default']"),
    "no action": ({"requested_actions": []}, " at $.requested_actions: [] should be non-empty"),
    "an action that is no text": (
        {"requested_actions": ["a", None]},
        " at $.requested_actions[1]: None is not of type",
    ),
    "an action without a name": ({"requested_actions": [""]}, " at $.requested_actions[0]: '' should be non-empty"),
    "codelists": ({"codelists_ok": "yes"}, " at $.codelists_ok: 'yes' is not of type 'boolean'"),
    "force": ({"force_run_dependencies": 1}, " at $.force_run_dependencies: 1 is not of type 'boolean'"),
    "scope": ({"analysis_scope": []}, " at $.analysis_scope: [] is not of type 'object', 'null'"),
    "permission": (
        {"analysis_scope": {"population_permissions": ["everybody"]}},
        " at $.analysis_scope.population_permissions[0]: 'everybody' is not one of ['include_ndoo', 'include_t1oo',",
    ),
    "component": (
        {"analysis_scope": {"component_access": ["x"]}},
        " at $.analysis_scope.component_access[0]: 'x' is not one of ['event_level_data']",
    ),
}


@pytest.mark.parametrize(("changes", "details"), CREATE_FAULTS.values(), ids=CREATE_FAULTS.keys())
def test_a_fault_is_told_with_its_place(caller, changes, details):
    answer = caller.create(**changes)
    assert answer.status_code == 400
    assert answer.json()["error"] == "Validation error"
    assert answer.json()["details"].startswith(f"Invalid request body received{details}")
    assert not JobRequest.objects.exists()


@pytest.mark.parametrize("key", [key for key in create_body() if key != "analysis_scope"])
def test_every_key_but_the_scope_is_needed(caller, key):
    assert caller.create(**{key: ...}).json()["details"].endswith(f": '{key}' is a required property")


def test_a_long_value_is_shown_by_its_beginning_only(caller):
    answer = caller.create(rap_id="x" * 900_000)
    details = answer.json()["details"]
    assert len(details) < 300 and details.endswith("… does not match '^[a-z0-9]{16}$'")


def test_an_address_which_may_hold_a_password_is_not_shown(caller, caplog):
    answer = caller.create(repo_url="https://alice:open-sesame@github.com/" + "x" * 1024)
    assert answer.status_code == 400 and "breaks the rule maxLength: 1024" in answer.json()["details"]
    assert "sesame" not in answer.content.decode() + caplog.text


def test_of_a_hundred_thousand_faults_only_the_first_is_looked_for(caller):
    answer = caller.create(requested_actions=["x"] + [1] * 100_000)
    assert answer.json()["details"].endswith("is too long")  # their number comes before what they are
