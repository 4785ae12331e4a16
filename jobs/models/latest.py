"""How the actions of a workspace stand, for badges and feeds: the newest run of each, and what ended last.

Apart from the querysets that the runner lives on, because these are for lists that people and programs look at.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Max, QuerySet

from jobs.models.job import Job
from jobs.models.request import JobRequest
from jobs.states import FINAL_STATES, State, StatusCode

# Whoever asked for the end of a job, or for what it needs, knows; a feed of failures is for the others.
_NO_NEWS = (StatusCode.CANCELLED_BY_USER, StatusCode.KILLED_BY_ADMIN, StatusCode.DEPENDENCY_FAILED)
_SHOWN = ("identifier", "workspace", "action", "state", "status_code", "status_message", "created_at", "completed_at")


def latest_ended(workspace: str) -> list[Job]:
    """Of each action that the study had when it was last planned, the newest job that has ended. Two queries."""
    jobs = Job.objects.filter(workspace=workspace, state__in=FINAL_STATES)
    newest = jobs.order_by().values("action").annotate(newest=Max("pk")).values("newest")
    found = list(Job.objects.filter(pk__in=newest).only(*_SHOWN).order_by("action"))
    planned = JobRequest.objects.filter(workspace=workspace).exclude(study_actions=[]).order_by("-pk")
    study = set(planned.values_list("study_actions", flat=True).first() or [job.action for job in found])
    return [job for job in found if job.action in study]


def jobs_of_newest_requests(requests: int, workspace: str = "") -> QuerySet:
    """Jobs of so many of the newest requests, of one workspace or of all: no more, however old the site."""
    wanted = JobRequest.objects.filter(workspace=workspace) if workspace else JobRequest.objects.all()
    newest = list(wanted.order_by("-pk").values_list("pk", flat=True)[:requests])
    return Job.objects.filter(request__in=newest).only(*_SHOWN)


def ended_last(jobs: Iterable[Job], most: int) -> list[Job]:
    ended = [job for job in jobs if job.completed_at]
    return sorted(ended, key=lambda job: (job.completed_at, job.pk), reverse=True)[:most]


def failed_last(most: int) -> list[Job]:
    """The jobs that failed last by themselves. One query, through the index of ends."""
    failed = Job.objects.failed().filter(completed_at__isnull=False).only(*_SHOWN)
    newest = failed.order_by("-completed_at")[: most * 10]
    return [job for job in newest if job.status_code not in _NO_NEWS][:most]


def ended_since(moment: datetime) -> QuerySet:
    """What has ended since then."""
    states = (State.SUCCEEDED, State.FAILED)
    return Job.objects.filter(state__in=states, completed_at__gte=moment)
