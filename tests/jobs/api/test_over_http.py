"""The examples of docs/api.md, run as they stand there against a real server."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.apps import apps

from jobs import storage
from jobs.people.roles import OPERATOR, make_roles
from jobs.states import StatusCode
from tests.api_calls import secret_of
from tests.factories import make_job, make_request
from tests.web import person

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not shutil.which("curl"), reason="no curl on this machine"),
]


def examples() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/api.md").read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture
def site(live_server, tmp_path):
    """Runs a line of shell in a folder with the token's header; returns what it prints and the answer's status."""
    make_roles(apps)  # tests of real transactions empty all tables
    request = make_request(workspace="diabetes", study_actions=[])
    job = make_job(StatusCode.INTERNAL_ERROR, request=request)
    log = storage.job_log(job)
    log.parent.mkdir(parents=True)
    log.write_text("2026-11-26T10:00:00Z a line\n")
    header = tmp_path / "header"
    header.write_text(f"Authorization: Bearer {secret_of(person(OPERATOR), may_change=True)}\n")
    words = {"SITE": live_server.url, "JOB": job.identifier, "REQUEST": request.identifier, "TAG": '"none"'}

    def run(line: str) -> tuple[str, int]:
        place = line.rindex("curl ") + len("curl ")
        line = f"{line[:place]}--noproxy '*' -w '\\n%{{http_code}}' {line[place:]}"
        environment = {"PATH": os.environ["PATH"], **words}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        body, _, status = done.stdout.rpartition("\n")
        return body, int(status)

    return run


@pytest.mark.slow_test
def test_every_example_of_the_documentation_works(site):
    assert len(examples()) >= 20
    for line in examples():
        body, status = site(line)
        assert status == 200, f"{line}\n{body}"
        assert body, line


def test_without_the_header_the_answer_is_a_problem(site):
    body, status = site('curl -sS "$SITE/api/v1/jobs"')
    assert status == 401
    assert '"status": 401' in body


def test_head_and_304_have_no_body(site):
    assert site('curl -sS -o /dev/null -I -H @header "$SITE/api/v1/jobs"')[1] == 200
    headers = "curl --noproxy '*' -sS -D - -o /dev/null -H @header $SITE/api/v1/flags"
    tag = f"$({headers} | sed -n 's/^ETag: //p' | tr -d '\\r')"
    line = f'TAG="{tag}"; test -n "$TAG"; '
    body, status = site(line + 'curl -sS -H @header -H "If-None-Match: $TAG" "$SITE/api/v1/flags"')
    assert (body, status) == ("", 304)
