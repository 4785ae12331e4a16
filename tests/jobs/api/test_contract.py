"""Every answer is what the OpenAPI document says, and every operation says what it needs."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from jsonschema import Draft202012Validator

from jobs.api.site import document
from jobs.models import Flag, StatusChange
from jobs.people.failed_tokens import failed_tokens
from jobs.people.roles import OPERATOR
from jobs.states import StatusCode
from jobs.wire import moment
from tests.api_calls import API, post, program
from tests.factories import make_flag, make_job, make_output, make_request

pytestmark = pytest.mark.django_db


def operations():
    return [
        (method, path, operation)
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    ]


def check(response, path: str) -> None:
    """The status is one that is told of, and the body keeps to its schema."""
    method = response.request["REQUEST_METHOD"].lower()
    answer = document()["paths"][f"{API}{path}"][method]["responses"][response.status_code]
    media_type = response["Content-Type"].partition(";")[0]
    assert list(answer["content"]) == [media_type]
    if media_type.endswith("json"):
        schema = answer["content"][media_type]["schema"] | {"components": document()["components"]}
        Draft202012Validator(schema).validate(response.json())


@pytest.fixture
def caller():
    failed_tokens.clear()
    return program(OPERATOR, may_change=True)


@pytest.fixture
def job():
    request = make_request(workspace="study", cancelled_actions=["other"], outcome_at=timezone.now())
    awaited = make_job(StatusCode.SUCCEEDED, request=request)
    job = make_job(StatusCode.NONZERO_EXIT, request=request, waits_for=[awaited], exit_code=137, status_detail="more")
    StatusChange.objects.create(job=job, to_code="created", actor="planner", at=timezone.now())
    make_output(job, excluded=True, rule="columns", message="patient_id", row_count=3)
    make_flag(Flag.Name.PAUSED)
    return job


def test_reading_answers_what_the_document_says(caller, job):
    for template, path in {
        "/jobs": "/jobs",
        "/jobs/{identifier}": f"/jobs/{job.identifier}",
        "/jobs/{identifier}/changes": f"/jobs/{job.identifier}/changes",
        "/jobs/{identifier}/outputs": f"/jobs/{job.identifier}/outputs",
        "/reboot": "/reboot",
        "/requests": "/requests",
        "/requests/{identifier}": f"/requests/{job.request.identifier}",
        "/workspaces": "/workspaces",
        "/workspaces/{name}/outputs": "/workspaces/study/outputs",
        "/whoami": "/whoami",
        "/system": "/system",
        "/flags": "/flags",
        "/flags/{name}/history": "/flags/paused/history",
    }.items():
        response = caller.get(f"{API}{path}")
        assert response.status_code == 200, path
        check(response, template)


@pytest.mark.parametrize("verb", ["cancel", "kill", "retry", "rerun"])
def test_wishes_answer_what_the_document_says(caller, job, verb):
    wish = {"identifiers": [job.identifier, "unknown"], "reason": "a test"}
    response = post(caller, f"/jobs/{verb}", wish)
    assert response.status_code == 200
    check(response, f"/jobs/{verb}")
    assert [each["was_done"] for each in response.json()["results"]].count(True) == (verb == "rerun")


def test_switching_answers_what_the_document_says(caller):
    now = timezone.now().replace(microsecond=0)
    later, latest = (moment(now + timedelta(hours=hours)) for hours in (1, 2))
    for name, times in (("paused", {"until": later}), ("reboot", {"due_at": later, "until": latest})):
        response = post(caller, f"/flags/{name}", {"on": True, "reason": "a test"} | times)
        assert response.status_code == 200
        check(response, "/flags/{name}")
        told = {"due_at": response.json()["due_at"], "until": response.json()["expires_at"]}
        assert {word: moment(parse_datetime(told[word])) for word in times} == times
    check(post(caller, "/flags/paused", {"on": "yes"}), "/flags/{name}")


def test_refusals_answer_what_the_document_says(client, caller, job):
    check(client.get(f"{API}/jobs"), "/jobs")
    check(program().get(f"{API}/jobs"), "/jobs")
    check(caller.get(f"{API}/jobs?limit=0"), "/jobs")
    check(caller.get(f"{API}/jobs/nosuchjob"), "/jobs/{identifier}")
    check(caller.get(f"{API}/jobs/{job.identifier}/log"), "/jobs/{identifier}/log")
    check(caller.get(f"{API}/requests/none"), "/requests/{identifier}")
    check(caller.get(f"{API}/workspaces/none/outputs"), "/workspaces/{name}/outputs")
    check(caller.post(f"{API}/jobs/cancel", "{", content_type="application/json"), "/jobs/cancel")
    check(caller.post(f"{API}/jobs/cancel", {"reason": "x"}), "/jobs/cancel")


def test_every_operation_says_what_it_needs_and_what_it_is_for():
    assert len(operations()) >= 18
    for method, path, operation in operations():
        assert operation["summary"], path
        assert "jobs.view_job" in operation["x-permissions"], path
        assert operation["x-changes"] == (method == "post"), path
        assert all(name in operation["description"] for name in operation["x-permissions"]), path
        assert {name for each in operation["security"] for name in each} == {"Token", "Session"}, path


def test_every_name_of_an_operation_is_there_once():
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))


def test_every_schema_is_one_and_its_examples_keep_to_it():
    components = document()["components"]
    for schema in components["schemas"].values():
        Draft202012Validator.check_schema(schema)
        for name, inner in schema.get("properties", {}).items():
            for example in inner.get("examples", []):
                Draft202012Validator(inner | {"components": components}).validate(example), name


def test_every_refusal_is_shown_by_an_example_that_keeps_to_its_schema():
    components = document()["components"]
    for _, path, operation in operations():
        for status, answer in operation["responses"].items():
            for content in answer["content"].values() if int(status) >= 400 else ():
                Draft202012Validator(content["schema"] | {"components": components}).validate(content["example"])
                assert content["example"]["status"] == int(status), path


def test_every_parameter_is_described_by_a_schema_of_its_own():
    for _, path, operation in operations():
        for parameter in operation["parameters"]:
            assert "anyOf" not in parameter["schema"], path
            assert not isinstance(parameter.get("examples"), list), path
