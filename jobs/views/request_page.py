"""One request and its jobs: how it stands, what went wrong, the picture, when what ran, what it was planned from."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from jobs import asking, logs
from jobs.drawing import boxes_of
from jobs.models import Job, JobRequest
from jobs.models.request_history import first_failure
from jobs.people.access import allowed, who
from jobs.people.log_views import note_view
from jobs.reasons import LONGEST_REASON, NoReason
from jobs.views.live import BUSY_SECONDS, live_page
from jobs.views.named import one_called
from jobs.views.request_events import MOST_EVENTS, events_of
from jobs.views.request_file import excerpt_of, file_page, known_faults, original_of
from jobs.views.request_graph import pictures_of, timeline_of
from jobs.views.request_head import Head, changed, left_over

TABS = {
    "jobs": "Overview",
    "timeline": "Timeline",
    "events": "Events",
    "file": "project.yaml",
    "original": "As received",
}
JOBS_PER_PAGE = 200
LOG_LINES = 20


def _tab(request: HttpRequest) -> str:
    tab = request.GET.get("tab", "")
    return tab if tab in TABS else "jobs"


def _changed(request: HttpRequest, identifier: str) -> tuple:
    return changed(identifier, _tab(request))


def _note_reader(request: HttpRequest, identifier: str) -> None:
    """The page quotes the log of the first failure to whoever may read logs."""
    if not request.user.has_perm("jobs.read_log"):
        return
    job_request = JobRequest.objects.filter(identifier=identifier).only("pk").first()
    if job_request and (job := first_failure(job_request)):
        note_view(who(request), job)


@allowed()
@live_page("requests/request.html", "requests/_request.html", _changed, given=_note_reader)
def request_page(request: HttpRequest, identifier: str) -> dict:
    tab = _tab(request)
    wanted = JobRequest.objects.select_related("project_file")
    if tab != "file":
        wanted = wanted.defer("project_file__text")
    wanted = wanted.defer(*([] if tab == "original" else ["original"]))
    job_request = one_called(wanted, identifier, "request")
    head = Head.of(job_request, request.user)
    context = {"job_request": job_request, "head": head, "tab": tab, "tabs": TABS, "section": "requests"}
    context |= _CONTEXT_OF[tab](request, job_request, head) | _attention(request, job_request, head)
    title = f"{head.sign} {job_request.workspace}"
    return context | {"title": title, "live_seconds": BUSY_SECONDS if head.is_open else 0}


def _attention(request: HttpRequest, job_request: JobRequest, head: Head) -> dict:
    """The first failure, with the end of its log for whoever may read logs."""
    job = first_failure(job_request) if head.failed else None
    may_read = job is not None and request.user.has_perm("jobs.read_log")
    return {"failure": job, "failure_log": logs.tail(job, LOG_LINES) if may_read else []}


def _jobs(request: HttpRequest, job_request: JobRequest, head: Head) -> dict:
    boxes = boxes_of(job_request) if head.can_be_drawn else []
    number = request.GET.get("page", "")
    page = int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 1
    pages = max(1, -(-head.count // JOBS_PER_PAGE))
    page = min(max(1, page), pages)
    start = (page - 1) * JOBS_PER_PAGE
    jobs = list(job_request.jobs.order_by("pk")[start : start + JOBS_PER_PAGE])
    return {
        "pictures": pictures_of(job_request, boxes),
        "left": left_over(head, boxes),
        "jobs": jobs,
        "page": page,
        "pages": pages,
        "fault_list": known_faults(job_request),
        "excerpt": excerpt_of(job_request),
        "joined": Job.objects.filter(identifier__in=job_request.joined_jobs[:JOBS_PER_PAGE]).order_by("pk"),
    }


def _timeline(request: HttpRequest, job_request: JobRequest, head: Head) -> dict:
    boxes = boxes_of(job_request) if head.can_be_drawn else []
    return {"timeline": timeline_of(boxes, timezone.now()), "left": left_over(head, boxes)}


def _events(request: HttpRequest, job_request: JobRequest, head: Head) -> dict:
    may_see = request.user.has_perm("jobs.view_auditentry")
    return {"events": events_of(job_request, with_audit=may_see), "most_events": MOST_EVENTS}


def _file(request: HttpRequest, job_request: JobRequest, head: Head) -> dict:
    faults = known_faults(job_request)
    return {"file": file_page(job_request, request.GET.get("line", "")), "faults": faults}


def _original(request: HttpRequest, job_request: JobRequest, head: Head) -> dict:
    text, is_cut = original_of(job_request)
    return {"original": text, "is_cut": is_cut}


_CONTEXT_OF = {"jobs": _jobs, "timeline": _timeline, "events": _events, "file": _file, "original": _original}


@allowed("jobs.change_jobrequest")
@require_http_methods(["GET", "HEAD", "POST"])
def refuse(request: HttpRequest, identifier: str) -> HttpResponse:
    """Asks why, then refuses a request that waits to be planned."""
    job_request = get_object_or_404(JobRequest.objects.defer("original", "graph"), identifier=identifier)
    words = request.POST if request.method == "POST" else request.GET
    reason, error = words.get("reason", "")[:LONGEST_REASON], ""
    if request.method == "POST" and job_request.is_waiting:
        try:
            asking.refuse_requests([job_request.pk], who(request), reason)
            return redirect(job_request)
        except NoReason as trouble:
            error = str(trouble)
    context = {
        "title": "Refuse a request",
        "section": "requests",
        "job_request": job_request,
        "reason": reason,
        "error": error,
    }
    return render(request, "requests/refuse.html", context, status=400 if error else 200)
