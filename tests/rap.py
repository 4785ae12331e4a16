"""What tests of the RAP API need: a caller that holds every answer against the document, and somebody who plans."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator

from django.db import connection
from django.http import HttpResponse
from django.test import Client
from jsonschema import Draft202012Validator

from jobs.deciding import Decision
from jobs.errors import JobError, Stopped
from jobs.models import JobRequest
from jobs.planning import submit
from jobs.project import load_project
from jobs.rap.openapi import document

BASE = "/controller/v1"
TOKEN, OTHER_TOKEN = "a-token-for-tests", "another-token-for-tests"
RAP_ID = "abcdefgh12345678"
COMMIT = "951d8981b53022e58a7f6eb7cd95b1127b12b718"
# The study of the recorded exchanges.
STUDY = load_project("""
version: '4.0'
actions:
  generate_dataset:
    run: ehrql:v1 generate-dataset analysis/dataset_definition.py --output outputs/dataset.csv.gz
    outputs: {highly_sensitive: {dataset: outputs/dataset.csv.gz}}
  analyse:
    run: python:v2 python analysis/analyse.py
    needs: [generate_dataset]
    outputs: {moderately_sensitive: {table: outputs/table.csv}}
""")


def create_body(**changes) -> dict:
    """A body of rap/create as a job-server of today sends it; a change to `...` leaves the key out."""
    body = {
        "rap_id": RAP_ID,
        "backend": "test",
        "workspace": "study",
        "repo_url": "https://github.com/opensafely/example-study",
        "branch": "main",
        "commit": COMMIT,
        "database_name": "default",
        "requested_actions": ["generate_dataset"],
        "codelists_ok": True,
        "force_run_dependencies": False,
        "created_by": "alice",
        "project": "example-project",
        "orgs": ["example-org"],
        "analysis_scope": {},
    }
    return {key: value for key, value in (body | changes).items() if value is not ...}


class Caller:
    """A job-server's side of the RAP API. Fails the test if an answer is not one that the document describes."""

    def __init__(self, token: str | None = TOKEN):
        self.client = Client(enforce_csrf_checks=True)
        self.headers = {} if token is None else {"Authorization": token}

    def get(self, address: str, **options) -> HttpResponse:
        return self.send("GET", address, **options)

    def post(self, address: str, body: object, **options) -> HttpResponse:
        return self.send("POST", address, json.dumps(body).encode(), **options)

    def create(self, **changes) -> HttpResponse:
        return self.post("/rap/create/", create_body(**changes))

    def cancel(self, *actions: str, rap_id: str = RAP_ID) -> HttpResponse:
        return self.post("/rap/cancel/", {"rap_id": rap_id, "actions": list(actions)})

    def status(self, *rap_ids: str) -> HttpResponse:
        return self.post("/rap/status/", {"rap_ids": list(rap_ids)})

    def send(self, method: str, address: str, body: bytes = b"", **options) -> HttpResponse:
        """Any call; `address` is below the base."""
        headers = self.headers | options.pop("headers", {})
        answer = self.client.generic(
            method, BASE + address, body, content_type="application/json", headers=headers, **options
        )
        check(address, answer)
        return answer


def check(address: str, answer: HttpResponse) -> None:
    """AssertionError unless the document describes such an answer of this address."""
    path = address if address in document()["paths"] else f"{address}/"
    (operation,) = document()["paths"][path].values()
    responses = operation["responses"]
    assert str(answer.status_code) in responses, f"{address} gave {answer.status_code}, which the document lacks"
    found = responses[str(answer.status_code)]
    if "$ref" in found:
        found = document()["components"]["responses"][found["$ref"].rpartition("/")[2]]
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    contents = found.get("content", {})
    is_switched_off = answer.status_code == 404 and kind == "text/html"
    if contents and not is_switched_off:
        assert kind in contents, f"{address} gave {answer.status_code} as {kind}, which the document lacks"
        if kind == "application/json":
            Draft202012Validator({**document(), **contents[kind]["schema"]}).validate(answer.json())
    assert set(found.get("headers", {})) <= set(answer.headers)
    assert not answer.cookies


def plan(request: JobRequest) -> None:
    """What the process of `manage.py sync` does with a waiting request, but without git."""
    try:
        submission = submit(request, STUDY, by="job-server")
    except JobError as error:
        request.conclude(JobRequest.Outcome.REFUSED, str(error), error_name=type(error).__name__)
    except Stopped:
        return
    else:
        if submission.plan.to_run:
            return
        joined = [each.job for each in submission.plan.actions.values() if each.decision is Decision.JOIN]
        outcome = JobRequest.Outcome.ALREADY_SCHEDULED if joined else JobRequest.Outcome.NOTHING_TO_DO
        request.conclude(outcome, submission.plan.nothing_to_do, joined_jobs=[job.identifier for job in joined])


@contextlib.contextmanager
def planning(play: Callable[[JobRequest], None] = plan) -> Iterator[None]:
    """While the block runs, another thread plans what waits. Needs a database that threads share (transaction=True)."""
    over = threading.Event()

    def work() -> None:
        try:
            while not over.wait(0.005):
                for request in JobRequest.objects.waiting():
                    play(request)
        finally:
            connection.close()

    thread = threading.Thread(target=work, name="planning")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(20)


def at_once(*calls: Callable[[], HttpResponse]) -> list[HttpResponse]:
    """The answers to calls that are made at the same time, each by a thread of its own, in the order of the calls."""
    answers: list[HttpResponse | None] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def work(number: int) -> None:
        try:
            start.wait(10)
            answers[number] = calls[number]()
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return answers
