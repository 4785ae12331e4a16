"""rap/status and backend/status: what is told of requests, and of the backend (wire contract §2.2, §2.5)."""

import logging
import re
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from jobs.models import Flag, Heartbeat, Job, JobRequest
from jobs.models.flag import is_recent
from jobs.rap.bodies import unstorable
from jobs.rap.openapi import fault
from jobs.wire import RemoteJob, moment, remote_jobs, stored_jobs

log = logging.getLogger(__name__)

_RAP_ID = re.compile(r"[a-z0-9]{16}")
_AT_ONCE = 500
# Those that `remote_jobs` needs of a mirror are among them.
_COLUMNS = ("identifier", "backend", "source", "outcome", "outcome_at", "received_at", "joined_jobs")
# The two processes that make up the agent of a backend.
_AGENT = ("run", "sync")


def jobs_of(rap_ids: Iterable[str], backends: Collection[str]) -> tuple[list[RemoteJob], list[str]]:
    """All jobs of the requests, and the identifiers that have none here; each in the order of the question.

    One that still waits to be planned is in neither list: an unrecognised one would be failed by a job-server that
    does not know what became of its call of rap/create. A polled one that other requests' jobs do has those under
    identifiers of its own, as polling tells them.
    """
    asked = list(dict.fromkeys(rap_ids))
    requests = {request.identifier: request for request in _requests(asked, backends)}
    told = stored_jobs(request.pk for request in requests.values())
    if mirrors := [request for request in requests.values() if _is_mirror(request)]:
        told |= remote_jobs(mirrors)
    jobs: list[RemoteJob] = []
    unrecognised = []
    for rap_id in asked:
        request = requests.get(rap_id)
        if request is None or not (told[request.pk] or request.is_waiting or _is_mirror(request)):
            unrecognised.append(rap_id)
            continue
        of_request = [job | {"rap_id": rap_id, "backend": request.backend} for job in told[request.pk]]
        jobs += [job for job in of_request if _may_be_sent(job)]
    return jobs, unrecognised


def actions_of(request: JobRequest) -> set[str]:
    """The actions of which `jobs_of` tells a job."""
    jobs = Job.objects.filter(identifier__in=request.joined_jobs) if _is_mirror(request) else request.jobs
    return set(jobs.values_list("action", flat=True))


def backends(slugs: Collection[str]) -> list[dict]:
    """How each of this site's backends is. Two queries."""
    flags = Flag.objects.current()
    last_seen = moment(_agent_last_heard())
    paused, maintenance = flags.get(Flag.Name.PAUSED), flags.get(Flag.Name.DB_MAINTENANCE)
    return [
        {
            "slug": slug,
            "last_seen": last_seen,
            "paused": _switch(paused),
            "db_maintenance": _switch(maintenance) | {"type": _kind(maintenance)},
        }
        for slug in sorted(slugs)
    ]


def _requests(rap_ids: list[str], backends: Collection[str]) -> Iterable[JobRequest]:
    possible = [rap_id for rap_id in rap_ids if _RAP_ID.fullmatch(rap_id)]
    for start in range(0, len(possible), _AT_ONCE):
        chunk = possible[start : start + _AT_ONCE]
        found = JobRequest.objects.filter(identifier__in=chunk, backend__in=backends)
        yield from found.only(*_COLUMNS)


def _is_mirror(request: JobRequest) -> bool:
    """Whether jobs of others stand for it. Not if it was sent by rap/create, whose answer said that it has no jobs."""
    is_polled = request.source == JobRequest.Source.POLLING
    return is_polled and request.outcome == JobRequest.Outcome.ALREADY_SCHEDULED and bool(request.joined_jobs)


def _may_be_sent(job: RemoteJob) -> bool:
    """A job-server stops at the first job that it cannot store, and everybody's behind it are not updated: one that is
    left out is only not updated itself, and not deleted either."""
    if what := unstorable(job) or fault("Job", job):
        log.error("job %s is left out of rap/status, as no job-server could store it: %s", job["identifier"], what)
    return not what


def _agent_last_heard() -> datetime | None:
    """The older of the two signs of life: without either of them nothing goes on.

    None if one was never heard, or only at a time that lies ahead (the clock was set back since, and it is silent).
    """
    heard = dict(Heartbeat.objects.filter(name__in=_AGENT).values_list("name", "at"))
    is_known = len(heard) == len(_AGENT) and all(is_recent(at, timedelta.max) for at in heard.values())
    return min(heard.values()) if is_known else None


def _switch(flag: Flag | None) -> dict:
    is_on = flag is not None and bool(flag.value)
    return {"status": "on" if is_on else "off", "since": moment(flag.set_at) if is_on else None}


def _kind(maintenance: Flag | None) -> str | None:
    if maintenance is None or not maintenance.value:
        return None
    return maintenance.value if maintenance.value == "scheduled" else "manual"
