"""The fake job-server against the recordings of real ones: in the same state the same requests have the same end."""

import http.client
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.fakes.job_server import FakeJobServer

RECORDINGS = Path(__file__).resolve().parent.parent / "fixtures" / "contract"
RECORDED_ON = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
TOKENS = {"tpp": "token-of-tpp", "test": "token-of-test"}
OLD_REQUEST = "dddddddddddddddd"  # made more than a year before the recordings
JOB = {
    "identifier": "jobcccccccccccc1",
    "job_request_id": "cccccccccccccccc",
    "action": "generate_dataset",
    "run_command": "ehrql:v1 generate-dataset",
    "status": "pending",
    "status_code": "created",
    "status_message": "Created",
    "created_at": "2026-11-23T10:00:00Z",
    "updated_at": "2026-11-23T10:00:00Z",
    "started_at": None,
    "completed_at": None,
}
# What had happened before: files whose requests are sent first, and jobs that are posted then.
BEFORE = {
    "09": (["07"], []),
    "10": (["06"], []),
    "13": ([], [JOB]),
}
# Some recordings lack what was sent; their notes and answers say what it was.
AS_TPP = {"Authorization": "<token:tpp>"}
LEFT_OUT = {
    "get-list-http10-host": {"headers": AS_TPP | {"Host": "jobs.example.org"}},
    "post-oversize": {"headers": AS_TPP, "json": [JOB | {"status_message": "x" * 2_700_000}]},
    "post-identifier-owned-by-other-jr": {"headers": AS_TPP, "json": [JOB | {"job_request_id": OLD_REQUEST}]},
}


def recording(number: str) -> tuple[str, list[dict]]:
    (path,) = RECORDINGS.glob(f"{number}-*.json")
    return path.stem, json.loads(path.read_text(encoding="utf-8"))["exchanges"]


def recorded(*numbers: str) -> list:
    """(number, era, exchanges) of these files; the exchanges stay together, since their effects build up."""
    found = []
    for number in numbers:
        name, exchanges = recording(number)
        for era in dict.fromkeys(each["era"] for each in exchanges):
            found.append(pytest.param(number, era, of_era(exchanges, era), id=f"{name}-{era}"))
    return found


def of_era(exchanges: list[dict], era: str) -> list[dict]:
    return [each for each in exchanges if each["era"] == era]


def server_in_the_recorded_state(era: str) -> FakeJobServer:
    server = FakeJobServer(era, TOKENS, clock=lambda: RECORDED_ON)
    columns = {
        "workspace": "example-workspace",
        "repo_url": "https://github.com/opensafely/example-study",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "created_by": "researcher",
        "workspace_created_by": "researcher",
        "project": "example-project",
        "orgs": ["example-org"],
        "backend": "tpp",
    }
    server.add_request("aaaaaaaaaaaaaaaa", ["generate_dataset"], **columns)
    forced = {"force_run_dependencies": True, "codelists_ok": False}
    server.add_request("bbbbbbbbbbbbbbbb", ["run_all"], **columns | forced)
    cancelled = {"backend": "test", "cancelled_actions": ["analyse"]}
    server.add_request("cccccccccccccccc", ["generate_dataset", "analyse"], **columns | cancelled)
    long_ago = {"created_at": RECORDED_ON - timedelta(days=400)}
    server.add_request(OLD_REQUEST, ["generate_dataset"], **columns | long_ago)
    return server


def take_times(server: FakeJobServer, exchange: dict) -> None:
    """Requests and workspaces were made anew for some recordings: give the fake's the recorded times."""
    content = exchange["response"].get("json")
    for result in content.get("results", []) if isinstance(content, dict) else []:
        for request in server.requests.values():
            request.workspace_created_at = datetime.fromisoformat(result["workspace"]["created_at"])
            if (request.identifier == OLD_REQUEST) == (result["identifier"] == OLD_REQUEST):
                request.created_at = datetime.fromisoformat(result["created_at"])


