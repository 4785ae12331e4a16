"""How long small jobs take from being stored to being done, and a cancel to being carried out: cases A, B20, C10, G."""

import time
from collections.abc import Callable
from datetime import datetime
from statistics import median

from benchmarks.floor import timed
from benchmarks.installation import WORKERS, Installation
from benchmarks.results import Result, Target
from benchmarks.studies import NO_OP, SLEEPERS, WORKSPACE, Study
from benchmarks.watching import Database, WentWrong, interruption

MANY = 20
CHAIN = 10
# A cancel is asked for while the job simply runs, not while its start is still being recorded.
SETTLED_SECONDS = 0.2
# The way of a job in stretches: what is done between two lines of its timeline.
_STRETCHES = (
    ("noticed", "created", "initiated"),
    ("folder and code", "initiated", "prepared"),
    ("container created and started", "prepared", "executing"),
    ("command run, its end noticed", "executing", "executed"),
    ("outputs, log and manifest stored", "executed", "finalized"),
    ("container and folder removed", "finalized", "succeeded"),
)


def no_op_job(site: Installation, repeat: int) -> Result:
    product, floor = alternate(
        repeat, lambda: run_to_success(site, "result"), lambda: timed(lambda: site.bare.job(NO_OP))
    )
    return Result(
        "A",
        "one no-op job: stored → succeeded, output in place, container gone",
        "s",
        product,
        "SDK create, start, wait, remove",
        floor,
        (Target("ratio", 2),),
        also=_where_time_goes(),
    )


def independent_jobs(site: Installation, repeat: int) -> Result:
    actions = [f"one_{number}" for number in range(1, MANY + 1)]
    product, floor = alternate(
        repeat,
        lambda: run_to_success(site, *actions),
        lambda: timed(lambda: site.bare.jobs_at_a_time(NO_OP, MANY, WORKERS)),
    )
    return Result(
        "B20",
        f"{MANY} independent no-op jobs with {WORKERS} workers",
        "s",
        product,
        f"the same by {WORKERS} threads with the SDK",
        floor,
        (Target("ratio", 1.67),),
    )


def chain_of_jobs(site: Installation, repeat: int) -> Result:
    actions = [f"link_{number}" for number in range(1, CHAIN + 1)]
    product, floor = alternate(
        repeat, lambda: run_to_success(site, *actions), lambda: timed(lambda: site.bare.chain(NO_OP, CHAIN))
    )
    return Result(
        "C10",
        f"a chain of {CHAIN} no-op jobs",
        "s",
        product,
        "the same one after another with the SDK",
        floor,
        also={"a link, s": median(product) / CHAIN},
    )


def cancelling(site: Installation, repeat: int) -> Result:
    product, floor = alternate(repeat, lambda: _cancel(site), lambda: site.bare.kill_and_remove())
    to_death, to_removal = zip(*product, strict=True)
    bare_death, bare_removal = zip(*floor, strict=True)
    return Result(
        "G",
        "cancel flag written → container gone",
        "s",
        to_removal,
        "SDK kill, wait, remove",
        bare_removal,
        (Target("median", 0.5),),
        also={
            "to its death, s": median(to_death),
            "longest to its death, s": max(to_death),
            "floor to its death, s": median(bare_death),
        },
    )


def run_to_success(site: Installation, *actions: str) -> float:
    """Seconds from the moment the jobs are stored to the last "succeeded". Raises WentWrong."""
    with site.database() as database:
        jobs = site.study.submit(*actions)
        stored = time.perf_counter()
        seconds = database.wait_for_codes([job.pk for job in jobs], "succeeded") - stored
    for job in jobs:
        if not (site.high_privacy / WORKSPACE / "output" / f"{job.action}.txt").is_file():
            raise WentWrong(f"{job.action} succeeded without its output")
    if site.containers.names():
        raise WentWrong(f"containers are left: {site.containers.names()}")
    return seconds


def _where_time_goes() -> dict[str, float]:
    """Of all jobs of A so far: median seconds between the lines of their timelines."""
    from jobs.models import StatusChange

    changes = StatusChange.objects.filter(job__action="result").order_by("job", "pk")
    moments: dict[int, dict[str, datetime]] = {}
    for pk, code, at in changes.values_list("job", "to_code", "at"):
        moments.setdefault(pk, {})[code] = at
    return {
        f"{what}, s": median((times[end] - times[begin]).total_seconds() for times in moments.values())
        for what, begin, end in _STRETCHES
    }


def start_sleeping(site: Installation, database: Database, study: Study, *names: str) -> list:
    """Submit jobs that only sleep and wait until their containers run; returns the jobs."""
    containers = site.containers  # listens from here on at the latest
    jobs = study.submit(*names)
    database.wait_for_codes([job.pk for job in jobs], "executing")
    for job in jobs:
        containers.when("start", job.container_name)
    return jobs


def _cancel(site: Installation) -> tuple[float, float]:
    """Seconds from the flag to the container's death and to its removal."""
    with site.database() as database:
        (job,) = start_sleeping(site, database, site.study, SLEEPERS[0])
        time.sleep(SETTLED_SECONDS)
        job.request_cancel("alice", "measuring")
        asked = time.perf_counter()
        dead = site.containers.when("die", job.container_name) - asked
        gone = site.containers.when("destroy", job.container_name) - asked
        database.wait_for_codes([job.pk], "cancelled_by_user")
    return dead, gone


def alternate(repeat: int, product: Callable, floor: Callable) -> tuple[list, list]:
    """Product and floor by turns, so that a slow minute of the machine meets both."""
    pairs = []
    for _ in range(repeat):
        interruption.check()
        pairs.append((product(), floor()))
    return [first for first, _ in pairs], [second for _, second in pairs]
