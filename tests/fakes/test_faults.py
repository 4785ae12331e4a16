"""Every switch of the fake job-server does what its name says: a fault that does not happen proves nothing."""

import gzip
import http.client
import json
import threading

import pytest

from tests.fakes import faults, spoiled
from tests.fakes.answers import JOBS_PATH, LIST_PATH
from tests.fakes.job_server import FakeJobServer
from tests.fakes.messages import Delivery
from tests.fakes.talking import ask, get, job, listed, post
from tests.site import wait_until

NOTHING_COMES = (http.client.HTTPException, ConnectionError, TimeoutError)


@pytest.fixture
def server():
    with FakeJobServer() as server:
        for name in ("b", "a"):  # the newest is listed first
            server.add_request(name, ["make_table"])
        yield server


@pytest.mark.parametrize("code", [400, 403, 429, 500, 502, 503])
@pytest.mark.parametrize(("body", "kind"), [("json", "application/json"), ("html", "text/html"), ("empty", None)])
def test_an_error_keeps_the_request_from_the_store(server, code, body, kind):
    server.fault(faults.status(code, body, ("Retry-After", "7")), times=1)
    response, content = ask(server, "POST", JOBS_PATH, [job("a")])
    assert (response.status, response.headers["Retry-After"]) == (code, "7")
    assert (response.headers["Content-Type"] or "").split(";")[0] == (kind or "")
    assert bool(content) == bool(kind)
    assert server.jobs("a") == []
    assert [told.stored for told in server.journal.told] == [False]
    assert post(server, job("a")) == 200


@pytest.mark.parametrize(
    "fault", [faults.dropped(), faults.garbage(), faults.never_answers()], ids=["drop", "junk", "never"]
)
def test_nothing_comes_and_nothing_is_stored(server, fault):
    with server.fault(fault), pytest.raises(NOTHING_COMES):
        ask(server, "POST", JOBS_PATH, [job("a")], seconds=0.2)
    assert server.jobs("a") == []


@pytest.mark.parametrize("fault", [faults.lost_answer(), faults.delivered(Delivery.CUT)], ids=["lost", "cut"])
def test_the_jobs_are_stored_although_the_answer_is_lost(server, fault):
    with server.fault(fault), pytest.raises(NOTHING_COMES):
        post(server, job("a"))
    assert server.statuses("a") == {"make_table": "pending"}
    assert [told.stored for told in server.journal.told] == [True]


@pytest.mark.parametrize("delivery", [Delivery.DRIP, Delivery.DRIP_ALL])
def test_a_dripping_answer_is_the_right_one(server, delivery):
    with server.fault(faults.delivered(delivery, seconds_per_byte=0.0001)):
        assert listed(server) == ["a", "b"]


@pytest.mark.parametrize(
    "fault", [faults.never_answers(), faults.delivered(Delivery.DRIP_ALL, 600)], ids=["never", "drip"]
)
def test_a_stopped_server_ends_what_it_holds_back(fault):
    with FakeJobServer() as server:
        server.fault(fault)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", LIST_PATH)
        wait_until(lambda: server.journal.received)
    with pytest.raises(NOTHING_COMES):
        connection.getresponse()
    connection.close()


def test_no_thread_waits_for_a_client_that_has_given_up(server):
    before = threading.active_count()
    with server.fault(faults.never_answers()), pytest.raises(TimeoutError):
        ask(server, "GET", LIST_PATH, seconds=0.05)
    wait_until(lambda: threading.active_count() == before)


def test_a_held_answer_comes_when_the_gate_opens(server):
    gate, statuses = threading.Event(), []
    server.fault(faults.held(gate), on="POST", when=faults.holds("a"))
    caller = threading.Thread(target=lambda: statuses.append(post(server, job("a"))))
    caller.start()
    wait_until(lambda: server.jobs("a"))
    assert post(server, job("b")) == 200, "others are served meanwhile"
    assert statuses == []
    gate.set()
    caller.join(30)
    assert statuses == [200]


def test_a_fault_happens_as_often_as_it_was_told_and_only_where(server):
    fault = server.fault(faults.status(500), on="POST", times=2, when=faults.holds("a"))
    assert [post(server, job("b")), post(server, job("a")), post(server, job("a"), job("b"))] == [200, 500, 500]
    assert [post(server, job("a")), len(listed(server)), fault.happened] == [200, 2, 2]


def test_a_fault_of_one_method_spares_the_other(server):
    with server.fault(faults.status(500), on="POST"):
        assert (post(server, job("a")), len(listed(server))) == (500, 2)
    with server.fault(faults.status(500), on="GET"):
        assert (post(server, job("a")), ask(server, "GET", LIST_PATH)[0].status) == (200, 500)


def test_a_fault_until_further_notice_ends_when_it_is_stopped_or_all_are_cleared(server):
    fault = server.fault(faults.status(500))
    assert [post(server, job("a")) for _ in range(3)] == [500] * 3
    fault.stop()
    assert post(server, job("a")) == 200
    server.fault(faults.status(500))
    server.faults.clear()
    assert post(server, job("a")) == 200


