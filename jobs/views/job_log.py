"""A job's log as people read it. The file is the runner's; here it is only read, in pieces, and never followed."""

import os

from django.http import HttpRequest

from jobs import storage
from jobs.models import Job

MOST_BYTES = 64 * 1024


def log_context(request: HttpRequest, job: Job) -> dict:
    """What templates/jobs/_log.html shows: the last lines, or why there are none."""
    if not request.user.has_perm("jobs.read_log"):
        return {"log_problem": "Your role does not read logs, which may quote patients' rows."}
    try:
        descriptor = os.open(storage.job_log(job), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return {"log_problem": "There is no log yet."}
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        file.seek(max(0, size - MOST_BYTES))
        text = file.read(MOST_BYTES).decode("utf-8", "replace")
    return {"log_lines": text.split("\n")}
