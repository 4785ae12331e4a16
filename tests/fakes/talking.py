"""A minimal client for the tests of the fake job-server itself: one request, one connection, no politeness."""

import http.client
import json
from typing import Any

from tests.fakes.answers import JOBS_PATH, LIST_PATH
from tests.fakes.job_server import FakeJobServer

NOW = "2026-11-26T10:00:00Z"


def ask(
    server: FakeJobServer, method: str, path: str, content: Any = None, seconds: float = 20, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """With the right token unless `Authorization` says otherwise. Returns the answer and its body."""
    body = content if content is None or isinstance(content, bytes) else json.dumps(content)
    headers = {"Authorization": server.token, "Content-Type": "application/json"} | headers
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=seconds)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def get(server: FakeJobServer, **headers: str) -> dict:
    """The list of requests; AssertionError if there is none."""
    response, body = ask(server, "GET", LIST_PATH, **headers)
    assert response.status == 200, body
    return json.loads(body)


def listed(server: FakeJobServer) -> list[str]:
    return [each["identifier"] for each in get(server)["results"]]


def post(server: FakeJobServer, *jobs: dict, **headers: str) -> int:
    """The status of the answer."""
    return ask(server, "POST", JOBS_PATH, list(jobs), **headers)[0].status


def job(request: str, action: str = "make_table", status: str = "pending", **columns: Any) -> dict:
    """A job as a runner posts it."""
    is_final = status in ("succeeded", "failed")
    return {
        "identifier": f"job-{request}-{action}",
        "job_request_id": request,
        "action": action,
        "run_command": "",
        "status": status,
        "status_code": status,
        "status_message": "",
        "created_at": NOW,
        "updated_at": NOW,
        "started_at": None,
        "completed_at": NOW if is_final else None,
    } | columns
