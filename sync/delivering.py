"""Telling the job-server what became of its requests: each state until it is acknowledged, one request a POST.

A POST always holds all jobs of one request, for a server deletes what is missing (wire contract §1.3), and is built
from the database in the moment it is sent, one after the other for each request, so that an older state never follows a
newer one. What has been acknowledged is in the database; pauses are in memory and may be lost.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.models import Delivery, JobRequest
from jobs.wire import RemoteJob, digest, is_final, remote_jobs
from sync.job_server import JobServer, JobServerError, UnknownRequest, encode
from sync.polling import current_flags

log = logging.getLogger(__name__)

# Servers of 2026 refuse bodies from 2.5 MiB on (§1.3).
MOST_BODY_BYTES = 2_000_000
_SHORTER = (500, 100, 0)
_NO_EXTRAS = {"metrics": {}, "trace_context": None}


@dataclass(frozen=True)
class Delivered:
    """What became of one post, and how long the server took. Nothing was sent if there is nothing to tell yet.

    `is_new`: the trouble is another one than before, and worth a line of the log.
    """

    error: JobServerError | None = None
    digest: str = ""
    seconds: float = 0.0
    identifier: str = ""
    is_new: bool = False
    was_skipped: bool = False


def deliver(server: JobServer, request_pk: int) -> Delivered:
    """Tell all jobs of the request as they stand now, and note whether the server has acknowledged them."""
    request = JobRequest.objects.select_related("delivery").defer("original", "study_actions").get(pk=request_pk)
    # Before the jobs are read: what is revived from here on stays to be told.
    reopened = request.delivery.reopened
    jobs = remote_jobs([request])[request_pk]
    if not jobs:  # a server takes an empty list for a mistake, or fails (§1.3, semantics 4)
        return Delivered()
    told = digest(jobs)
    began = time.monotonic()
    try:
        was_sent_twice = server.post(_to_remote(request, jobs), flags=current_flags())
    except UnknownRequest as error:
        if not Delivery.objects.forget(request_pk, digest=told, is_final=is_final(jobs)):
            return _failed(request, told, error, began)
        log.info("request %s is forgotten: %s", request.identifier, error)
        return Delivered(digest=told)
    except JobServerError as error:
        return _failed(request, told, error, began)
    seconds = time.monotonic() - began
    Delivery.objects.acknowledge(
        request_pk, digest=told, is_final=is_final(jobs), reopened=reopened, is_sure=not was_sent_twice
    )
    log.debug("request %s: the job-server has acknowledged %d job(s)", request.identifier, len(jobs))
    return Delivered(digest=told, seconds=seconds)


def _failed(request: JobRequest, told: str, error: JobServerError, began: float) -> Delivered:
    # What the server says beside it may hold a number or a clock.
    is_new = not request.delivery.settled and not request.delivery.failure.startswith(error.summary.removesuffix("."))
    log.debug("request %s: %s", request.identifier, error)
    Delivery.objects.fail(request.pk, str(error), is_doubtful=error.is_doubtful)
    return Delivered(error, told, time.monotonic() - began, request.identifier, is_new)


def _to_remote(request: JobRequest, jobs: Sequence[RemoteJob]) -> list[RemoteJob]:
    """With the request's identifier, and short enough for today's servers if that is possible at all."""
    told = [{"job_request_id": request.identifier, **job} for job in jobs]
    for most in _SHORTER:
        if len(encode(told)) <= MOST_BODY_BYTES:
            return told
        # Never in two POSTs: the second would delete the jobs of the first.
        texts = ("status_message", "run_command")
        told = [{**job, **_NO_EXTRAS, **{key: job[key][:most] for key in texts}} for job in told]
    return told