def send(server: FakeJobServer, request: dict) -> dict:
    """Send a recorded request and return the answer in the shape of the recordings."""
    headers = {"Host": "job-server.example"} | request.get("headers", {})
    for slug, token in TOKENS.items():
        headers = {name: value.replace(f"<token:{slug}>", token) for name, value in headers.items()}
    body = json.dumps(request["json"]) if "json" in request else request.get("raw")
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
    query = request.get("query")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(
            request["method"], request["path"] + (f"?{urlencode(query)}" if query else ""), body, headers
        )
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    answer = {"status": response.status, "headers": {name.lower(): value for name, value in response.headers.items()}}
    is_json = response.headers["Content-Type"] == "application/json"
    return answer | ({"json": json.loads(content)} if is_json else {"text": content.decode()})


def assert_same(answer: dict, expected: dict) -> None:
    """Status, kind of content, JSON, Location and Allow; the recorded pages of errors are those of DEBUG."""
    assert answer["status"] == expected["status"]
    assert answer.get("json") == expected.get("json")
    if expected["status"] != 500:
        assert answer["headers"]["content-type"] == expected["headers"]["content-type"]
    for name in {"location", "allow"} & set(expected["headers"]):
        assert answer["headers"][name] == expected["headers"][name]


def assert_effect(server: FakeJobServer, exchange: dict, jobs_before: dict) -> None:
    """The recorded `effect`: what the server's database held, and what it listed, afterwards."""
    sent = exchange["request"].get("json", [])
    for key, expected in exchange.get("effect", {}).items():
        word, _, letters = key.rpartition("_")
        identifier = letters * 4 if len(letters) == 4 else ""
        if word == "jobs_of":
            assert sorted(job["identifier"] for job in server.jobs(identifier)) == expected
        elif word == "listed":
            assert (identifier in listed(server)) == expected
        elif key == "listed":
            assert listed(server) == expected
        elif key == "messages":
            assert [job["status_message"] for job in server.jobs(sent[0]["job_request_id"])] == expected
        elif exchange["response"]["status"] != 200:
            assert all_jobs(server) == jobs_before
        else:
            stored = {job["identifier"]: job for job in server.jobs(sent[0]["job_request_id"])}
            assert_columns(stored[sent[0]["identifier"]], {key: expected} if key == "run_command" else expected)


def assert_columns(stored: dict, expected: dict) -> None:
    for name, value in expected.items():
        if name.endswith("_at") and value is not None:
            time = datetime.fromisoformat(value)
            value = time if time.tzinfo else time.replace(tzinfo=UTC)
        assert stored[name] == value or value == "<no column>", name


def listed(server: FakeJobServer) -> list[str]:
    return [request.identifier for request in server.store.listed("tpp")]


def all_jobs(server: FakeJobServer) -> dict[str, list[dict]]:
    return {identifier: server.jobs(identifier) for identifier in server.requests}


@pytest.mark.parametrize(("number", "era", "exchanges"), recorded(*(f"{number:02d}" for number in range(1, 15))))
def test_the_fake_answers_and_stores_as_the_real_job_server_did(number, era, exchanges):
    with server_in_the_recorded_state(era) as server:
        files, jobs = BEFORE.get(number, ([], []))
        for file in files:
            for exchange in of_era(recording(file)[1], era):
                send(server, exchange["request"])
        if jobs:
            send(server, {"method": "POST", "path": "/api/v2/jobs/", "headers": AS_TPP, "json": jobs})
        for exchange in exchanges:
            take_times(server, exchange)
            jobs_before = all_jobs(server)
            left_out = {} if exchange["request"].get("headers") else LEFT_OUT.get(exchange["name"], {})
            answer = send(server, exchange["request"] | left_out)
            assert_same(answer, exchange["response"])
            assert_effect(server, exchange, jobs_before)
