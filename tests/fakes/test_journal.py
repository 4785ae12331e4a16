"""The journal sees what a good runner never sends, and does not complain about what is right."""

import pytest

from tests.fakes import faults
from tests.fakes.answers import JOBS_PATH, LIST_PATH
from tests.fakes.job_server import FakeJobServer
from tests.fakes.talking import ask, get, job, post


@pytest.fixture
def server():
    with FakeJobServer() as server:
        server.add_request("a", ["one", "two"])
        server.add_request("b", ["one"])
        yield server


def test_a_good_runner_is_not_complained_about(server):
    get(server)
    post(server, job("a", "one"), job("a", "two"), job("b", "one"))
    post(server, job("a", "one", "running"), job("a", "two"))
    post(server, job("a", "one", "failed"), job("a", "two", "failed"))
    post(server, job("a", "one", "failed"), job("a", "two", "failed"))
    assert server.journal.complaints() == []
    assert server.journal.last_statuses() == {"job-a-one": "failed", "job-a-two": "failed", "job-b-one": "pending"}


def test_everything_that_arrived_is_kept_with_its_time(server):
    get(server)
    post(server, job("a", "one"), job("b", "one"))
    first, second = server.journal.received
    assert (first.method, first.path, first.headers["authorization"]) == ("GET", LIST_PATH, server.token)
    assert (second.method, second.path, second.request_ids) == ("POST", JOBS_PATH, ["a", "b"])
    assert first.at < second.at and first.time <= second.time
    assert (server.journal.gets, server.journal.posts) == ([first], [second])
    assert server.journal.posts_of("b") == [second]
    assert server.journal.posts_of("c") == []


@pytest.mark.parametrize("statuses", [["succeeded", "failed"], ["failed", "running"], ["succeeded", "pending"]])
def test_a_final_status_that_is_followed_by_another_is_a_contradiction(server, statuses):
    for status in statuses:
        post(server, job("a", "one", status), job("a", "two"))
    assert server.journal.contradicted() == ["job-a-one"]
    assert len(server.journal.complaints()) == 1


def test_another_status_code_after_the_end_is_a_contradiction_too(server):
    for code in ("nonzero_exit", "cancelled_by_user"):
        post(server, job("b", "one", "failed", status_code=code))
    assert server.journal.contradicted() == ["job-b-one"]


def test_what_a_fault_kept_away_counts_as_said_but_not_as_stored(server):
    with server.fault(faults.status(500)):
        post(server, job("b", "one", "succeeded"))
    assert server.journal.last_statuses() == {}
    post(server, job("b", "one", "failed"))
    assert server.journal.contradicted() == ["job-b-one"]
    assert [(told.status, told.stored) for told in server.journal.told_of("job-b-one")] == [
        ("succeeded", False),
        ("failed", True),
    ]


def test_what_the_server_refuses_is_not_stored(server):
    assert post(server, job("b", "one", status_message=None)) == 400
    assert [told.stored for told in server.journal.told] == [False]


def test_what_a_rap_answer_says_is_told_too(server):
    server.journal.heard({"jobs": [{"identifier": "x", "rap_id": "a", "status": "succeeded", "status_code": "s"}]})
    assert server.journal.last_statuses() == {"x": "succeeded"}


def test_a_job_that_is_left_out_is_missed(server):
    post(server, job("a", "one"), job("a", "two"))
    post(server, job("b", "one"))
    post(server, job("a", "two"))
    assert server.journal.dropped_jobs() == [("a", "job-a-one")]
    assert len(server.journal.complaints()) == 1


def test_a_request_that_is_split_over_two_posts_is_seen(server):
    post(server, job("a", "one"))
    post(server, job("a", "two"))
    assert server.journal.dropped_jobs() == [("a", "job-a-one")]


def test_mixed_requests_are_seen(server):
    post(server, job("a", "one"), job("b", "one"), job("a", "two"))
    assert len(server.journal.interleaved()) == len(server.journal.complaints()) == 1


def test_an_empty_list_is_seen(server):
    post(server)
    assert len(server.journal.empty_posts()) == len(server.journal.complaints()) == 1


@pytest.mark.parametrize("token", ["", "wrong", "Bearer token-of-test"])
def test_a_wrong_token_is_seen(server, token):
    ask(server, "GET", LIST_PATH, Authorization=token)
    assert len(server.journal.wrongly_authorized()) == len(server.journal.complaints()) == 1


@pytest.mark.parametrize("header", ["Cookie", "Expect", "Content-Encoding"])
def test_headers_that_nobody_should_send_are_seen(server, header):
    ask(server, "POST", JOBS_PATH, [job("b", "one")], **{header: "something"})
    assert len(server.journal.with_header(header.lower())) == len(server.journal.complaints()) == 1
