"""Many people, or one impatient one, confirm the same at the same moment."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.urls import reverse

from jobs.models import AuditEntry, Job, JobRequest
from jobs.states import StatusCode
from tests.factories import make_job
from tests.web import client_of

TIMES = 20


def post_at_once(clients: list, address: str, data: dict) -> set[int]:
    def post(client) -> int:
        try:
            return client.post(address, data).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(len(clients)) as pool:
        return set(pool.map(post, clients))


def twenty_windows() -> list:
    """Windows of one browser: the same session, and a client of its own for each thread."""
    first = client_of(is_superuser=True)  # this kind of test empties the table of roles
    clients = [type(first)() for _ in range(TIMES)]
    for client in clients:
        client.cookies = first.cookies
    return clients


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("name", "code", "verb"),
    [
        ("cancel-jobs", StatusCode.EXECUTING, "cancel"),
        ("kill-jobs", StatusCode.EXECUTING, "kill"),
        ("retry-jobs", StatusCode.INTERNAL_ERROR, "retry"),
        ("retry-jobs", StatusCode.NONZERO_EXIT, "rerun"),
    ],
)
def test_twenty_posts_at_once_have_one_effect(name, code, verb):
    jobs = [make_job(code) for _ in range(2)]
    named = " ".join(job.identifier for job in jobs)
    data = {"jobs": named, "confirmed": "1", "reason": "x", "once": "one form"}
    assert post_at_once(twenty_windows(), reverse(name), data) == {200}
    assert AuditEntry.objects.filter(verb=verb).count() == len(jobs)
    assert JobRequest.objects.waiting().count() == (len(jobs) if verb == "rerun" else 0)
    assert Job.objects.count() == len(jobs)
