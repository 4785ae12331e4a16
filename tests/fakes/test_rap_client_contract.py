"""The fake's calling side against the recordings of a real job-server: same calls, and the same made of the answers."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from tests.fakes.job_server import FakeJobServer
from tests.fakes.messages import Received
from tests.fakes.rap_client import AnswerRefused, NoAnswer, UpdateStopped
from tests.fakes.scripted_runner import scripted_runner

RECORDINGS = Path(__file__).resolve().parent.parent / "fixtures" / "contract"
TOKENS = {slug: f"token-of-{slug}" for slug in ("emis", "test", "tpp")}
STORED = ("last_seen_at", "is_in_maintenance_mode", "rap_api_state")


def exchanges(number: str) -> list[dict]:
    (path,) = RECORDINGS.glob(f"{number}-*.json")
    return json.loads(path.read_text(encoding="utf-8"))["exchanges"]


def recorded(*numbers: str) -> list:
    return [pytest.param(each, id=each["name"]) for number in numbers for each in exchanges(number)]


def assert_same_call(call: Received, recorded: dict) -> None:
    assert (call.method, call.path) == (recorded["method"], recorded["path"])
    assert (json.loads(call.body) if call.body else None) == recorded.get("json")
    for name in ("Authorization", "Accept", "Content-Type"):
        assert call.headers.get(name.lower()) == recorded["headers"].get(name)


def outcome(function, *arguments) -> str:
    """`ok`, or the name of what the real job-server raised, and what it was about."""
    try:
        function(*arguments)
    except UpdateStopped as stopped:
        return f"{stopped.kind}: {stopped.about}"
    except AnswerRefused as refused:
        return f"RapAPIResponseError: {refused.status} {refused.details}".strip()
    except NoAnswer:
        return "RapAPIRequestError"
    return "ok"


def assert_same_outcome(found: str, recorded: str) -> None:
    """The recorded ones are texts of exceptions, cut after some length: name and subject have to occur in them."""
    kind, _, about = found.partition(": ")
    assert kind in recorded and (kind == "ok") == (recorded == "ok")
    assert all(word in recorded for word in about.split()[:3]) or kind in ("TypeError", "DataError")


@pytest.mark.parametrize("exchange", recorded("15", "16"))
def test_creating_jobs_ends_as_with_the_real_job_server(exchange):
    (call,) = exchange["calls"]
    sent = call["request"]["json"]
    server = FakeJobServer(backends=TOKENS)
    request = server.new_request(
        sent["rap_id"],
        sent["requested_actions"],
        commit=sent["commit"],
        backend=sent["backend"],
        workspace=sent["workspace"],
        repo_url=sent["repo_url"],
        created_by=sent["created_by"],
        project=sent["project"],
        orgs=sent["orgs"],
        codelists_ok=sent["codelists_ok"],
        force_run_dependencies=sent["force_run_dependencies"],
    )
    with scripted_runner(server) as (runner, client):
        runner.will_answer(call["response"])
        client.create(request)
    assert_same_call(runner.calls[0], call["request"])
    effect = exchange["effect"]
    assert request.stored_status == effect["_status"]
    assert request.status_message == effect["status_message"]
    assert server.jobs(sent["rap_id"]) == effect["jobs"]
    assert server.store.is_listed(request) == effect["active_listed"]


@pytest.mark.parametrize("exchange", recorded("17"))
def test_updates_of_jobs_end_as_with_the_real_job_server(exchange):
    (call,) = exchange["calls"]
    server = FakeJobServer(backends=TOKENS)
    for rap_id in call["request"]["json"]["rap_ids"]:
        server.add_request(rap_id)
    with scripted_runner(server) as (runner, client):
        if exchange["name"].startswith("status-"):
            (first_call,) = exchanges("17")[0]["calls"]
            runner.will_answer(first_call["response"])
            client.poll_status(["rap0000000000001"])
        runner.will_answer(call["response"])
        found = outcome(client.poll_status, call["request"]["json"]["rap_ids"])
    assert_same_call(runner.calls[-1], call["request"])
    assert_same_outcome(found, exchange["effect"]["outcome"])


@pytest.mark.parametrize("exchange", recorded("18"))
def test_cancelling_ends_as_with_the_real_job_server(exchange):
    (call,) = exchange["calls"]
    with scripted_runner(FakeJobServer(backends=TOKENS)) as (runner, client):
        runner.will_answer(call["response"])
        sent = call["request"]["json"]
        found = outcome(client.call_cancel, sent["rap_id"], sent["actions"])
    assert_same_call(runner.calls[0], call["request"])
    assert_same_outcome(found, exchange["effect"]["outcome"])


@pytest.mark.parametrize("exchange", recorded("19"))
def test_the_state_of_backends_is_stored_as_by_the_real_job_server(exchange):
    (call,) = exchange["calls"]
    server = FakeJobServer(backends=TOKENS)
    with scripted_runner(server) as (runner, client):
        runner.will_answer(call["response"])
        outcome(client.backend_status)
    assert_same_call(runner.calls[0], call["request"])
    for expected in exchange["effect"]["backends"]:
        backend = server.store.backends[expected["slug"]]
        time = expected["last_seen_at"]
        expected["last_seen_at"] = time and datetime.fromisoformat(time)
        assert {name: getattr(backend, name) for name in STORED} == {name: expected[name] for name in STORED}
