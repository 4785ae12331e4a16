"""What a turn of the loop costs while thousands of jobs wait: E1 on dependencies, E2 on workers.

The turns are timed in this process, with a `Runner` of its own on the real engine and two containers that run: only so
can its engine calls and its queries be counted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

import requests

from benchmarks.floor import timed
from benchmarks.installation import Installation
from benchmarks.results import Result, Target
from benchmarks.studies import CROWD, SLEEPERS, Study, crowd
from benchmarks.watching import wait_until

SMALL_CROWD = 100


@dataclass
class _Turn:
    seconds: float
    engine_calls: int
    queries: int


@dataclass
class _Turns:
    """Of one crowd: the turn that first saw it, and the steady ones after it."""

    first: _Turn
    steady: list[_Turn] = field(default_factory=list)
    list_calls: list[float] = field(default_factory=list)

    @property
    def queries(self) -> int:
        """Of a steady turn. Every few seconds a sign of life adds its own to one of them."""
        return min(turn.queries for turn in self.steady)


def with_dependencies(site: Installation, repeat: int) -> Result:
    return _result(site, repeat, "E1", "on dependencies", needs=[SLEEPERS[0]])


def with_ready_jobs(site: Installation, repeat: int) -> Result:
    return _result(site, repeat, "E2", "on workers", needs=[])


def _result(site: Installation, repeat: int, case: str, waiting: str, needs: list[str]) -> Result:
    few, many = (_turns(site, count, needs, repeat) for count in (SMALL_CROWD, CROWD))
    return Result(
        case,
        f"a steady turn of the loop, {CROWD:,} jobs waiting {waiting}, 2 running",
        "s",
        [turn.seconds for turn in many.steady],
        "one list call of the engine",
        many.list_calls,
        (Target("engine calls", 5), Target(f"queries more than with {SMALL_CROWD}", 0)),
        also={
            "first turn, s": many.first.seconds,
            "engine calls": max(turn.engine_calls for turn in (many.first, *many.steady)),
            "queries": many.queries,
            f"queries more than with {SMALL_CROWD}": many.queries - few.queries,
            "queries of the first turn": many.first.queries,
            f"steady turn with {SMALL_CROWD}, s": median(turn.seconds for turn in few.steady),
        },
    )


def _turns(site: Installation, count: int, needs: list[str], repeat: int) -> _Turns:
    from runner.executors import from_settings
    from runner.loop import Runner

    study = Study(site.folder / f"turns-{count}-{'dependent' if needs else 'ready'}", crowd(count, needs))
    with site.emptied():
        runner = Runner(from_settings())
        try:
            _fall_asleep(runner, study)
            study.submit(*(f"crowd_{number}" for number in range(count)))
            turns = _Turns(_turn(runner))
            for _ in range(repeat):
                turns.steady.append(_turn(runner))
                turns.list_calls.append(timed(lambda: site.bare.list_containers(site.label)))
        finally:
            runner.close()
    return turns


def _fall_asleep(runner, study: Study) -> None:
    """Turn after turn until the two jobs that sleep are running."""
    from jobs.models import Job

    pks = [job.pk for job in study.submit(*SLEEPERS)]

    def both_run() -> bool:
        runner.tick()
        runner.wake.wait(0.1)
        return Job.objects.filter(pk__in=pks, status_code="executing").count() == len(pks)

    wait_until(both_run, 30, "the start of the jobs that sleep", pause=0)


def _turn(runner) -> _Turn:
    with _counted_calls() as calls, _counted_queries() as queries:
        seconds = timed(runner.tick)
    return _Turn(seconds, len(calls), len(queries))


@contextmanager
def _counted_calls() -> Iterator[list[str]]:
    """The requests that any thread of this process sends to the engine, counted where the SDK hands them over."""
    sent: list[str] = []
    send = requests.Session.send

    def counting(session, request, **options):
        sent.append(request.path_url)
        return send(session, request, **options)

    requests.Session.send = counting
    try:
        yield sent
    finally:
        requests.Session.send = send


@contextmanager
def _counted_queries() -> Iterator[list[str]]:
    """The queries of this thread."""
    from django.db import connection

    statements: list[str] = []

    def counting(execute, sql, parameters, many, context):
        statements.append(sql)
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(counting):
        yield statements
