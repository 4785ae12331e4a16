"""What the fake job-server does beyond the recordings: rules that only the contract's text tells, and its own verbs."""

import http.client
import ssl
import threading
from datetime import UTC, datetime
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.fakes.certificates import private_certificate
from tests.fakes.eras import ERAS
from tests.fakes.job_server import FakeJobServer
from tests.fakes.talking import ask, get, job, listed, post

every_era = pytest.mark.parametrize("era", ERAS)


def test_a_request_without_a_creator_breaks_the_list_of_the_oldest_era_only():
    for era, status in {"2021-09": 500, "2025-05": 200, "2026-08": 200}.items():
        with FakeJobServer(era) as server:
            server.add_request(created_by=None)
            response, _ = ask(server, "GET", "/api/v2/job-requests/")
            assert response.status == status, era


@pytest.mark.parametrize(("era", "is_kept"), [("2021-09", False), ("2025-05", True), ("2026-08", True)])
def test_the_part_of_a_payload_before_an_identifier_conflict_is_kept_in_newer_eras(era, is_kept):
    with FakeJobServer(era) as server:
        for name in ("a", "b", "c"):
            server.add_request(name)
        assert post(server, job("c")) == 200
        assert post(server, job("a"), job("b", identifier="job-c-make_table")) == 500
        assert bool(server.jobs("a")) == is_kept
        assert server.statuses("c") == {"make_table": "pending"}
        assert post(server, job("b", identifier="job-c-make_table")) == 500, "the conflict is still there"


def test_a_payload_that_failed_leaves_identifiers_with_their_requests():
    with FakeJobServer("2021-09") as server:
        for name in ("a", "b", "c"):
            server.add_request(name)
        assert post(server, job("a", identifier="x"), job("c", identifier="y")) == 200
        moved = [job("a", identifier="z"), job("b", identifier="x"), job("b", identifier="y")]
        assert post(server, *moved) == 500
        assert post(server, job("b", identifier="x")) == 500, "x is still of request a"


@pytest.mark.parametrize(("era", "is_seen"), [("2021-09", True), ("2025-05", True), ("2026-08", False)])
def test_a_get_is_a_sign_of_life_until_the_middle_of_2025(era, is_seen):
    now = datetime(2026, 11, 26, 12, tzinfo=UTC)
    with FakeJobServer(era, clock=lambda: now) as server:
        get(server, Authorization="")
        assert server.store.backends["test"].last_seen_at is None
        get(server)
        assert server.store.backends["test"].last_seen_at == (now if is_seen else None)


def test_the_flags_header_switches_maintenance_in_the_era_that_reads_it():
    with FakeJobServer("2025-05") as server:
        get(server, Flags='{"mode": {"v": "db-maintenance", "ts": "2026-11-26T10:00:00Z"}}')
        assert server.store.backends["test"].is_in_maintenance_mode
        get(server, Flags='{"mode": {"v": null, "ts": "2026-11-26T10:00:00Z"}}')
        assert not server.store.backends["test"].is_in_maintenance_mode
        response, _ = ask(server, "GET", "/api/v2/job-requests/", Flags="{")
        assert response.status == 500


def test_an_old_request_is_listed_as_long_as_a_job_of_it_is_unfinished():
    with FakeJobServer() as server:
        server.add_request("old", created_at=datetime(2020, 1, 1, tzinfo=UTC))
        assert listed(server) == []
        post(server, job("old", status="running"))
        assert listed(server) == ["old"]


def test_the_newest_era_lists_a_finished_request_until_somebody_looks_at_it():
    with FakeJobServer() as server:
        server.add_request("a")
        post(server, job("a", status="succeeded"))
        assert (listed(server), server.status("a")) == (["a"], "unknown")
        server.store.evaluate()
        assert (listed(server), server.status("a")) == ([], "succeeded")


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], "unknown"),
        (["pending", "pending"], "pending"),
        (["succeeded", "pending"], "running"),
        (["failed", "running"], "running"),
        (["failed", "succeeded"], "failed"),
        (["succeeded", "paused"], "unknown"),
    ],
)
@every_era
def test_the_status_of_a_request_follows_from_its_jobs(era, statuses, expected):
    with FakeJobServer(era) as server:
        server.add_request("a")
        if statuses:
            post(server, *(job("a", f"action{i}", status) for i, status in enumerate(statuses)))
        server.store.evaluate()
        assert server.status("a") == expected


@pytest.mark.parametrize("body", [b"\x1f\x8b\x08 gzip", b"", b"\xff"])
@every_era
def test_a_body_that_is_no_json_is_refused(era, body):
    with FakeJobServer(era) as server:
        response, _ = ask(server, "POST", "/api/v2/jobs/", body)
        assert (response.status, response.headers["Content-Type"]) == (400, "application/json")


