"""Feeds for readers: what failed, and what ended in a workspace. Every text in them was written by a study's author."""

import re
from datetime import UTC, datetime

from django.conf import settings
from django.contrib.syndication.views import Feed
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed

from jobs.log import escape
from jobs.models import Job, JobRequest
from jobs.models.latest import ended_last, failed_last, jobs_of_newest_requests
from jobs.people.callers import for_programs

MOST_ENTRIES = 50
NEWEST_REQUESTS, MOST_JOBS = 20, 5000
# XML knows no way to write these at all.
_NO_XML = re.compile("[\ufffe\uffff]")


def xml_text(text: str) -> str:
    """Controls and marks of direction as their escapes: XML could not hold the first, the second lie about the rest."""
    return _NO_XML.sub("\ufffd", escape(text))


class _SteadyAtom(Atom1Feed):
    def latest_post_date(self) -> datetime:
        """Of an empty feed not this moment, which would be another answer at each."""
        return super().latest_post_date() if self.items else datetime(1970, 1, 1, tzinfo=UTC)


class _JobFeed(Feed):
    feed_type = _SteadyAtom

    def item_title(self, job: Job) -> str:
        return xml_text(f"{job.workspace}: {job.action} {job.status_code.replace('_', ' ')}")

    def item_description(self, job: Job) -> str:
        return xml_text(job.status_message)

    def item_link(self, job: Job) -> str:
        return reverse("job", args=[job.identifier])

    def item_guid(self, job: Job) -> str:
        return f"tag:{settings.BACKEND},2026:job/{job.identifier}/{job.completed_at:%Y%m%d%H%M%S%f}"

    def item_pubdate(self, job: Job) -> datetime:
        return job.completed_at

    def item_updateddate(self, job: Job) -> datetime:
        return job.completed_at


class Failures(_JobFeed):
    """What failed by itself, wherever; what was cancelled, or never ran because another failed, is no news."""

    def title(self) -> str:
        return f"Failed jobs on {settings.BACKEND}"

    def link(self) -> str:
        return reverse("jobs")

    def items(self) -> list[Job]:
        return failed_last(MOST_ENTRIES)


class OfWorkspace(_JobFeed):
    """What ended in a workspace, of its newest requests."""

    def get_object(self, request: HttpRequest, name: str) -> str:
        if not JobRequest.objects.filter(workspace=name).exists():
            raise Http404("No request has named this workspace.")
        return name

    def title(self, name: str) -> str:
        return xml_text(f"Workspace {name} on {settings.BACKEND}")

    def link(self, name: str) -> str:
        return reverse("workspace", args=[name])

    def items(self, name: str) -> list[Job]:
        return ended_last(jobs_of_newest_requests(NEWEST_REQUESTS, name).order_by("-pk")[:MOST_JOBS], MOST_ENTRIES)


@for_programs()
def failures(request: HttpRequest) -> HttpResponse:
    return _steady(Failures()(request))


@for_programs()
def of_workspace(request: HttpRequest, name: str) -> HttpResponse:
    return _steady(OfWorkspace()(request, name=name))


def _steady(response: HttpResponse) -> HttpResponse:
    """The framework dates the answer by its newest entry; our ETag says it better."""
    del response["Last-Modified"]
    return response
