"""A job's log, piece by piece. It may quote patients' rows, so who reads it is noted, once an hour for each job."""

import os
from typing import Annotated

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from jobs import logs
from jobs.api.finding import one_job
from jobs.api.jobs import BIGGEST_KEY, Identifier
from jobs.api.operations import operation
from jobs.api.problems import Trouble
from jobs.logs.reading import NoLog
from jobs.models import AuditEntry, Job
from jobs.people.access import who
from jobs.people.log_views import note_view

router = Router(tags=["jobs"])

MOST_BYTES = 1024 * 1024
MOST_LINES = 10_000


@operation(
    router, "GET", "/jobs/{identifier}/log", None,
    permissions=("jobs.read_log",), refusals=(404, 409), media_type="text/plain",
)  # fmt: skip
def get_log(
    request: HttpRequest,
    identifier: Identifier,
    begin: Annotated[int | None, Query(alias="from", ge=0, le=BIGGEST_KEY, description="the first byte")] = None,
    most: Annotated[int, Query(ge=1, le=MOST_BYTES, description="at most so many bytes")] = MOST_BYTES,
    tail: Annotated[int | None, Query(ge=1, le=MOST_LINES, description="instead of `from`: the last lines")] = None,
    attempt: Annotated[int | None, Query(ge=1, le=10_000, description="an earlier attempt's log")] = None,
) -> HttpResponse:
    """Get a piece of a job's log.

    The bytes as the container wrote them, each line after its time. To follow a running job, ask again `from` the
    answer's `X-Log-Next` while `X-Log-Job-Active` is true. `X-Log-Size` is the whole log's length.
    Show it with `less` or `cat -v`: a log may hold sequences that change a terminal.
    """
    if begin is not None and tail is not None:
        raise Trouble(422, "The call cannot be understood", "Give either `from` or `tail`.")
    job = one_job(identifier)
    if attempt is not None and attempt > job.attempt:
        raise Trouble(404, "No such attempt", f"Job {job.identifier} is in its attempt {job.attempt}.")
    start, piece, size = _piece(job, attempt or job.attempt, begin or 0, most, tail)
    note_view(who(request, AuditEntry.Via.API), job)
    response = HttpResponse(piece, content_type="text/plain; charset=utf-8")
    response["X-Log-From"], response["X-Log-Next"], response["X-Log-Size"] = start, start + len(piece), size
    response["X-Log-Job-Active"] = "true" if job.is_active and attempt in (None, job.attempt) else "false"
    return response


def _piece(job: Job, attempt: int, start: int, most: int, tail: int | None) -> tuple[int, bytes, int]:
    """Where the piece begins, the piece, and the size of the whole log. Raises Trouble if there is none."""
    try:
        # Whatever has been written counts here, also the beginning of a line.
        with logs.opened(logs.path_of(job, attempt), is_complete=True) as reader:
            start = max(0, reader.size - most) if tail is not None else min(start, reader.size)
            piece, size = os.pread(reader.descriptor, most, start), reader.size
    except NoLog as error:
        why = "it has none yet" if job.is_active else "it never ran, or its log was cleared away"
        raise Trouble(404, "No log", f"There is no log of job {job.identifier}: {why}.") from error
    except logs.LogTrouble as error:
        raise Trouble(503, "The log cannot be read", str(error)) from error
    if tail is None:
        return start, piece, size
    cut = _last_lines(piece, tail, is_whole=start == 0)
    return start + cut, piece[cut:], size


def _last_lines(piece: bytes, lines: int, *, is_whole: bool) -> int:
    """Where the last lines of the piece begin; not in the middle of a line that began before it, unless that is all."""
    end = len(piece.rstrip(b"\n"))
    for _ in range(lines):
        newline = piece.rfind(b"\n", 0, end)
        if newline < 0:
            return 0 if is_whole else piece.find(b"\n") + 1
        end = newline
    return end + 1
