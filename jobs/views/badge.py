"""How the actions of a workspace stand, for other pages and monitors: a picture, and the list that CCTray reads."""

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from jobs.models import Job
from jobs.models.latest import jobs_of_newest_requests, latest_ended
from jobs.people.callers import for_programs
from jobs.states import State
from jobs.views.feeds import xml_text
from jobs.wire import moment

NEWEST_REQUESTS = 200
MOST_JOBS, MOST_PROJECTS = 5000, 1000
# Colours of the ground, dark enough for white letters.
_PASSING, _FAILING, _UNKNOWN = "#17693a", "#b3261e", "#5f6b7a"
_LETTER_WIDTH, _PADDING = 7, 6
_LONGEST_LABEL = 40


@dataclass(frozen=True)
class Badge:
    """What the picture shows; widths in pixels, for letters of a common font."""

    label: str
    value: str
    colour: str

    @property
    def label_width(self) -> int:
        return len(self.label) * _LETTER_WIDTH + 2 * _PADDING

    @property
    def value_width(self) -> int:
        return len(self.value) * _LETTER_WIDTH + 2 * _PADDING

    @property
    def width(self) -> int:
        return self.label_width + self.value_width

    @property
    def label_middle(self) -> float:
        return self.label_width / 2

    @property
    def value_middle(self) -> float:
        return self.label_width + self.value_width / 2


@for_programs()
def badge(request: HttpRequest, name: str) -> HttpResponse:
    label = xml_text(name)
    label = label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"
    shown = Badge(label, *_verdict(latest_ended(name)))
    return render(request, "api/badge.svg", {"badge": shown}, content_type="image/svg+xml")


def _verdict(newest: list[Job]) -> tuple[str, str]:
    passing = sum(job.state == State.SUCCEEDED for job in newest)
    if not newest:
        return "no run yet", _UNKNOWN
    if passing == len(newest):
        return f"passing {passing}/{len(newest)}", _PASSING
    return f"failing {len(newest) - passing}/{len(newest)}", _FAILING


@for_programs()
def cctray(request: HttpRequest) -> HttpResponse:
    """A project for each action of the workspaces that were asked for last; ?workspace= for one."""
    workspace = request.GET.get("workspace", "")
    jobs = jobs_of_newest_requests(NEWEST_REQUESTS, workspace).order_by("-pk")[:MOST_JOBS]
    if workspace and not jobs:
        raise Http404("No job of this workspace.")
    projects = [_project(request, each) for each in _by_action(jobs)[:MOST_PROJECTS]]
    return render(request, "api/cc.xml", {"projects": projects}, content_type="application/xml; charset=utf-8")


def _by_action(jobs) -> list[list[Job]]:
    """The jobs of each action, the newest first."""
    found: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        found.setdefault((job.workspace, job.action), []).append(job)
    return [found[key] for key in sorted(found)]


def _project(request: HttpRequest, jobs: list[Job]) -> dict:
    newest, ended = jobs[0], next((job for job in jobs if job.is_finished), None)
    status = "Unknown" if ended is None else "Success" if ended.state == State.SUCCEEDED else "Failure"
    return {
        "name": xml_text(f"{newest.workspace}: {newest.action}"),
        "activity": "Building" if newest.is_active else "Sleeping",
        "status": status,
        "label": ended.identifier if ended else "",
        "time": moment(ended.completed_at) if ended else moment(newest.created_at),
        "url": request.build_absolute_uri(reverse("job", args=[newest.identifier])),
    }
