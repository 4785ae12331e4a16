"""Figures of running containers: true, few, and never a reason for a job or the loop to stumble."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError

from jobs.models import Job, ResourceSample
from jobs.states import StatusCode
from runner import sampling
from runner.containers import spec_for
from runner.executors.base import ExecutorUnavailable, Usage
from runner.executors.fake import FakeExecutor, FakeRun
from runner.loop import Runner
from runner.sampling import MOST_ROWS, Sampler
from tests import engine
from tests.factories import make_job
from tests.site import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Meter:
    """An executor's `usage` that a test reads the figures for; `error` is raised instead."""

    def __init__(self) -> None:
        self.seconds, self.figures, self.error = 0.0, {}, None

    def later(self, seconds: float, cpu: float, memory: int, *jobs: Job) -> None:
        """Time goes on; each job has used so many percent of a processor since, and so much memory now."""
        self.seconds += seconds
        for job in jobs:
            used = self.figures.get(job.container_name, (0.0, 0))[0] + cpu * seconds / 100
            self.figures[job.container_name] = (used, memory)

    def usage(self, name: str) -> Usage | None:
        if self.error:
            raise self.error
        if name not in self.figures:
            return None
        return Usage(NOON + timedelta(seconds=self.seconds), *self.figures[name])


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def sampler(meter, monkeypatch):
    """One that looks when it is told to."""
    monkeypatch.setattr(sampling, "LOOK_SECONDS", 3600.0)
    sampler = Sampler(meter)
    yield sampler
    sampler.close()


def rows(job: Job) -> list[tuple[float, int]]:
    found = ResourceSample.objects.of_attempt(job.pk, job.attempt).order_by("pk")
    return [(round(row.cpu_percent, 3), row.memory_bytes) for row in found]


def test_the_share_of_a_processor_is_that_between_two_looks(meter, sampler):
    job = make_job(StatusCode.EXECUTING)
    for cpu, memory in ((500, 10), (150, 30), (0, 20)):
        meter.later(5, cpu, memory, job)
        sampler.look()
    assert rows(job) == [(150.0, 30), (0.0, 20)]


def test_only_containers_that_run_are_looked_at(meter, sampler):
    jobs = [make_job(code) for code in (StatusCode.CREATED, StatusCode.FINALIZING, StatusCode.SUCCEEDED)]
    ended = make_job(StatusCode.EXECUTING)
    for _ in range(3):
        meter.later(5, 50, 1, *jobs)
        sampler.look()
    assert ResourceSample.objects.count() == 0 and rows(ended) == []


def test_all_containers_are_stored_together_in_one_transaction(meter, sampler, django_assert_num_queries):
    jobs = [make_job(StatusCode.EXECUTING) for _ in range(7)]
    meter.later(5, 50, 1, *jobs)
    sampler.look()
    meter.later(5, 50, 1, *jobs)
    with django_assert_num_queries(4):  # the jobs, begin, one insert, commit
        sampler.look()
    assert all(len(rows(job)) == 1 for job in jobs)


def test_a_long_run_keeps_few_rows_evenly_spread_and_its_peaks(meter, sampler):
    job = make_job(StatusCode.EXECUTING)
    for number in range(3 * MOST_ROWS):
        is_peak = number == 21
        meter.later(5, 180 if is_peak else 50, 900 if is_peak else 100, job)
        sampler.look()
        assert ResourceSample.objects.count() <= MOST_ROWS
    found = rows(job)
    assert len(found) > MOST_ROWS / 4
    assert (180.0, 900) in found
    assert ResourceSample.objects.summary(job)["cpu_peak"] == 180.0
    assert next(iter(sampler._watched.values())).stride == 4


def test_a_row_that_stands_for_many_looks_tells_the_mean_of_the_processor_and_the_most_memory(meter, sampler):
    job = make_job(StatusCode.EXECUTING)
    meter.later(5, 0, 1, job)
    sampler.look()
    next(iter(sampler._watched.values())).stride = 2
    for cpu, memory in ((100, 70), (50, 5)):
        meter.later(5, cpu, memory, job)
        sampler.look()
    assert rows(job) == [(75.0, 70)]


