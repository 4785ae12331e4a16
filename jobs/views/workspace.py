"""The workspaces, and what happened in one of them."""

from django.http import Http404, HttpRequest

from jobs.models import JobRequest
from jobs.people.access import allowed
from jobs.views.live import all_jobs_changed, live_page


@allowed()
@live_page("workspaces/list.html", "workspaces/_list.html", lambda request: all_jobs_changed())
def workspaces(request: HttpRequest) -> dict:
    names = JobRequest.objects.order_by("workspace").values_list("workspace", flat=True).distinct()
    return {"title": "Workspaces", "section": "workspaces", "names": names}


@allowed()
@live_page("workspaces/workspace.html", "workspaces/_workspace.html", lambda request, name: all_jobs_changed())
def workspace(request: HttpRequest, name: str) -> dict:
    requests = JobRequest.objects.filter(workspace=name).order_by("-pk")[:20]
    if not requests:
        raise Http404("No request has named this workspace.")
    return {"title": f"Workspace {name}", "section": "workspaces", "name": name, "requests": requests}
