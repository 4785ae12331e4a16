"""What today's job-server keeps of a runner's answers, where the recordings only say that it went well or not."""

import pytest

from tests.fakes.job_server import FakeJobServer
from tests.fakes.rap_client import NoAnswer, UpdateStopped
from tests.fakes.scripted_runner import scripted_runner
from tests.fakes.talking import NOW


def rap_job(rap_id: str, action: str = "one", **columns) -> dict:
    return {
        "identifier": f"{rap_id}-{action}",
        "rap_id": rap_id,
        "backend": "test",
        "action": action,
        "run_command": "",
        "status": "pending",
        "status_code": "created",
        "status_message": "",
        "created_at": NOW,
        "requires_db": False,
    } | columns


def status_answer(*jobs: dict, unrecognised: tuple[str, ...] = ()) -> dict:
    return {"status": 200, "json": {"jobs": list(jobs), "unrecognised_rap_ids": list(unrecognised)}}


@pytest.fixture
def driven():
    """A job-server with two pending requests, a runner that answers what it is told, and the calls between them."""
    server = FakeJobServer()
    for name in ("a", "b"):
        server.add_request(name, stored_status="pending")
    with scripted_runner(server) as (runner, client):
        yield server, runner, client


def test_nobody_sees_a_request_before_the_runner_has_answered(driven):
    server, runner, client = driven
    seen = []
    runner.will_answer({"status": 201, "json": {"count": 1}})
    runner.at_each_call = lambda: seen.append("c" in server.requests)
    assert client.create(server.new_request("c")) == "pending"
    assert seen == [False]
    assert "c" in server.requests


def test_jobs_are_stored_and_the_request_follows_them(driven):
    server, runner, client = driven
    runner.will_answer(status_answer(rap_job("a", status="running"), rap_job("b", status="succeeded")))
    client.poll_status()
    assert (server.status("a"), server.status("b")) == ("running", "succeeded")
    assert server.journal.last_statuses() == {"a-one": "running", "b-one": "succeeded"}


def test_finished_requests_are_not_asked_for_and_an_empty_question_is_still_asked(driven):
    _, runner, client = driven
    runner.will_answer(status_answer(*(rap_job(each, status="failed") for each in "ab")))
    client.poll_status()
    client.poll_status()
    assert [each.body for each in runner.calls] == [b'{"rap_ids": ["a", "b"]}', b'{"rap_ids": []}']


def test_one_bad_job_stops_everything_behind_it(driven):
    server, runner, client = driven
    good, bad = rap_job("a", "one"), rap_job("a", "two", flavour="vanilla")
    runner.will_answer(status_answer(good, bad, rap_job("b")))
    with pytest.raises(UpdateStopped, match="flavour"):
        client.poll_status()
    assert server.statuses("a") == {"one": "pending"}
    assert server.statuses("b") == {}


def test_a_job_that_is_missing_is_kept(driven):
    server, runner, client = driven
    runner.will_answer(status_answer(rap_job("a", "one"), rap_job("a", "two")))
    client.poll_status()
    runner.will_answer(status_answer(rap_job("a", "two", status="running")))
    client.poll_status()
    assert server.statuses("a") == {"one": "pending", "two": "running"}
    assert any("a-one is missing" in line for line in client.log)


def test_jobs_that_were_not_asked_for_are_ignored(driven):
    server, runner, client = driven
    runner.will_answer(status_answer(rap_job("a"), rap_job("b")))
    client.poll_status(["a"])
    assert (len(server.jobs("a")), len(server.jobs("b"))) == (1, 0)


def test_unrecognised_is_the_end_of_an_uncertain_request_only(driven):
    server, runner, client = driven
    server.requests["a"].stored_status = "unknown_error_creating_jobs"
    runner.will_answer(status_answer(unrecognised=("a", "b", "elsewhere")))
    client.poll_status()
    assert (server.status("a"), server.status("b")) == ("failed", "pending")


def test_an_uncertain_request_whose_jobs_appear_goes_on(driven):
    server, runner, client = driven
    runner.will_answer(None)
    assert client.create(server.new_request("c")) == "unknown_error_creating_jobs"
    runner.will_answer(status_answer(rap_job("c", status="running")))
    client.poll_status()
    assert server.status("c") == "running"


def test_cancelling_without_known_jobs_calls_nobody(driven):
    _, runner, client = driven
    with pytest.raises(ValueError, match="not available"):
        client.cancel("a")
    assert runner.calls == []


def test_cancelling_names_what_is_unfinished_and_is_noted_after_success(driven):
    server, runner, client = driven
    runner.will_answer(
        status_answer(rap_job("a", "one", status="succeeded"), rap_job("a", "two"), rap_job("a", "three"))
    )
    client.poll_status()
    runner.will_answer({"status": 200, "json": {"result": "Success", "details": "", "count": 2}})
    client.cancel("a")
    assert runner.calls[-1].body == b'{"rap_id": "a", "actions": ["two", "three"]}'
    client.cancel("a", ["two", "one"])
    assert server.requests["a"].cancelled_actions == ["two", "three", "two"]
    runner.will_answer(None)
    with pytest.raises(NoAnswer):
        client.cancel("a")
    assert len(server.requests["a"].cancelled_actions) == 3


def test_without_the_last_slash_of_the_address_every_call_goes_astray(driven):
    server, runner, client = driven
    server.rap_client(client.url.rstrip("/"), "token").call("GET", "backend/status/")
    assert runner.calls[0].path == "/controller/backend/status/"
