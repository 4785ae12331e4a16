"""The workspaces, and what happened in one of them: its last requests, its outputs, the room they take."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse

from jobs.models import JobRequest, StorageCheck
from jobs.models.request_history import MOST_WORKSPACES, active_by_workspace, disk_used, newest_requests
from jobs.models.request_history import workspaces as all_workspaces
from jobs.people.access import allowed
from jobs.views.live import IDLE_SECONDS, all_jobs_changed, live_page
from jobs.views.named import no_such
from jobs.views.workspace_parts import MOST_OUTPUTS, MOST_REQUESTS, matrix_of, outputs_of


@dataclass(frozen=True)
class Row:
    name: str
    newest: JobRequest
    active: int


def _changed(request: HttpRequest, *arguments: str, **named: str) -> tuple:
    newest = JobRequest.objects.order_by("-pk").values_list("pk", "outcome", "outcome_at")[:MOST_REQUESTS]
    checked = StorageCheck.objects.filter(pk=named.get("name", "")).values_list("at", "is_sound").first()
    return (*all_jobs_changed(), tuple(newest), checked)


@allowed()
@live_page("workspaces/list.html", "workspaces/_list.html", _changed)
def workspaces(request: HttpRequest) -> dict:
    found = all_workspaces()
    pks = [pk for _, pk in found[:MOST_WORKSPACES]]
    newest = JobRequest.objects.only("identifier", "workspace", "created_at", "created_by", "outcome", "repo_url")
    active = active_by_workspace()
    rows = [Row(each.workspace, each, active.get(each.workspace, 0)) for each in newest.filter(pk__in=pks)]
    rows.sort(key=lambda row: row.newest.pk, reverse=True)
    return {
        "title": "Workspaces",
        "section": "workspaces",
        "rows": rows,
        "most": MOST_WORKSPACES if len(found) > MOST_WORKSPACES else 0,
        "live_seconds": IDLE_SECONDS,
    }


@allowed()
@live_page("workspaces/workspace.html", "workspaces/_workspace.html", _changed)
def workspace(request: HttpRequest, name: str) -> dict:
    requests = newest_requests(name, MOST_REQUESTS)
    if not requests:
        raise no_such("workspace", name)
    return {
        "title": f"Workspace {name}",
        "section": "workspaces",
        "name": name,
        "newest": requests[0],
        "requests": requests,
        "matrix": matrix_of(requests),
        "outputs": outputs_of(name, requests),
        "most_outputs": MOST_OUTPUTS,
        "disk": disk_used(name),
        "check": StorageCheck.objects.filter(pk=name).first(),
        "badge": f"![{name}]({request.build_absolute_uri(reverse('badge', args=[name]))})",
        "live_seconds": IDLE_SECONDS,
    }
