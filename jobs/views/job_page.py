"""One job."""

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache

from jobs.models import Job
from jobs.people.access import allowed
from jobs.views.job_log import log_context
from jobs.views.live import live_page


def _changed(request: HttpRequest, identifier: str) -> tuple:
    return tuple(Job.objects.filter(identifier=identifier).values_list("updated_at", "attempt"))


@never_cache
@allowed()
@live_page("jobs/job.html", "jobs/_job.html", _changed)
def job(request: HttpRequest, identifier: str) -> dict:
    job = get_object_or_404(Job.objects.select_related("request"), identifier=identifier)
    context = {"title": f"{job.action} · {job.workspace}", "section": "jobs", "job": job}
    # The log asks for its own news (static/js/log.js): a poll of the page neither reads it nor notes that somebody did.
    return context if request.htmx else context | log_context(request, job)
