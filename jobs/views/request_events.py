"""What happened to a request and its jobs, by whom: from several tables, the newest first, bounded."""

from dataclasses import dataclass
from datetime import datetime

from jobs.models import AuditEntry, Delivery, Job, JobRequest, StatusChange

MOST_EVENTS = 200


@dataclass(frozen=True)
class Event:
    at: datetime
    what: str
    by: str = ""
    why: str = ""
    job: Job | None = None


def events_of(request: JobRequest, *, with_audit: bool) -> list[Event]:
    """Five queries, of which one is only for who may see the audit."""
    # The newest changes are those of the jobs that were touched last.
    jobs = list(request.jobs.order_by("-updated_at", "-pk").only("identifier", "action", "request")[:MOST_EVENTS])
    events = [*_of_request(request), *_of_jobs(jobs), *_of_delivery(request)]
    if with_audit:
        events += _of_audit(request, {job.identifier: job for job in jobs})
    return sorted(events, key=lambda event: event.at, reverse=True)[:MOST_EVENTS]


def _of_request(request: JobRequest) -> list[Event]:
    by = request.created_by
    found = [Event(request.created_at, "asked for", by)]
    if request.source == JobRequest.Source.POLLING:
        found.append(Event(request.received_at, "received from the job-server", "sync"))
    if request.outcome_at:
        found.append(Event(request.outcome_at, request.get_outcome_display(), "sync", request.outcome_message))
    return found


def _of_jobs(jobs: list[Job]) -> list[Event]:
    by_pk = {job.pk: job for job in jobs}
    rows = StatusChange.objects.filter(job__in=list(by_pk)).order_by("-at", "-pk")[:MOST_EVENTS]
    return [
        Event(row.at, row.to_code.replace("_", " "), row.actor, row.message, by_pk[row.job_id]) for row in rows
    ]  # fmt: skip


def _of_delivery(request: JobRequest) -> list[Event]:
    row = Delivery.objects.filter(pk=request.pk).first()
    found = []
    if row and row.acknowledged_at:
        what = "the job-server knows all there is to tell" if row.is_told else "the job-server was told"
        found.append(Event(row.acknowledged_at, what, "sync"))
    if row and row.failing_since:
        found.append(Event(row.failing_since, "the job-server cannot be told", "sync", row.failure))
    return found


def _of_audit(request: JobRequest, jobs: dict[str, Job]) -> list[Event]:
    of_request = AuditEntry.objects.about("request", request.identifier)
    of_jobs = AuditEntry.objects.filter(object_kind="job", object_id__in=list(jobs))
    rows = [*of_request.order_by("-pk")[:MOST_EVENTS], *of_jobs.order_by("-pk")[:MOST_EVENTS]]
    return [Event(row.at, row.verb, row.actor, row.reason, jobs.get(row.object_id)) for row in rows]