def test_a_new_process_goes_on_with_the_interval_of_the_one_before(meter, sampler):
    job, now = make_job(StatusCode.EXECUTING), NOON
    for number in range(200):
        at = now + timedelta(seconds=number * 4 * sampling.LOOK_SECONDS)
        ResourceSample.objects.create(job=job, at=at, cpu_percent=1, memory_bytes=1)
    sampler.look()
    (watched,) = sampler._watched.values()
    assert (watched.rows, watched.stride) == (200, 4)


def test_each_attempt_has_figures_of_its_own(meter, sampler):
    job = make_job(StatusCode.EXECUTING)
    for _ in range(2):
        meter.later(5, 50, 10, job)
        sampler.look()
    Job.objects.filter(pk=job.pk).update(attempt=2)
    job.refresh_from_db()
    for _ in range(2):
        meter.later(5, 20, 5, job)
        sampler.look()
    assert rows(job) == [(20.0, 5)]
    assert ResourceSample.objects.summary(job)["cpu_peak"] == 20.0


@pytest.mark.parametrize("error", [ExecutorUnavailable("The engine does not answer."), RuntimeError("no such key")])
def test_an_engine_in_trouble_costs_figures_only_and_is_told_once(meter, sampler, error, caplog):
    job = make_job(StatusCode.EXECUTING)
    meter.later(5, 50, 10, job)
    sampler.look()
    meter.error = error
    for _ in range(3):
        sampler.look()
    meter.error = None
    meter.later(5, 50, 10, job)
    sampler.look()
    assert rows(job) == [(50.0, 10)]
    assert len([record for record in caplog.records if record.name == "runner.sampling"]) == 1


def test_a_database_that_is_locked_costs_figures_only(meter, sampler, monkeypatch):
    job = make_job(StatusCode.EXECUTING)
    for _ in range(2):
        meter.later(5, 50, 10, job)
        with monkeypatch.context() as patch:
            patch.setattr(ResourceSample.objects, "bulk_create", _locked)
            sampler.look()
    meter.later(5, 20, 10, job)
    sampler.look()
    assert rows(job) == [(20.0, 10)]


def _locked(rows) -> None:
    raise OperationalError("database is locked")


def test_an_engine_that_hangs_holds_up_neither_the_loop_nor_the_end(monkeypatch):
    monkeypatch.setattr(sampling, "LOOK_SECONDS", 0.01)
    asked, goes_on = threading.Event(), threading.Event()

    class Hanging(FakeExecutor):
        def usage(self, name: str) -> Usage | None:
            asked.set()
            goes_on.wait(30)
            return super().usage(name)

    executor = Hanging(lambda spec: FakeRun(until=threading.Event()))
    job = make_job(StatusCode.EXECUTING)
    executor.start(spec_for(job))
    runner = Runner(executor)
    try:
        assert asked.wait(30)
        assert runner.tick() == 1
        executor.finish(job.container_name, 3)
        wait_until(lambda: runner.tick() == 0, what="the end of the job")
    finally:
        assert runner.close()
        goes_on.set()


def test_peak_and_mean_are_told_with_the_outcome():
    executor = FakeExecutor(lambda spec: FakeRun(exit_code=3))
    job = make_job(StatusCode.EXECUTING)
    for cpu, memory in ((50, 10), (150, 30)):
        ResourceSample.objects.create(job=job, at=NOON, cpu_percent=cpu, memory_bytes=memory * 1024**2)
    executor.start(spec_for(job))
    runner = Runner(executor)
    try:
        wait_until(lambda: runner.tick() == 0, what="the end of the job")
    finally:
        runner.close()
    job.refresh_from_db()
    assert job.metrics == {"cpu_peak": 150.0, "cpu_mean": 100.0, "mem_mb_peak": 30.0, "mem_mb_mean": 20.0}


@pytest.mark.needs_docker
def test_a_real_container_is_sampled(sampler, tmp_path):
    engine.tiny_image()
    with engine.docker_executor() as executor:
        sampler._executor = executor
        job = make_job(StatusCode.EXECUTING, image="busybox:1", arguments=["sh", "-c", "while :; do :; done"])
        engine.make_workspace(spec_for(job).workspace_folder)
        executor.start(spec_for(job))

        def look() -> list[tuple[float, int]]:
            sampler.look()
            return rows(job)

        found = wait_until(look, what="a row")
        executor.stop(job.container_name)
    assert 5 < found[0][0] < 1000 and 0 < found[0][1] < 4 * 1024**3