def test_a_bad_token_matters_more_than_a_broken_body():
    with FakeJobServer() as server:
        response, _ = ask(server, "POST", "/api/v2/jobs/", b"{", Authorization="wrong")
        assert response.status == 403


def test_who_asks_for_html_gets_html():
    with FakeJobServer() as server:
        for accept, kind in {"text/html": "text/html; charset=utf-8", "*/*": "application/json"}.items():
            response, _ = ask(server, "GET", "/api/v2/job-requests/", Accept=accept)
            assert response.headers["Content-Type"] == kind


def test_the_101st_request_is_on_the_second_page():
    with FakeJobServer() as server:
        for _ in range(101):
            server.add_request()
        for query, number in {"": 100, "?limit=0": 100, "?limit=x": 100, "?limit=1000": 101, "?offset=100": 1}.items():
            _, body = ask(server, "GET", f"/api/v2/job-requests/{query}")
            assert body.count(b'"sha"') == number, query


@pytest.mark.parametrize(("era", "named"), [("2021-09", ["one", "two"]), ("2026-08", ["two"])])
def test_cancel_all_names_the_jobs_that_are_known_by_then(era, named):
    with FakeJobServer(era) as server:
        server.add_request("a", ["one", "two"])
        server.cancel("a")
        assert get(server)["results"][0]["cancelled_actions"] == [], "the click before the first POST is lost"
        post(server, job("a", "one", "succeeded"), job("a", "two", "running"))
        server.cancel("a")
        assert get(server)["results"][0]["cancelled_actions"] == named
        server.cancel("a", ["two"])
        assert get(server)["results"][0]["cancelled_actions"] == [*named, "two"]


@every_era
def test_a_hidden_request_is_known_a_forgotten_one_is_not(era):
    with FakeJobServer(era) as server:
        server.add_request("a")
        server.hide("a")
        assert listed(server) == []
        assert post(server, job("a", status="succeeded")) == 200
        assert server.statuses("a") == {"make_table": "succeeded"}
        server.reveal("a")
        assert listed(server) == ["a"]
        server.forget("a")
        assert listed(server) == []
        assert post(server, job("a")) == (400 if era == "2021-09" else 200)
        assert server.requests == {}


def test_the_server_says_what_a_runner_still_has_to_deliver():
    with FakeJobServer() as server:
        for name in ("none", "running", "done"):
            server.add_request(name)
        post(server, job("running", status="running"), job("done", status="failed"))
        assert server.lost_requests() == ["none"]
        assert server.unfinished_requests() == ["none", "running"]


def test_a_server_that_is_down_refuses_and_comes_back_with_all_that_it_knew():
    with FakeJobServer() as server:
        server.add_request("a")
        kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        kept.request("GET", "/api/v2/job-requests/")
        kept.getresponse().read()
        with server.down():
            with pytest.raises(ConnectionRefusedError):
                listed(server)
            with pytest.raises(ConnectionError):
                kept.request("GET", "/api/v2/job-requests/")
                kept.getresponse()
        kept.close()
        assert listed(server) == ["a"]


@pytest.mark.parametrize(("keep_alive", "is_closed"), [(True, False), (False, True)])
def test_connections_are_kept_unless_switched_off(keep_alive, is_closed):
    with FakeJobServer(keep_alive=keep_alive) as server:
        response, _ = ask(server, "GET", "/api/v2/job-requests/")
        assert (response.version, response.will_close) == (11 if keep_alive else 10, is_closed)


def test_over_tls_only_those_are_served_who_trust_the_certificate(tmp_path):
    certificate, context = private_certificate(tmp_path)
    with FakeJobServer(tls=context) as server:
        url = f"{server.url}job-requests/"
        assert url.startswith("https://")
        with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urlopen(url, timeout=30)
        with urlopen(url, timeout=30, context=ssl.create_default_context(cafile=certificate)) as response:
            assert response.status == 200


def test_nothing_is_left_of_a_stopped_server():
    before = set(threading.enumerate())
    with FakeJobServer() as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", "/api/v2/job-requests/")
        connection.getresponse().read()
        assert len(threading.enumerate()) == len(before) + 2
    connection.close()
    assert set(threading.enumerate()) == before


def test_a_mistake_of_the_fake_itself_is_not_taken_for_a_fault():
    def mistaken(received, act):
        raise LookupError("a mistake")

    with pytest.raises(ExceptionGroup, match="itself"), FakeJobServer() as server:
        server.fault(mistaken)
        with pytest.raises(http.client.RemoteDisconnected):
            listed(server)
