"""The RAP API as it is in production: gunicorn in front, `manage.py sync` behind, a real repository, real HTTP."""

import contextlib
import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.git_repositories import make_repository, serve
from tests.rap import RAP_ID, TOKEN, create_body
from tests.site import ROOT, Site, wait_until

pytestmark = pytest.mark.slow_test

STUDY = """
version: '4.0'
actions:
  extract: {run: python:v2 python extract.py, outputs: {highly_sensitive: {rows: output/rows.csv}}}
  analyse: {run: python:v2 python analyse.py, needs: [extract], outputs: {moderately_sensitive: {t: output/t.csv}}}
"""


class Web:
    """gunicorn on a free port of loopback, as docs/production.md starts it."""

    def __init__(self, site: Site):
        arguments = ["--config", "python:jobrunner_site.gunicorn_conf", "--bind", "127.0.0.1:0", "--workers", "1"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *arguments],
            cwd=ROOT,
            env=site.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(log := (site.folder / "web.log").open("wb")),
        )
        log.close()
        log_file = site.folder / "web.log"
        found = wait_until(lambda: re.search(rb"Listening at: http://127\.0\.0\.1:(\d+)", log_file.read_bytes()))
        self._port = int(found[1])

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    def ask(self, method: str, address: str, body: object = None, **headers: str) -> tuple[int, dict | str]:
        """Status and body of an answer; JSON is read."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, address, sent, {"Authorization": TOKEN, **headers})
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if "json" in answer.headers["Content-Type"] else text

    def create(self, **changes) -> tuple[int, dict | str]:
        return self.ask("POST", "/controller/v1/rap/create/", create_body(**changes))


@contextlib.contextmanager
def web_and_sync(site: Site) -> Iterator[Web]:
    web = Web(site)
    try:
        sync = site.start("sync")
        lives = "SELECT 1 FROM jobs_heartbeat WHERE name = 'sync'"
        wait_until(lambda: site.query(lives) or sync.poll() is not None, what="the start of sync")
        yield web
    finally:
        web.close()


def settings(**more: str) -> dict[str, str]:
    return {"BACKEND": "test", "EXECUTOR": "fake", "RAP_API_TOKENS": TOKEN, "RAP_CREATE_TIMEOUT_SECONDS": "30", **more}


def test_a_job_server_creates_follows_and_cancels_jobs_by_http(tmp_path):
    commit = make_repository(tmp_path / "study", {"project.yaml": STUDY, "extract.py": "", "analyse.py": ""})
    study = {"repo_url": str(tmp_path / "study"), "commit": commit, "requested_actions": ["run_all"]}
    with Site(tmp_path / "site", **settings()) as site, web_and_sync(site) as web:
        status, answer = web.create(**study)
        assert (status, answer["result"], answer["count"]) == (201, "Success", 2)
        assert web.create(**study)[1]["result"] == "No change"

        status, answer = web.create(**study, rap_id="another-rap-id00".replace("-", "x"))
        assert (status, answer["result"]) == (200, "Nothing to do")
        status, answer = web.create(**study | {"requested_actions": ["nope"]}, rap_id="0000000000000000")
        assert status == 400 and "nope" in answer["details"]

        status, answer = web.ask("POST", "/controller/v1/rap/cancel/", {"rap_id": RAP_ID, "actions": ["analyse"]})
        assert (status, answer["count"]) == (200, 1)
        status, answer = web.ask("POST", "/controller/v1/rap/status/", {"rap_ids": [RAP_ID, "0000000000000000"]})
        assert [job["action"] for job in answer["jobs"]] == ["extract", "analyse"]
        assert answer["unrecognised_rap_ids"] == ["0000000000000000"]
        assert web.ask("GET", "/controller/v1/backend/status/")[1]["backends"][0]["slug"] == "test"
        assert web.ask("GET", "/controller/v1/spec.json", Authorization="")[1]["openapi"] == "3.1.0"
        status, answer = web.ask("GET", "/healthz/")
        assert status == 503 and len(answer["problems"]) == 1 and "manage.py run" in answer["problems"][0]


def test_a_silent_git_host_ends_in_a_definite_answer_and_holds_up_nobody(tmp_path):
    commit = make_repository(tmp_path / "repos" / "study", {"project.yaml": STUDY})
    with serve(tmp_path / "repos") as server:
        server.faults.extend(["hang"] * 20)
        host = server.url.partition("://")[2].partition("/")[0]
        of_git = {"GIT_ALLOW_HTTP": "true", "ALLOWED_GIT_HOSTS": host, "ALLOWED_GITHUB_ORGS": "*"}
        timeout = {"RAP_CREATE_TIMEOUT_SECONDS": "2"}
        with Site(tmp_path / "site", **settings(**timeout, **of_git)) as site, web_and_sync(site) as web:
            status, answer = web.create(repo_url=f"{server.url}/study", commit=commit)
            assert status == 400 and "not read within 2 seconds, so nothing was started" in answer["details"]
            # The host still hangs, and another study, in another workspace, is planned all the same.
            make_repository(tmp_path / "other", {"project.yaml": STUDY})
            other = make_repository(tmp_path / "other", {"extract.py": "x"})
            status, answer = web.create(
                rap_id="0" * 16, workspace="other", repo_url=str(tmp_path / "other"), commit=other,
                requested_actions=["extract"],
            )  # fmt: skip
            assert (status, answer["count"]) == (201, 1)
            status, answer = web.ask("POST", "/controller/v1/rap/status/", {"rap_ids": [RAP_ID]})
            assert answer == {"jobs": [], "unrecognised_rap_ids": [RAP_ID]}


def test_without_sync_a_call_is_refused_at_once_and_bad_bodies_never_reach_it(tmp_path):
    with Site(tmp_path / "site", **settings()) as site:
        web = Web(site)
        try:
            assert web.create()[0] == 503
            address = "/controller/v1/rap/create/"
            assert web.ask("POST", address, b"x" * 1_000_001)[1]["error"] == "Validation error"
            assert web.ask("POST", address, b"[" * 500_000)[1]["details"] == "could not parse JSON from request body"
            status, answer = web.ask("POST", address, b"{}", Authorization="Bearer nothing-that-is-known")
            assert (status, answer["details"]) == (401, "Invalid token")
            assert not site.query("SELECT 1 FROM jobs_jobrequest")
        finally:
            web.close()
        assert TOKEN not in (site.folder / "web.log").read_text()
