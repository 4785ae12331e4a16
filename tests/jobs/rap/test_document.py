"""The OpenAPI document: it agrees with the tables of the code, and every answer that it describes is given."""

import json
import re

import pytest
from jsonschema import Draft202012Validator

from jobs.models import Heartbeat
from jobs.names import WORKSPACE_NAME
from jobs.rap import creating, reporting
from jobs.rap.openapi import document, fault
from jobs.states import CODES_OF, State
from jobs.wire import MOST_COMMAND, MOST_MESSAGE, SHARED_KEYS
from tests.factories import make_job, make_request
from tests.rap import BASE, RAP_ID, Caller, create_body, planning

SCHEMAS = document()["components"]["schemas"]
NO_JSON = b"{"


def walk(value: object):
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(inner)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_one(name):
    Draft202012Validator.check_schema(SCHEMAS[name])


def test_every_reference_leads_somewhere_and_everything_is_referred_to():
    found = {each["$ref"] for each in walk(document()) if isinstance(each, dict) and "$ref" in each}
    there = {
        f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in document()["components"][kind]
    }
    assert found == there


def contents() -> list[tuple[str, object]]:
    """Schema and example of every body and answer."""
    found = []
    for each in walk(document()):
        if isinstance(each, dict) and "$ref" in each.get("schema", {}):
            name = each["schema"]["$ref"].rpartition("/")[2]
            examples = [each["example"]] if "example" in each else [one["value"] for one in each["examples"].values()]
            found += [(name, example) for example in examples]
    return found


