"""One job: how it stands and why, and behind tabs its log, resources, outputs, provenance, changes and events.

The tab is in the address, so it can be sent to a colleague and works without scripts. Nothing may stay in caches: names
of outputs can hold what must not leave.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobs.changes import changes
from jobs.durations import typical_seconds
from jobs.events import events
from jobs.exit_codes import meaning
from jobs.job_facts import commit_url, compare_url, facts_of
from jobs.log import escape
from jobs.logs.error_lines import is_error
from jobs.models import AuditEntry, Delivery, Job
from jobs.models.line import failed_needs, neighbours, success_before
from jobs.people.access import allowed
from jobs.stages import next_step
from jobs.states import State, StatusCode
from jobs.views.frame import Frame
from jobs.views.job_log import log_context
from jobs.views.job_outputs import outputs_context
from jobs.views.job_resources import resources_context
from jobs.views.live import BUSY_SECONDS, all_jobs_changed, live_page
from jobs.views.named import one_called
from jobs.waiting_for import about, why

MOST_NEEDS = 20
TABS = ("log", "resources", "outputs", "provenance", "changes", "events")
_SIGNS = {"pending": "◷", "running": "▶", "succeeded": "✓", "failed": "✗"}


@dataclass(frozen=True)
class Buttons:
    cancel: bool
    kill: bool
    retry: bool

    @classmethod
    def of(cls, request: HttpRequest, job: Job) -> "Buttons":
        may_stop = job.is_active and request.user.has_perm("jobs.cancel_job")
        may_retry = job.is_finished and request.user.has_perm("jobs.retry_job") and not job.retry_requested_at
        return cls(
            may_stop and not job.is_stop_requested,
            may_stop and job.stop_request != Job.StopRequest.KILL,
            may_retry,
        )


def _changed(request: HttpRequest, identifier: str) -> tuple:
    """All that the polled part shows: of a waiting job that is how every other job stands."""
    row = Job.objects.filter(identifier=identifier).values_list("updated_at", "attempt", "state", "request_id").first()
    if row is None:
        return ()
    parts = (*row, AuditEntry.objects.about("job", identifier).order_by("-pk").values_list("pk", flat=True).first())
    delivery = Delivery.objects.filter(pk=row[3]).values_list("acknowledged_at", "failures", "settled").first()
    return (*parts, delivery, *(_waiting_changed(request) if row[2] == "pending" else ()))


def _waiting_changed(request: HttpRequest) -> tuple:
    frame = Frame.of(request)
    run = frame.signs.run
    slots = [(slots.pool, slots.used, slots.limit) for slots in run.slots]
    full = [disk.name for disk in run.disks if disk.is_full]
    return (*all_jobs_changed(), sorted(flag.pk for flag in frame.flags.values()), run.is_fresh, slots, full)


@never_cache
@allowed()
@live_page("jobs/job.html", "jobs/_job.html", _changed)
def job(request: HttpRequest, identifier: str) -> dict:
    job = one_called(Job.objects.select_related("request"), identifier, "job")
    attempt = _attempt(request, job)
    tab = request.GET.get("tab") if request.GET.get("tab") in TABS else "log"
    before, after = neighbours(job)
    is_moving = job.is_active or job.retry_requested_at
    context = {
        "title": f"{_SIGNS[job.state]} {escape(job.action)} · {job.workspace}", "section": "jobs", "job": job,
        "attempt": attempt, "attempts": range(1, job.attempt + 1), "tab": tab, "tabs": TABS, "previous_job": before,
        "next_job": after, "can": Buttons.of(request, job), "live_seconds": BUSY_SECONDS if is_moving else 0,
    }  # fmt: skip
    return context | _standing(request, job) | _behind_tab(request, job, tab, attempt)


def _standing(request: HttpRequest, job: Job) -> dict:
    """Why it waits, how it goes on, or what became of it."""
    typical = typical_seconds([job]).get(job.pk)
    context = {"typical": timedelta(seconds=typical) if typical is not None else None}
    if job.is_finished:
        return context | _ended(job)
    if job.has_begun:
        return context | {"next_step": next_step(job.status_code), "share": _share(job, typical)}
    frame = Frame.of(request)
    reasons = why(job, frame.flags, frame.signs)
    guess = reasons.estimate
    starts = about(guess.wait) if guess and guess.wait is not None else ""
    return context | {"why": reasons, "starts": starts}


def _ended(job: Job) -> dict:
    """How it ended. What it was to be compared with, and what had failed before it, are asked for only where told."""
    is_behind = job.status_code == StatusCode.DEPENDENCY_FAILED
    return {
        "lasted": job.completed_at - job.started_at if job.started_at else None,
        "exit_meaning": meaning(job.exit_code, out_of_memory=job.out_of_memory),
        "failed_needs": failed_needs(job, MOST_NEEDS) if is_behind else [],
        "has_succeeded_before": job.state == State.FAILED and success_before(job) is not None,
    }


def _share(job: Job, typical: float | None) -> int | None:
    """Percent of the typical duration that has passed, in steps."""
    if not typical or not job.started_at:
        return None
    return min(100, round(20 * (timezone.now() - job.started_at).total_seconds() / typical) * 5)


def _behind_tab(request: HttpRequest, job: Job, tab: str, attempt: int) -> dict:
    if tab == "log":
        return {} if request.htmx else _log(request, job)
    if tab == "resources":
        return {} if request.htmx else resources_context(job, attempt)
    if tab == "outputs":
        return outputs_context(request, job)
    if tab == "events":
        delivery = Delivery.objects.filter(pk=job.request_id).first()
        may_see = request.user.has_perm("jobs.view_auditentry")
        return {"events": events(job, with_audit=may_see), "delivery": delivery}
    repo = job.request.repo_url
    if tab == "changes":
        found = changes(job)
        commit = found.earlier.request.commit if found.earlier else ""
        return {"changes": found, "compare_url": compare_url(repo, commit, job.request.commit)}
    code_url = commit_url(job.code_repo_url, job.code_commit)
    return {"facts": facts_of(job), "commit_url": commit_url(repo, job.request.commit), "code_url": code_url}


def _log(request: HttpRequest, job: Job) -> dict:
    """The log, and of a failed job the first line in sight that looks like an error."""
    context = log_context(request, job)
    piece = context["log"].piece
    if piece and job.is_finished:
        found = (line.number for line in piece.lines if line.number and is_error(line.marked))
        context["error_line"] = next(found, None)
    return context


def _attempt(request: HttpRequest, job: Job) -> int:
    text = request.GET.get("attempt", str(job.attempt))
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= job.attempt):
        raise Http404("The job has no such attempt.")
    return int(text)


@require_safe
@never_cache
@allowed()
def job_facts(request: HttpRequest, identifier: str) -> HttpResponse:
    """The provenance as a file."""
    job = one_called(Job.objects.select_related("request"), identifier, "job")
    response = JsonResponse(facts_of(job), json_dumps_params={"indent": 2})
    response["Content-Disposition"] = f'attachment; filename="{job.identifier}-provenance.json"'
    return response
