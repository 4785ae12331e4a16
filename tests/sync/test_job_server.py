"""What an answer of the job-server means: the recordings of three eras, and answers that no job-server should give."""

import http
import json
import logging

import pytest

from sync.job_server import JobServer, JobServerError, Page, PageTooLarge, Refused, UnknownRequest, Unreachable, encode
from tests import recordings
from tests.raw_server import RawServer, answer, saying
from tests.site import wait_until

TOKEN = "s3cret-of-test"
JOBS = [{"identifier": "abc"}]


@pytest.fixture(autouse=True)
def set_up(settings):
    settings.JOB_SERVER_TOKEN, settings.BACKEND, settings.JOB_SERVER_TIMEOUT_SECONDS = TOKEN, "test", 10
    settings.JOB_SERVER_CA_FILE = settings.JOB_SERVER_PROXY = ""


@pytest.fixture
def client_of(settings):
    made = []

    def client_of(server: RawServer) -> JobServer:
        settings.JOB_SERVER_ENDPOINT = server.url
        made.append(JobServer.from_settings())
        return made[-1]

    yield client_of
    for client in made:
        client.close()


def fetch(client: JobServer) -> Page:
    return client.fetch(limit=1000, offset=0, flags="{}")


def post(client: JobServer) -> None:
    client.post(JOBS, flags="{}")


CALLS = {"GET": fetch, "POST": post}


def outcome(client_of, method: str, spoken: bytes) -> JobServerError:
    """The error that the call ends with."""
    with saying(spoken) as server, pytest.raises(JobServerError) as caught:
        CALLS[method](client_of(server))
    return caught.value


def recorded(response: dict) -> bytes:
    body, kind = recordings.body(response)
    headers = [f"Location: {response['headers']['Location']}"] if "Location" in response["headers"] else []
    status = response["status"]
    return answer(body, f"{status} {http.HTTPStatus(status).phrase}", *headers, kind=kind)


EXCHANGES = dict(recordings.exchanges())


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES.keys())
def test_every_recorded_answer_has_its_meaning(client_of, exchange):
    method, response = exchange["request"]["method"], exchange["response"]
    with saying(recorded(response)) as server:
        client = client_of(server)
        if response["status"] == 200:
            found = CALLS[method](client)
            if method == "GET":
                assert found == Page(response["json"]["results"], response["json"]["count"])
            return
        with pytest.raises(JobServerError) as caught:
            CALLS[method](client)
    is_unknown = exchange["name"] == "post-unknown-job-request"
    expected = UnknownRequest if is_unknown else Unreachable if response["status"] == 403 else Refused
    assert type(caught.value) is expected
    assert is_unknown or f"answered with {response['status']}" in str(caught.value)


def test_a_poll_asks_as_the_contract_says(client_of):
    with saying(answer(b'{"count": 0, "results": []}')) as server:
        client_of(server).fetch(limit=1000, offset=2000, flags='{"mode": 1}')
    head = server.requests[0].decode()
    assert head.startswith("GET /api/v2/job-requests/?backend=test&limit=1000&offset=2000 HTTP/1.1\r\n")
    assert f"\r\nAuthorization: {TOKEN}\r\n" in head
    assert '\r\nFlags: {"mode": 1}\r\n' in head
    assert "\r\nAccept: application/json\r\n" in head


def test_a_post_sends_as_the_contract_says(client_of):
    with saying(answer(b'{"status": "success"}')) as server:
        client_of(server).post([{"status_message": "déjà vu \N{OK HAND SIGN}"}], flags="{}")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v2/jobs/ HTTP/1.1\r\n")
    assert b"\r\nContent-Type: application/json\r\n" in head
    assert json.loads(body) == [{"status_message": "déjà vu \N{OK HAND SIGN}"}]


# Answers that no job-server should give

