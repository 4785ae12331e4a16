"""What a poll costs when nothing has changed."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.views.live import all_jobs_changed
from tests.factories import make_flag, make_job

pytestmark = pytest.mark.django_db


@pytest.mark.sqlite_only
def test_whether_any_job_has_changed_is_looked_up_and_no_table_is_read():
    """Two maxima in one query would read a million rows with each poll of each viewer."""
    with CaptureQueriesContext(connection) as queries:
        all_jobs_changed()
    assert len(queries) == 3
    with connection.cursor() as cursor:
        for query in queries:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plan = " ".join(str(row[-1]) for row in cursor.fetchall())
            assert "SEARCH" in plan and "SCAN" not in plan, f"{query['sql']}: {plan}"


def test_whatever_changes_is_noticed():
    seen = {all_jobs_changed()}
    job = make_job()
    seen.add(all_jobs_changed())
    job.say("Waiting for a worker.")
    seen.add(all_jobs_changed())
    make_flag()
    seen.add(all_jobs_changed())
    assert len(seen) == 4
