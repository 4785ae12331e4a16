"""Who pastes an address with a password in it has not meant to show it to everybody who may look at a page."""

import pytest

from jobs.people.roles import ADMINISTRATOR
from jobs.states import StatusCode
from tests.factories import make_job, make_request
from tests.web import client_of

pytestmark = pytest.mark.django_db
ADDRESS = "https://user:s3cretw0rd@github.com/opensafely/study"


@pytest.fixture
def job():
    request = make_request(repo_url=ADDRESS, original={"repo_url": ADDRESS})
    make_job(StatusCode.SUCCEEDED, request=request, code_repo_url=ADDRESS, code_commit="d" * 40)
    return make_job(StatusCode.NONZERO_EXIT, request=request, code_repo_url=ADDRESS, code_commit="d" * 40)


@pytest.mark.parametrize(
    "address",
    [
        *("/jobs/", "/requests/", "/w/", "/w/study/", "/system/", "/audit/", "/search/?q=study", "/cc.xml", "/metrics"),
        *(f"/r/{{request}}/?tab={tab}" for tab in ("jobs", "timeline", "events", "file", "original")),
        *(f"/j/{{job}}/?tab={tab}" for tab in ("log", "resources", "outputs", "provenance", "changes", "events")),
        *("/j/{job}/provenance.json", "/jobs/cancel/?job={job}", "/jobs/retry/?job={job}", "/feeds/failures.atom"),
        *("/api/v1/jobs", "/api/v1/jobs/{job}", "/api/v1/requests", "/api/v1/requests/{request}"),
        *("/admin/jobs/job/{job_pk}/change/", "/admin/jobs/jobrequest/{request_pk}/change/"),
        *("/admin/jobs/job/", "/admin/jobs/jobrequest/"),
    ],
)
def test_no_page_shows_what_stands_before_the_host(job, address):
    places = {"request": job.request.identifier, "job": job.identifier, "job_pk": job.pk, "request_pk": job.request_id}
    answer = client_of(ADMINISTRATOR).get(address.format(**places), follow=True)
    assert answer.status_code == 200
    shown = b"".join(answer.streaming_content) if answer.streaming else answer.content
    assert b"s3cretw0rd" not in shown
