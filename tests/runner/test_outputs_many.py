"""Many outputs, and many jobs that publish together."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection

from jobs import storage
from jobs.levels import HIGHLY_SENSITIVE
from jobs.models import JobOutput
from runner import outputs
from tests.publication import (
    finalize,
    high,
    job_with,
    leave,
    manifest_of,
    never,
)

pytestmark = pytest.mark.django_db
BOTH = {"output/rows.csv": b"id\n1\n", "output/table.csv": b"sex,n\nF,10\n"}
IDENTIFYING = b"patient_id,n\n1,2\n"


@pytest.mark.django_db(transaction=True)
def test_jobs_that_finish_together_lose_nothing():
    jobs = [job_with(HIGHLY_SENSITIVE, f"output/{number}.csv", action=f"action_{number}") for number in range(6)]
    for number, job in enumerate(jobs):
        leave(job, {f"output/{number}.csv": b"x"})

    def run(job):
        try:
            finalize(job)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(run, jobs))

    assert sorted(manifest_of(high())["outputs"]) == [f"output/{number}.csv" for number in range(6)]
    assert JobOutput.objects.current().count() == 6
    assert not high(".publishing").exists()


def open_in_storage() -> int:
    descriptors = (Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd"))
    return sum(
        os.readlink(descriptor).startswith(str(storage.settings.WORK_DIR))
        for descriptor in descriptors
        if descriptor.is_symlink()
    )


def test_two_thousand_files_take_few_queries_and_few_descriptors(django_assert_max_num_queries):
    job = job_with(HIGHLY_SENSITIVE, "output/*.csv")
    leave(job, {f"output/{number}.csv": b"x" for number in range(2_000)})
    before = open_in_storage()

    with django_assert_max_num_queries(50):
        plan = finalize(job)

    assert len(plan.entries) == 2_000 == len(os.listdir(high("output")))
    assert open_in_storage() == before == 0


def test_the_last_transaction_of_many_outputs_is_short_and_until_then_none_of_them_is_current(
    django_assert_max_num_queries,
):
    job = job_with(HIGHLY_SENSITIVE, "output/*.csv")
    leave(job, {f"output/{number}.csv": b"x" for number in range(2_000)})
    _, plan = outputs.collect(job, should_stop=never)

    with outputs.publishing(job, plan, should_stop=never) as plan:
        assert JobOutput.objects.filter(job=job).count() == 2_000 and not JobOutput.objects.current().exists()
        with django_assert_max_num_queries(8):
            outputs.store(job, plan)

    assert JobOutput.objects.current().count() == 2_000