NO_LIST = {
    "html": answer(b"<html>Please log in</html>", kind="text/html"),
    "a list called html": answer(b'{"results": []}', kind="text/html"),
    "no type": answer(b'{"results": []}', kind=""),
    "nothing": answer(b""),
    "a list": answer(b"[]"),
    "results of the wrong type": answer(b'{"results": {}}'),
    "no results": answer(b'{"count": 0}'),
    "half": answer(b'{"results": ['),
    "deep": answer(b'{"results": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "no UTF-8": answer(b'{"results": ["\xff\xfe"]}'),
    "201": answer(b'{"results": []}', "201 Created"),
    "204": answer(b"", "204 No Content"),
    "206": answer(b'{"results": []}', "206 Partial Content"),
    "304": answer(b"", "304 Not Modified"),
}


@pytest.mark.parametrize("spoken", NO_LIST.values(), ids=NO_LIST.keys())
def test_what_is_no_list_of_requests_is_refused(client_of, spoken):
    assert type(outcome(client_of, "GET", spoken)) is Refused


ODD_LISTS = {
    "a mark of byte order": (b'\xef\xbb\xbf{"results": [1], "count": 1}', Page([1], 1)),
    "no count": (b'{"results": [1]}', Page([1], None)),
    "a count of the wrong type": (b'{"results": [], "count": "7"}', Page([], None)),
    "a count that is true": (b'{"results": [], "count": true}', Page([], None)),
    "results of any kind": (b'{"results": [null, 1.5, "x", []], "count": 4}', Page([None, 1.5, "x", []], 4)),
    "the same key twice": (b'{"results": [1], "results": [2], "count": 1}', Page([2], 1)),
    "NaN": (b'{"results": [{"a": NaN}, 1]}', Page([{"a": None}, 1], None)),
    "infinity": (b'{"results": [-Infinity, 1]}', Page([None, 1], None)),
    "a giant number": (b'{"results": [' + b"9" * 5000 + b', 1], "count": 2}', Page([None, 1], 2)),
    "a lone surrogate": (b'{"results": ["\\ud800"], "count": 1}', Page(["\ud800"], 1)),
}


@pytest.mark.parametrize(("body", "page"), ODD_LISTS.values(), ids=ODD_LISTS.keys())
def test_odd_lists_are_passed_on_for_their_results_to_be_read_one_by_one(client_of, body, page):
    with saying(answer(body)) as server:
        assert fetch(client_of(server)) == page


NO_SUCCESS = {
    "html": answer(b"<html>Please log in</html>", kind="text/html"),
    "success called html": answer(b'{"status": "success"}', kind="text/html"),
    "no status": answer(b"{}"),
    "another status": answer(b'{"status": "failure"}'),
    "only a word": answer(b'"success"'),
    "a list": answer(b'["success"]'),
    "broken": answer(b'{"status": "success"'),
    "deep": answer(b"[" * 100_000),
    "201": answer(b'{"status": "success"}', "201 Created"),
    "204": answer(b"", "204 No Content"),
    "302": answer(b'{"status": "success"}', "302 Found", "Location: /api/v2/jobs/"),
    "413": answer(b"<html>Too large</html>", "413 Payload Too Large", kind="text/html"),
    "400 of today's limit": answer(b"<!DOCTYPE html>...", "400 Bad Request", kind="text/html"),
}


@pytest.mark.parametrize("spoken", NO_SUCCESS.values(), ids=NO_SUCCESS.keys())
def test_a_post_is_acknowledged_by_success_alone(client_of, spoken):
    error = outcome(client_of, "POST", spoken)
    assert type(error) is Refused
    assert not error.is_doubtful, "it has answered: nothing more is to come of this post"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_what_would_meet_every_request_is_no_fault_of_one(client_of, method, status):
    assert type(outcome(client_of, method, answer(b"{}", f"{status} No"))) is Unreachable


@pytest.mark.parametrize("status", [502, 504])
def test_after_the_word_of_a_gateway_the_post_may_still_be_done(client_of, status):
    error = outcome(client_of, "POST", answer(b"<html>", f"{status} Gateway", kind="text/html"))
    assert (type(error), error.is_doubtful) == (Refused, True)


@pytest.mark.parametrize(
    "body",
    [
        b'[{"status_message": ["What is Unknown JobRequest IDs: x?"]}]',
        b'{"0": {"action": ["Unknown JobRequest IDs: x"]}}',
        b'{"detail": "Unknown JobRequest IDs: x"}',
        b"<p>Unknown JobRequest IDs: x",
    ],
)
def test_a_quoted_text_does_not_make_a_request_unknown(client_of, body):
    assert type(outcome(client_of, "POST", answer(body, "400 Bad Request"))) is Refused


def test_only_a_post_can_meet_an_unknown_request(client_of):
    spoken = answer(b'["Unknown JobRequest IDs: x"]', "400 Bad Request")
    assert type(outcome(client_of, "GET", spoken)) is Refused
    assert type(outcome(client_of, "POST", spoken)) is UnknownRequest


@pytest.mark.parametrize(
    ("spoken", "hint"),
    [
        (answer(b"", "301 Moved", "Location: https://elsewhere.example/"), "JOB_SERVER_ENDPOINT"),
        (answer(b'{"detail": "Invalid token"}', "403 Forbidden"), "JOB_SERVER_TOKEN"),
        (answer(b"<html>", kind="text/html"), "JOB_SERVER_ENDPOINT"),
        (answer(b"[]"), "JOB_SERVER_ENDPOINT"),
    ],
)
def test_the_sentence_says_what_to_look_at(client_of, spoken, hint):
    assert hint in str(outcome(client_of, "GET", spoken))


# Sizes and texts


def test_a_page_that_is_too_large_is_told_apart_for_a_smaller_one_may_fit(client_of, monkeypatch):
    monkeypatch.setattr("sync.job_server.MOST_PAGE_BYTES", 1000)
    assert type(outcome(client_of, "GET", answer(b" " * 1001))) is PageTooLarge


def test_a_giant_reply_to_a_post_is_not_read(client_of):
    error = outcome(client_of, "POST", answer(b" " * 1_100_000))
    assert (type(error), error.is_doubtful) == (Unreachable, True)


def test_a_post_that_was_never_sent_is_not_doubtful(client_of):
    with saying(answer()) as server:
        pass
    with pytest.raises(Unreachable) as caught:
        post(client_of(server))
    assert not caught.value.is_doubtful


@pytest.mark.parametrize("body", [b"x" * 5000, b"\x00\x1b[31m\xff" * 1000, b"\n" * 5000 + "\u2028\u202e".encode()])
def test_what_is_shown_of_an_answer_is_short_and_harmless(client_of, body):
    shown = str(outcome(client_of, "GET", answer(body, "500 Oops")))
    assert len(shown) < 600
    assert not any(sign in shown for sign in "\x00\x1b\n\u2028")


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "403 Forbidden", "500 Oops"])
@pytest.mark.parametrize(
    "body",
    [
        f'{{"detail": "{TOKEN} is no token"}}'.encode(),
        b" " * (2000 - 5) + TOKEN.encode(),
        b"x" * 495 + TOKEN.encode(),
        TOKEN.encode() * 100,
    ],
)
def test_a_token_that_the_server_repeats_is_not_passed_on(client_of, caplog, status, body):
    caplog.set_level(logging.DEBUG)
    for method in CALLS:
        assert TOKEN[:5] not in str(outcome(client_of, method, answer(body, status)))
    assert TOKEN not in caplog.text


def test_no_server_is_polled_without_an_address(settings):
    settings.JOB_SERVER_ENDPOINT = ""
    assert JobServer.from_settings() is None


def test_a_body_is_plain_ascii_and_never_holds_what_is_no_json():
    assert encode([{"a": "é\ud800"}]) == b'[{"a":"\\u00e9\\ud800"}]'
    with pytest.raises(ValueError, match="JSON compliant"):
        encode([{"metrics": float("nan")}])


def test_two_polls_use_one_connection(client_of):
    with saying(answer(b'{"results": []}')) as server:
        client = client_of(server)
        fetch(client)
        fetch(client)
        wait_until(lambda: len(server.requests) == 2)
    assert server.accepted == 1