def test_the_first_of_several_faults_happens(server):
    server.fault(faults.status(503), times=1)
    server.fault(faults.status(429), times=1)
    assert [post(server, job("a")) for _ in range(3)] == [503, 429, 200]


@pytest.mark.parametrize("code", [301, 302, 307])
def test_who_follows_a_redirect_is_seen(server, code):
    server.fault(faults.redirect(code), times=1)
    response, _ = ask(server, "GET", f"{LIST_PATH}?limit=1")
    location = response.headers["Location"]
    assert (response.status, location) == (code, f"http://localhost:{server.port}/followed{LIST_PATH}?limit=1")
    assert server.journal.followed_redirects() == []
    ask(server, "GET", location.partition(str(server.port))[2])
    assert len(server.journal.followed_redirects()) == 1
    assert any("redirect" in sentence for sentence in server.journal.complaints())


def test_a_login_page_comes_with_status_200(server):
    with server.fault(faults.login_page()):
        response, body = ask(server, "POST", JOBS_PATH, [job("a")])
    assert (response.status, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!DOCTYPE html>")
    assert server.jobs("a") == []


def test_a_cookie_that_comes_back_is_seen(server):
    with server.fault(faults.with_cookie()):
        response, _ = ask(server, "GET", LIST_PATH)
    cookie = response.headers["Set-Cookie"].split(";")[0]
    assert server.journal.complaints() == []
    get(server, Cookie=cookie)
    assert len(server.journal.with_header("cookie")) == 1


@pytest.mark.parametrize(
    "fault", [faults.partial_json(), faults.binary_body(), spoiled.changed_text(lambda text: text + "}")]
)
def test_a_body_that_is_no_json_is_said_to_be_json(server, fault):
    with server.fault(fault):
        response, body = ask(server, "GET", LIST_PATH)
    assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
    with pytest.raises(ValueError):
        json.loads(body)


def test_right_json_under_a_wrong_name(server):
    with server.fault(faults.called_html()):
        response, body = ask(server, "GET", LIST_PATH)
    assert response.headers["Content-Type"].startswith("text/html")
    assert json.loads(body)["count"] == 2


def test_a_compressed_answer_that_nobody_asked_for(server):
    with server.fault(spoiled.gzipped()):
        response, body = ask(server, "GET", LIST_PATH)
    assert response.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(body))["count"] == 2


def test_a_deeply_nested_answer_overflows_a_careless_reader(server):
    with server.fault(spoiled.deep()):
        _, body = ask(server, "GET", LIST_PATH)
    with pytest.raises(RecursionError):
        json.loads(body)


def test_a_huge_answer_is_as_huge_as_it_was_told(server):
    with server.fault(spoiled.huge(megabytes=3)):
        _, body = ask(server, "GET", LIST_PATH)
    assert len(body) > 3_000_000
    assert len(json.loads(body)["results"]) == 2


def test_not_a_number_stands_where_a_number_was(server):
    with server.fault(spoiled.not_a_number()):
        _, body = ask(server, "GET", LIST_PATH)
    assert b'"count": NaN' in body


def identifiers(content: dict) -> list[str]:
    return [each["identifier"] if isinstance(each, dict) else each for each in content["results"]]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (spoiled.duplicated(), ["a", "a", "b", "b"]),
        (spoiled.without("a"), ["b"]),
        (spoiled.with_results("x"), ["x", "a", "b"]),
        (spoiled.with_one_malformed(), ["malformed", "not an object", None, "empty", "a", "b"]),
        (spoiled.with_wrong_types(), [7, 7]),
        (spoiled.with_columns(identifier="same"), ["same", "same"]),
    ],
)
def test_the_results_are_not_those_of_the_server(server, fault, expected):
    with server.fault(fault):
        assert identifiers(get(server)) == expected
    assert listed(server) == ["a", "b"]


def test_results_of_another_backend(server):
    with server.fault(spoiled.of_backend("elsewhere")):
        assert {each["backend"] for each in get(server)["results"]} == {"elsewhere"}


def test_another_order_each_time_and_the_same_in_each_run():
    def orders() -> list[list[str]]:
        with FakeJobServer() as server:
            for name in "abcdef":
                server.add_request(name)
            server.fault(spoiled.reordered(seed=1))
            return [listed(server) for _ in range(3)]

    first = orders()
    assert {tuple(sorted(order)) for order in first} == {tuple("abcdef")}
    assert len({tuple(order) for order in first}) == 3
    assert orders() == first


@pytest.mark.parametrize("results", [None, {}, "text", 1])
def test_results_may_be_no_list(server, results):
    with server.fault(spoiled.results_instead(results)):
        assert get(server)["results"] == results


def test_a_list_may_come_without_its_envelope(server):
    with server.fault(spoiled.a_list_instead()):
        _, body = ask(server, "GET", LIST_PATH)
    assert [each["identifier"] for each in json.loads(body)] == ["a", "b"]


def test_faults_of_lists_leave_other_answers_alone(server):
    with server.fault(spoiled.duplicated()):
        assert post(server, job("a")) == 200
