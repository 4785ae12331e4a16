"""Every request, the newest first."""

from django.http import HttpRequest

from jobs.models import JobRequest
from jobs.people.access import allowed
from jobs.views.live import all_jobs_changed, live_page

PAGE_SIZE = 50


@allowed()
@live_page("requests/list.html", "requests/_list.html", lambda request: all_jobs_changed())
def requests(request: HttpRequest) -> dict:
    return {"title": "Requests", "section": "requests", "requests": JobRequest.objects.order_by("-pk")[:PAGE_SIZE]}
