"""Which limits an action would need, by its past peaks."""

import pytest

from jobs.limits import LAST_RUNS, suggestion
from jobs.states import StatusCode
from tests.factories import make_job

pytestmark = pytest.mark.django_db
GIB = 1024**3


@pytest.fixture(autouse=True)
def limits(settings) -> None:
    settings.JOB_MEMORY_BYTES, settings.JOB_CPUS = 4 * GIB, 2.0


def ran(memory_mb: float, cpu: float = 80, code: StatusCode = StatusCode.SUCCEEDED, **columns):
    metrics = {"mem_mb_peak": memory_mb, "cpu_peak": cpu, "mem_mb_mean": 1, "cpu_mean": 1}
    return make_job(code, action="model", **{"metrics": metrics} | columns)


def test_the_highest_peak_of_the_last_runs_counts_with_a_quarter_more():
    ran(600)
    job = ran(1000, 90)
    found = suggestion(job)
    assert (found.runs, found.memory_peak, found.cpu_peak) == (2, 1000 * 1024**2, 90)
    assert (found.memory_bytes, found.cpus) == (5 * 256 * 1024**2, 1.0)
    assert found.sentence == (
        "At their peaks its last 2 measured runs used 1000.0 MiB of memory and 90 % of a processor; 1.2 GiB and 1 "
        "processor would do."
    )


def test_old_runs_count_no_more():
    ran(3000)
    for _ in range(LAST_RUNS):
        job = ran(100)
    assert suggestion(job).memory_peak == 100 * 1024**2 and suggestion(job).memory_bytes == 256 * 1024**2


def test_a_run_that_ran_out_of_memory_needs_more_than_there_is():
    ran(100)
    job = ran(4096, code=StatusCode.NONZERO_EXIT, out_of_memory=True)
    found = suggestion(job)
    assert found.ran_out and found.memory_bytes == 8 * GIB and "ran out of memory" in found.sentence


@pytest.mark.parametrize(("cpu", "cpus"), [(5, 1.0), (100, 1.0), (110, 1.5), (160, 2.0), (390, 5.0)])
def test_processors_come_in_halves(cpu, cpus):
    assert suggestion(ran(100, cpu)).cpus == cpus


def test_a_single_run_is_spoken_of_as_one():
    assert suggestion(ran(100)).sentence.startswith("At its peak its last measured run used 100.0 MiB")


def test_other_actions_and_workspaces_and_what_was_not_measured_tell_nothing():
    ran(3000, workspace="other")
    make_job(StatusCode.SUCCEEDED, action="another", metrics={"mem_mb_peak": 3000, "cpu_peak": 1})
    assert suggestion(make_job(StatusCode.SUCCEEDED, action="model")) is None


@pytest.mark.parametrize("metrics", [{}, {"mem_mb_peak": "x", "cpu_peak": None}, {"mem_mb_peak": 3}])
def test_metrics_of_another_shape_are_passed_over(metrics):
    assert suggestion(make_job(StatusCode.SUCCEEDED, action="model", metrics=metrics)) is None


def test_it_costs_one_query(django_assert_num_queries):
    job = ran(100)
    with django_assert_num_queries(1):
        suggestion(job)


def test_the_page_shows_it(client):
    from jobs.people.roles import VIEWER
    from tests.web import client_of

    job = ran(1000)
    html = client_of(VIEWER).get(f"{job.get_absolute_url()}?tab=resources").content.decode()
    assert "At its peak its last measured run used 1000.0 MiB" in html
