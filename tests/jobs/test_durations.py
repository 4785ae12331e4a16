"""How long an action usually takes."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.durations import LAST_SUCCESSES, typical_seconds
from jobs.states import StatusCode
from tests.factories import make_job

pytestmark = pytest.mark.django_db


def make_ended(seconds: int, status_code=StatusCode.SUCCEEDED, action="make_table", **columns):
    now = timezone.now()
    times = {"started_at": now - timedelta(seconds=seconds), "completed_at": now}
    return make_job(status_code, action=action, **times | columns)


def test_typical_is_the_median_of_successes_of_the_same_action_in_the_same_workspace():
    for seconds in (10, 30, 1000):
        make_ended(seconds)
    make_ended(5000, StatusCode.NONZERO_EXIT)
    make_ended(7000, workspace="other")
    make_ended(8000, action="make_plot")
    job = make_job(action="make_table")
    assert typical_seconds([job]) == {job.pk: 30}


def test_only_the_last_successes_count():
    for _ in range(LAST_SUCCESSES):
        make_ended(10_000)
    for _ in range(LAST_SUCCESSES):
        make_ended(60)
    job = make_job(action="make_table")
    assert typical_seconds([job]) == {job.pk: 60}


def test_an_action_that_has_never_succeeded_has_no_typical_duration():
    make_ended(10, StatusCode.NONZERO_EXIT)
    assert typical_seconds([make_job(action="make_table")]) == {}


def test_a_job_that_never_started_tells_nothing():
    make_ended(10, started_at=None)
    assert typical_seconds([make_job(action="make_table")]) == {}


def test_no_jobs_need_no_query(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert typical_seconds([]) == {}


@pytest.mark.parametrize("number", [1, 60])
def test_one_query_answers_for_many_jobs(number, django_assert_num_queries):
    jobs = [make_ended(20, action=f"action_{each}") for each in range(number)]
    with django_assert_num_queries(1):
        assert typical_seconds(jobs) == {job.pk: 20 for job in jobs}


@pytest.mark.sqlite_only
def test_the_index_leads_to_the_successes():
    job = make_ended(20)
    with CaptureQueriesContext(connection) as queries:
        typical_seconds([job])
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + queries[0]["sql"])
        plan = " ".join(row[3] for row in cursor.fetchall())
    assert plan.count("job_ended_by_action (workspace=? AND action=? AND state=?)") == LAST_SUCCESSES
    assert "SCAN" not in plan.replace("CORRELATED SCALAR", "")
