"""rap/cancel: all named actions or none, again and again, and only a wish: the runner carries it out."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.models import Job, JobRequest
from jobs.states import StatusCode
from tests.factories import make_job, make_request
from tests.rap import OTHER_TOKEN, RAP_ID, Caller

pytestmark = pytest.mark.django_db

MIRROR = "mirror2345678abc"


@pytest.fixture
def jobs() -> dict[str, Job]:
    request = make_request(identifier=RAP_ID, backend="test")
    return {name: make_job(StatusCode.EXECUTING, request=request, action=name) for name in ("extract", "analyse")}


def wishes() -> dict[str, str]:
    return dict(Job.objects.values_list("action", "stop_request"))


def test_the_runner_is_asked_to_end_the_named_actions(caller, jobs):
    answer = caller.cancel("extract")
    assert answer.status_code == 200
    assert answer.json() == {"result": "Success", "details": "1 actions cancelled", "count": 1}
    assert wishes() == {"extract": "cancel", "analyse": ""}
    job = Job.objects.get(action="extract")
    assert (job.stop_requested_by, job.status_code) == ("job-server", StatusCode.EXECUTING)
    assert job.request.cancelled_actions == ["extract"]


def test_an_action_that_is_named_twice_counts_once(caller, jobs):
    assert caller.cancel("extract", "analyse", "extract").json()["count"] == 2


def test_a_repeat_is_answered_as_the_first_call(caller, jobs):
    assert caller.cancel("extract").json() == caller.cancel("extract").json()
    assert Job.objects.get(action="extract").request.cancelled_actions == ["extract"]


@pytest.mark.parametrize("code", [StatusCode.SUCCEEDED, StatusCode.CANCELLED_BY_USER, StatusCode.NONZERO_EXIT])
def test_a_job_that_has_ended_is_a_success_and_stays_as_it_is(caller, code):
    make_job(code, request=make_request(identifier=RAP_ID, backend="test"), action="extract")
    assert caller.cancel("extract").json()["count"] == 1
    assert wishes() == {"extract": ""}
    assert caller.status(RAP_ID).json()["jobs"][0]["status_code"] == code


def test_a_cancelled_job_is_reported_as_it_is_until_it_has_ended(caller, jobs):
    """Other controllers give it a time of completion at once, while it is still pending."""

    def told() -> list[dict]:
        return [job | {"updated_at": ""} for job in caller.status(RAP_ID).json()["jobs"]]

    before = told()
    caller.cancel("extract", "analyse")
    assert told() == before and before[0]["completed_at"] is None


def test_one_unknown_action_and_nothing_is_cancelled(caller, jobs):
    answer = caller.cancel("extract", "nope", "other", "nope")
    assert answer.status_code == 404
    assert answer.json() == {
        "error": "jobs not found",
        "details": "Jobs matching requested cancelled actions could not be found: nope, other",
        "rap_id": RAP_ID,
        "not_found": ["nope", "other"],
    }
    assert wishes() == {"extract": "", "analyse": ""}
    assert Job.objects.get(action="extract").request.cancelled_actions == []


def test_a_request_without_jobs_is_not_found(caller):
    make_request(identifier=RAP_ID, backend="test", outcome="waiting")
    for rap_id in (RAP_ID, "zzzzzzzzzzzzzzzz"):
        answer = caller.cancel("extract", rap_id=rap_id)
        assert answer.status_code == 404
        assert answer.json() == {
            "error": "jobs not found",
            "details": f"No jobs found for rap_id {rap_id}",
            "rap_id": rap_id,
        }


@pytest.fixture
def mirror(jobs) -> JobRequest:
    """A polled request whose actions `jobs` of another request do."""
    joined = [job.identifier for job in jobs.values()]
    return make_request(
        identifier=MIRROR, backend="test", source="polling", outcome="already_scheduled", joined_jobs=joined
    )


def test_an_action_that_another_request_does_is_cancelled_for_this_one_only(caller, mirror):
    """As by polling."""
    answer = caller.cancel("extract", rap_id=MIRROR)
    assert (answer.status_code, answer.json()["count"]) == (200, 1)
    assert wishes() == {"extract": "", "analyse": ""}
    codes = {job["action"]: job["status_code"] for job in caller.status(MIRROR).json()["jobs"]}
    assert codes == {"extract": "cancelled_by_user", "analyse": "executing"}
    assert {job["status_code"] for job in caller.status(RAP_ID).json()["jobs"]} == {"executing"}
    assert caller.cancel("extract", rap_id=MIRROR).status_code == 200


def test_an_action_that_no_other_request_does_either_is_not_found(caller, mirror):
    assert caller.cancel("extract", "nope", rap_id=MIRROR).json()["not_found"] == ["nope"]
    mirror.refresh_from_db()
    assert (mirror.cancelled_actions, mirror.withdrawn_jobs) == ([], [])


@pytest.mark.parametrize(("source", "outcome"), [("rap_api", "already_scheduled"), ("polling", "refused")])
def test_a_request_that_ended_without_jobs_has_none_to_cancel(caller, mirror, source, outcome):
    JobRequest.objects.filter(pk=mirror.pk).update(source=source, outcome=outcome)
    assert caller.cancel("extract", rap_id=MIRROR).status_code == 404


def test_jobs_of_another_backend_are_not_found(jobs):
    assert Caller(OTHER_TOKEN).cancel("extract").status_code == 404
    assert wishes() == {"extract": "", "analyse": ""}


def test_a_cancellation_takes_few_queries(caller, jobs):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        caller.cancel("extract", "analyse")
    assert len(queries) <= 9


@pytest.mark.parametrize("actions", [[], "extract", [""], [1], None])
def test_actions_are_a_list_of_names(caller, jobs, actions):
    answer = caller.post("/rap/cancel/", {"rap_id": RAP_ID, "actions": actions})
    assert answer.status_code == 400 and "$.actions" in answer.json()["details"]
    assert wishes() == {"extract": "", "analyse": ""}
