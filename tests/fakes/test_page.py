"""The page and the program of the fake job-server: what a person at a demonstration sees and does."""

import contextlib
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.fakes.job_server import FakeJobServer
from tests.fakes.page import Page
from tests.fakes.scripted_runner import scripted_runner
from tests.fakes.talking import ask, job, listed, post
from tests.git_repositories import make_repository
from tests.site import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
DEFAULTS = {"workspace": "demo", "repo_url": "https://example.org/study", "branch": "main", "actions": "run_all"}
FORM = DEFAULTS | {"commit": "c" * 40, "codelists_ok": "on"}


@pytest.fixture
def server():
    with FakeJobServer() as server:
        server.page = Page(server, None, DEFAULTS)
        yield server


def send_form(server: FakeJobServer, path: str, form: dict[str, str], **headers: str) -> tuple[int, str]:
    response, body = ask(server, "POST", path, urlencode(form).encode(), **headers)
    return response.status, body.decode()


def text_of(server: FakeJobServer, path: str) -> str:
    response, body = ask(server, "GET", path)
    assert response.status == 200
    return body.decode()


def test_a_request_is_asked_for_watched_and_cancelled(server):
    assert 'value="https://example.org/study"' in text_of(server, "/")
    assert "Nobody has asked" in text_of(server, "/requests")
    assert send_form(server, "/ask", FORM | {"actions": "one, two"})[0] == 303
    (identifier,) = listed(server)
    request = server.requests[identifier]
    assert (request.requested_actions, request.codelists_ok) == (["one", "two"], True)
    assert not request.force_run_dependencies
    post(server, job(identifier, "one", "succeeded"), job(identifier, "two", "running"))
    shown = text_of(server, "/requests")
    assert all(word in shown for word in (identifier, "running", "succeeded", "Cancel</button>"))
    assert send_form(server, "/cancel", {"identifier": identifier})[0] == 303
    assert request.cancelled_actions == ["two"]
    post(server, job(identifier, "one", "succeeded"), job(identifier, "two", "failed"))
    shown = text_of(server, "/requests")
    assert "Cancel</button>" not in shown and "cancelled: two" in shown
    assert server.status(identifier) == "failed", "looking at the page recomputes it"


@pytest.mark.parametrize("statuses", [(), ("succeeded",), ("failed", "succeeded")])
def test_what_has_no_unfinished_jobs_cannot_be_cancelled(server, statuses):
    server.add_request("r")
    post(server, *[job("r", f"action{number}", status) for number, status in enumerate(statuses)])
    shown = text_of(server, "/requests")
    assert "<h2>r " in shown
    assert "Cancel</button>" not in shown


def test_a_request_without_jobs_has_no_table(server):
    server.add_request("r")
    assert "<table" not in text_of(server, "/requests")
    post(server, job("r"))
    assert "<table" in text_of(server, "/requests")


def test_times_are_whole_seconds(server):
    server.add_request("r")
    post(server, job("r", updated_at="2026-11-26T11:00:00.123456+01:00"))
    assert "<td>2026-11-26 10:00:00 UTC" in text_of(server, "/requests")


def test_only_failures_are_shown_in_the_colour_of_trouble(server):
    server.add_request("r", stored_status="nothing_to_do", status_message="Nothing to do: it is scheduled.")
    server.add_request("s", stored_status="failed", status_message="No such action.")
    shown = text_of(server, "/requests")
    assert '<p class="nothing_to_do">Nothing to do: it is scheduled.' in shown
    assert ".nothing_to_do" not in shown
    assert '<p class="failed">No such action.' in shown


def test_the_form_is_filled_in_as_the_address_says(server):
    server.page = Page(server, None, DEFAULTS, [("a <slow> one", "branch=slow&actions=one")])
    page = text_of(server, "/")
    assert '<a href="/?branch=slow&amp;actions=one">a &lt;slow&gt; one</a>' in page
    page = text_of(server, "/?branch=slow&actions=one&unknown=%3Cx%3E")
    assert all(f'value="{value}"' in page for value in ("slow", "one", "demo"))
    assert 'value="main"' not in page and "unknown" not in page


def test_nothing_that_people_or_runners_wrote_is_markup(server):
    hostile = "<script>alert(1)</script>\"'"
    server.add_request(hostile, [hostile], workspace=hostile, created_by=hostile, status_message=hostile)
    columns = dict.fromkeys(("identifier", "status", "status_code", "status_message"), hostile)
    assert post(server, job(hostile, hostile, **columns)) == 200
    server.page.defaults["workspace"] = hostile
    assert "<script" not in text_of(server, "/requests") + text_of(server, "/")
    assert "&lt;script&gt;" in text_of(server, "/requests")


