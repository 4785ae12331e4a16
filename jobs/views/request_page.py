"""One request and its jobs."""

from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from jobs.models import JobRequest
from jobs.people.access import allowed
from jobs.views.live import all_jobs_changed, live_page


@allowed()
@live_page("requests/request.html", "requests/_request.html", lambda request, identifier: all_jobs_changed())
def request_page(request: HttpRequest, identifier: str) -> dict:
    job_request = get_object_or_404(JobRequest, identifier=identifier)
    return {
        "title": f"Request {job_request.identifier}",
        "section": "requests",
        "job_request": job_request,
        "jobs": job_request.jobs.order_by("pk"),
    }
