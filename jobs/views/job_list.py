"""The front page: every job, the newest first."""

from django.http import HttpRequest

from jobs.models import Job
from jobs.people.access import allowed
from jobs.views.live import all_jobs_changed, live_page

PAGE_SIZE = 50


@allowed()
@live_page("jobs/list.html", "jobs/_list.html", lambda request: all_jobs_changed())
def jobs(request: HttpRequest) -> dict:
    newest = Job.objects.select_related("request").order_by("-pk")[:PAGE_SIZE]
    return {"title": "Jobs", "section": "jobs", "jobs": newest}
