"""The part of `manage.py doctor` that only this room can do: does the job-server answer, and does it know us?"""

from collections.abc import Iterator

from django.conf import settings

from jobs.doctor import BAD, OFF, OK, WARN, Finding
from jobs.signs import Signs
from sync.job_server import JobServer, JobServerError
from sync.polling import current_flags


def examine_job_server() -> Iterator[Finding]:
    sync = Signs.read().sync
    if sync.is_fresh:
        yield Finding("Sync", OK, "alive")
    elif sync.is_needed:
        yield Finding("Sync", WARN, f"it {sync.last_heard}", "Start `manage.py sync`, its log says why it ended.")
    server = JobServer.from_settings()
    if server is None:
        is_elsewhere = settings.JOB_SERVER_ENDPOINT
        said = "only sync has its token: ask there" if is_elsewhere else "none is set up (JOB_SERVER_ENDPOINT)"
        yield Finding("Job-server", OFF, said)
        return
    try:
        page = server.fetch(limit=1, offset=0, flags=current_flags())
    except JobServerError as error:
        yield Finding("Job-server", BAD, str(error), "See JOB_SERVER_ENDPOINT, JOB_SERVER_TOKEN, JOB_SERVER_PROXY.")
        return
    finally:
        server.close()
    active = f", {page.count} active requests" if page.count is not None else ""
    yield Finding("Job-server", OK, f"it answers and knows this backend{active}")