@pytest.mark.parametrize("headers", [{"Origin": "http://elsewhere.example"}, {"Host": "elsewhere.example:80"}])
def test_forms_of_other_sites_are_not_obeyed(server, headers):
    assert send_form(server, "/ask", FORM, **headers)[0] == 403
    assert server.requests == {}
    assert send_form(server, "/ask", FORM, Origin=f"http://127.0.0.1:{server.port}")[0] == 303


@pytest.mark.parametrize(
    ("path", "form", "says"),
    [
        ("/ask", FORM | {"actions": " "}, "at least one action"),
        ("/ask", FORM | {"repo_url": "/nowhere", "commit": ""}, "no branch"),
        ("/cancel", {"identifier": "gone"}, "no such request"),
    ],
)
def test_a_form_that_cannot_be_obeyed_says_why(server, path, form, says):
    status, page = send_form(server, path, form)
    assert status == 400
    assert says in page


def test_without_a_commit_the_newest_of_the_branch_is_taken(server, tmp_path):
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=Alice", "-c", "user.email=alice@example.org"]
        return subprocess.run(
            ["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "x")
    assert send_form(server, "/ask", FORM | {"repo_url": str(tmp_path), "commit": ""})[0] == 303
    (request,) = server.requests.values()
    assert request.commit == git("rev-parse", "HEAD").strip()


def test_with_a_runner_to_call_the_page_calls_it(server):
    with scripted_runner(server) as (runner, client):
        server.page = Page(server, client, DEFAULTS)
        runner.will_answer({"status": 400, "json": {"error": "x", "details": "No such action <b>"}})
        assert send_form(server, "/ask", FORM)[0] == 303
    assert [call.path for call in runner.calls] == ["/controller/v1/rap/create/"]
    assert "No such action &lt;b&gt;" in text_of(server, "/requests")


def test_a_server_without_a_page_has_none():
    with FakeJobServer() as server:
        assert ask(server, "GET", "/")[0].status == 404


@contextlib.contextmanager
def program(*arguments: str):
    """The program, and the first line that it prints."""
    command = [sys.executable, "-W", "error", "-m", "tests.fakes.job_server", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_program_serves_until_it_is_told_to_stop():
    with program("--port", "0", "--era", "2025-05", "--token", "secret", "--workspace", "mine") as process:
        address = process.stdout.readline().split(" is on ")[1].split()[0]
        with urlopen(address, timeout=30) as response:
            page = response.read().decode()
        assert "2025-05" in page and 'value="mine"' in page
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


def test_the_program_says_that_its_port_is_in_use():
    with socket.create_server(("127.0.0.1", 0)) as other, program("--port", str(other.getsockname()[1])) as process:
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (1, "")
    assert "in use" in errors and "--port" in errors and errors.count("\n") == 1


def test_the_program_asks_a_runner_when_it_has_shown_that_it_lives(tmp_path):
    slug = {"slug": "test", "db_maintenance": {"status": "off", "since": None}}
    with FakeJobServer() as unused, scripted_runner(unused) as (runner, client):
        runner.will_answer({"status": 401, "json": {"error": "Unauthorized", "details": "Invalid token"}})
        make_repository(tmp_path / "study", {"project.yaml": ""})
        options = ("--runner-url", client.url, "--ask", "--repo-url", str(tmp_path / "study"))
        with program("--port", "0", *options) as process:
            told = process.stdout.readline()
            assert f"calls the runner at {client.url}" in told and "polled" not in told
            process.stdout.readline()
            assert "Waiting for the runner" in process.stdout.readline()
            calls = len(runner.calls)
            runner.will_answer({"status": 200, "json": {"backends": [slug | {"last_seen": None}]}})
            wait_until(lambda: len(runner.calls) > calls + 1)
            assert {call.path for call in runner.calls} == {"/controller/v1/backend/status/"}
            runner.will_answer({"status": 200, "json": {"backends": [slug | {"last_seen": "2026-11-26T10:00:00Z"}]}})
            wait_until(lambda: "/controller/v1/rap/create/" in [call.path for call in runner.calls])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--runner-url", "http://localhost/controller/v1"), "must end in a slash"),
        (("--runner-url", "http://localhost/x/", "--era", "2021-09"), "leave --era out"),
        (("--token", ""), "give a --token"),
    ],
)
def test_the_program_refuses_what_cannot_work(arguments, says):
    with program("--port", "0", *arguments) as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert says in errors
