"""`manage.py watch REQUEST`: how a request gets on, until all of its jobs have ended. Only reads."""

import sys
import time

from django.db.models import Q, QuerySet

from jobs.api.schemas import JobRow
from jobs.console.command import print_json
from jobs.console.silence import warn_of_silence
from jobs.log import escape
from jobs.models import Job, JobRequest
from jobs.progress import Progress
from jobs.results import print_results
from jobs.states import State

LOOK_EVERY_SECONDS = 0.3


def watch(request: JobRequest, *, as_json: bool) -> bool:
    """Whether it was planned and every job of it has succeeded. Ctrl-C ends the watch only."""
    try:
        if request.is_waiting or _jobs_of(request).active().exists():
            warn_of_silence(is_to_be_planned=request.is_waiting)
        _until_planned(request)
        mine = _jobs_of(request)
        with Progress(mine):
            while mine.active().exists():
                time.sleep(LOOK_EVERY_SECONDS)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped watching; the jobs go on.\n")
        raise
    jobs = list(mine.select_related("request").order_by("pk"))
    was_done = request.outcome in (JobRequest.Outcome.PLANNED, JobRequest.Outcome.NOTHING_TO_DO) or bool(jobs)
    succeeded = was_done and all(job.state == State.SUCCEEDED for job in jobs)
    if as_json:
        told = [JobRow.from_orm(job).model_dump() for job in jobs]
        head = {"request": request.identifier, "outcome": request.outcome, "message": request.outcome_message}
        print_json({**head, "succeeded": succeeded, "jobs": told})
    elif jobs:
        print_results(jobs)
    else:
        sys.stdout.write(escape(f"{request.get_outcome_display().capitalize()}. {request.outcome_message}") + "\n")
    return succeeded


def _until_planned(request: JobRequest) -> None:
    said = None
    while request.is_waiting:
        if said != request.outcome_message:
            said = request.outcome_message
            sys.stderr.write(escape(f"waits to be planned by `manage.py sync`. {said}".rstrip()) + "\n")
        time.sleep(LOOK_EVERY_SECONDS)
        request.refresh_from_db(fields=("outcome", "outcome_message", "joined_jobs"))


def _jobs_of(request: JobRequest) -> QuerySet:
    """Its own, and those of other requests that it has joined."""
    return Job.objects.filter(Q(request=request) | Q(identifier__in=request.joined_jobs))