@pytest.mark.parametrize(("name", "example"), contents(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_example_keeps_to_its_schema(name, example):
    assert fault(name, example) == ""


def test_the_statuses_are_those_of_the_state_machine():
    properties = SCHEMAS["Job"]["properties"]
    assert properties["status"]["enum"] == [str(state) for state in State]
    assert properties["status_code"]["enum"] == [str(code) for codes in CODES_OF.values() for code in codes]


def test_a_job_has_the_keys_that_both_protocols_share_and_its_request():
    assert set(SCHEMAS["Job"]["required"]) == set(SCHEMAS["Job"]["properties"]) == {*SHARED_KEYS, "rap_id", "backend"}
    assert len(SCHEMAS["Job"]["required"]) == 15


def test_lengths_are_those_that_texts_are_cut_to():
    properties = SCHEMAS["Job"]["properties"]
    assert properties["status_message"]["maxLength"] == SCHEMAS["Error"]["properties"]["details"]["maxLength"]
    assert (properties["status_message"]["maxLength"], properties["run_command"]["maxLength"]) == (
        MOST_MESSAGE,
        MOST_COMMAND,
    )


def test_names_of_workspaces_are_those_that_planning_takes():
    pattern = SCHEMAS["CreateRequest"]["properties"]["workspace"]["pattern"]
    assert pattern == f"^{WORKSPACE_NAME.pattern}$"


def test_a_list_is_bounded_before_it_is_looked_into_and_a_text_after_its_pattern():
    """The first fault ends the look; and `$` also matches before a last line feed."""
    for each in walk(document()):
        if isinstance(each, dict) and each.get("type") == "array" and "maxItems" in each:
            assert list(each).index("maxItems") < list(each).index("items")
        if isinstance(each, dict) and "pattern" in each and isinstance(each["pattern"], str):
            assert "maxLength" in each and re.compile(each["pattern"])


# What the document describes happens --------------------------------------------------------------------------------


def broken(monkeypatch, where, name: str) -> None:
    def fail(*arguments):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(where, name, fail)


def no_backends(caller, settings, monkeypatch):
    broken(monkeypatch, reporting, "backends")
    return caller.get("/backend/status/")


def no_status(caller, settings, monkeypatch):
    broken(monkeypatch, reporting, "jobs_of")
    return caller.status()


def no_create(caller, settings, monkeypatch):
    broken(monkeypatch, creating, "create")
    return caller.create()


def no_cancel(caller, settings, monkeypatch):
    make_job(request=make_request(identifier=RAP_ID, backend="test"), action="extract")
    broken(monkeypatch, type(make_request()), "ask_to_cancel")
    return caller.cancel("extract")


def created(caller, settings, monkeypatch):
    Heartbeat.beat("sync")
    with planning():
        return caller.create()


def not_created(caller, settings, monkeypatch):
    body = create_body()
    told = {key: body[key] for key in ("backend", "workspace", "repo_url", "commit")}
    make_job(request=make_request(identifier=RAP_ID, **told))
    return caller.create()


def nothing_cancelled(caller, settings, monkeypatch):
    return caller.cancel("extract")


def cancelled(caller, settings, monkeypatch):
    make_job(request=make_request(identifier=RAP_ID, backend="test"), action="extract")
    return caller.cancel("extract")


def switched_off(address: str, method: str):
    def call(caller, settings, monkeypatch):
        settings.RAP_API_TOKENS = {}
        return caller.send(method, address, b"{}")

    return call


def sent(method: str, address: str, body: bytes = b"", token: bool = True):
    def call(caller, settings, monkeypatch):
        return (caller if token else Caller(None)).send(method, address, body)

    return call


HAPPENS = {
    ("/backend/status/", "200"): sent("GET", "/backend/status/"),
    ("/backend/status/", "500"): no_backends,
    ("/rap/create/", "200"): not_created,
    ("/rap/create/", "201"): created,
    ("/rap/create/", "500"): no_create,
    ("/rap/create/", "503"): lambda caller, settings, monkeypatch: caller.create(),
    ("/rap/cancel/", "200"): cancelled,
    ("/rap/cancel/", "404"): nothing_cancelled,
    ("/rap/cancel/", "500"): no_cancel,
    ("/rap/status/", "200"): sent("POST", "/rap/status/", b'{"rap_ids": []}'),
    ("/rap/status/", "500"): no_status,
    ("/docs/", "200"): sent("GET", "/docs/", token=False),
    ("/spec.json", "200"): sent("GET", "/spec.json", token=False),
}
DESCRIBED = [
    (path, method.upper(), status)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
    for status in operation["responses"]
]


def happens_everywhere(path: str, method: str) -> dict:
    """How to get the answers that every address has."""
    return {
        "301": sent(method, path.rstrip("/")),
        "400": sent(method, path, NO_JSON),
        "401": sent(method, path, token=False),
        "404": switched_off(path, method),
        "405": sent("PUT", path),
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("path", "method", "status"), DESCRIBED)
def test_every_answer_that_is_described_is_given(caller, settings, monkeypatch, path, method, status):
    """The caller holds each answer against the document, so nothing else than what is described is given either."""
    call = HAPPENS.get((path, status)) or happens_everywhere(path, method)[status]
    assert str(call(caller, settings, monkeypatch).status_code) == status


@pytest.mark.django_db
def test_the_document_is_published_as_it_is(caller):
    answer = Caller(None).get("/spec.json")
    assert answer.json() == json.loads(json.dumps(document()))
    assert answer.json()["openapi"].startswith("3.1") and answer.json()["servers"][0]["url"] == BASE


@pytest.mark.django_db
def test_the_page_for_people_tells_every_call_schema_and_example_and_loads_its_own_style_only():
    answer = Caller(None).get("/docs/")
    page = answer.content.decode()
    for path, methods in document()["paths"].items():
        assert BASE + path in page
        for operation in methods.values():
            assert operation["operationId"] in page
    for name, schema in SCHEMAS.items():
        assert f'id="schema-{name}"' in page and all(key in page for key in schema["properties"])
    assert "&quot;rap_id&quot;: &quot;abcdefgh12345678&quot;" in page
    assert not re.search(r"<script|<style|style=|src=|https?://(?!github)", page)
    assert re.findall(r"<link[^>]*>", page) == ['<link rel="stylesheet" href="/static/css/rap.css">']
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
