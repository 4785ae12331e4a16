"""What speaking with a job-server costs: a cycle in which nothing has changed (S), a backlog (S2), a push (S3).

The job-server is the tests' fake one, over real HTTP in this process; `manage.py sync` is a real process of its own, so
its processor time and memory are its own, too.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from benchmarks.installation import ROOT, Installation, idle_megabytes, peak_megabytes
from benchmarks.results import Result, Target
from benchmarks.watching import WentWrong, wait_until
from tests.fakes.job_server import FakeJobServer

REQUESTS, JOBS_OF_EACH = 100, 6
BACKLOG = 2_000
CYCLES = 10
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


def unchanged_cycle(site: Installation, repeat: int) -> Result:
    """600 running jobs in 100 requests; each sample is the processor time of a cycle, over ten of them."""
    with site.emptied(), FakeJobServer() as server:
        _told_jobs(server)
        with _sync(site, server, POLL_INTERVAL="0.5") as process:
            _wait_for_polls(server, 3)
            wait_until(lambda: not server.lost_requests(), 60, "the first post of each request")
            samples = []
            for _ in range(repeat):
                polls, cpu = len(server.journal.gets), _cpu_seconds(process.pid)
                _wait_for_polls(server, polls + CYCLES)
                cycles = len(server.journal.gets) - polls
                samples.append((_cpu_seconds(process.pid) - cpu) / cycles)
            floor = [_bare_poll(server) for _ in range(max(repeat, 5))]
            memory = peak_megabytes(process.pid)
    return Result(
        "S",
        f"processor time of a sync cycle, {REQUESTS * JOBS_OF_EACH} unchanged jobs in {REQUESTS} requests",
        "s",
        samples,
        "one GET of the same list by requests, parsed",
        floor,
        (Target("median", 0.3),),
        also={"peak memory, MB": memory},
    )


def backlog(site: Installation, repeat: int) -> Result:
    """2,000 requests at once, each refused without git, so that all are stored, concluded and told one by one."""
    samples, took = [], []
    for _ in range(repeat):
        with site.emptied(), FakeJobServer() as server:
            for _ in range(BACKLOG):
                server.add_request(workspace="not a name")
            began = time.perf_counter()
            with _sync(site, server) as process:
                wait_until(lambda server=server: not server.lost_requests(), 300, "the end of the backlog", pause=0.2)
                took.append(time.perf_counter() - began)
                samples.append(peak_megabytes(process.pid))
    return Result(
        "S2",
        f"peak resident memory of `sync` with a backlog of {BACKLOG:,} requests",
        "MB",
        samples,
        "a process that imports Django and requests and does nothing",
        [idle_megabytes("requests")],
        (Target("median", 80),),
        also={"all told after, s": min(took), "POSTs": float(len(server.journal.posts))},
    )


def push(site: Installation, repeat: int) -> Result:
    """From the commit of a job's new state to the arrival of the POST that tells it."""
    with site.emptied(), FakeJobServer() as server:
        jobs = _told_jobs(server, requests=repeat, jobs=1, code="prepared")
        with _sync(site, server, POLL_INTERVAL="600"):
            wait_until(lambda: not server.lost_requests(), 60, "the first post of each request")
            samples = [_pushed(server, job) for job in jobs]
            floor = [_bare_poll(server) for _ in range(5)]
    return Result(
        "S3",
        "a job's new state is committed → the POST that tells it arrives",
        "s",
        samples,
        "one GET by requests",
        floor,
        (Target("median", 0.5),),
    )


def _told_jobs(server: FakeJobServer, requests: int = REQUESTS, jobs: int = JOBS_OF_EACH, code: str = "executing"):
    from tests.factories import make_job, make_request

    made = []
    for number in range(requests):
        identifier = server.add_request().identifier
        row = make_request(identifier=identifier, backend=server.backend, workspace=f"w{number}", source="polling")
        made += [make_job(code, request=row) for _ in range(jobs)]
    return made


def _pushed(server: FakeJobServer, job) -> float:
    from jobs.states import StatusCode

    # The pause after the post before this one is the product's own pace and no part of a single push.
    time.sleep(0.3)
    job.move_to(StatusCode.EXECUTING, "The container runs.")
    committed = time.monotonic()
    wait_until(lambda: _told(server, job) is not None, 10, "the POST", pause=0.002)
    return max(0.0, _told(server, job) - committed)


def _told(server: FakeJobServer, job) -> float | None:
    found = [each.post.at for each in server.journal.told_of(job.identifier) if each.status_code == "executing"]
    return found[0] if found else None


@contextlib.contextmanager
def _sync(site: Installation, server: FakeJobServer, **settings: str) -> Iterator[subprocess.Popen]:
    environment = os.environ | {
        "BACKEND": server.backend,
        "JOB_SERVER_ENDPOINT": server.url,
        "JOB_SERVER_TOKEN": server.token,
        **settings,
    }
    with (site.folder / "sync.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "sync"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            start_new_session=True,
        )
    try:
        yield process
        if process.poll() is not None:
            raise WentWrong(f"`manage.py sync` ended: {(site.folder / 'sync.log').read_text()[-2000:]}")
    finally:
        process.kill()
        process.wait()


def _wait_for_polls(server: FakeJobServer, polls: int) -> None:
    wait_until(lambda: len(server.journal.gets) >= polls, 120, f"poll {polls}")


def _cpu_seconds(pid: int) -> float:
    """Processor time that the process has used, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


def _bare_poll(server: FakeJobServer) -> float:
    began = time.thread_time()
    url = f"{server.url}job-requests/?backend={server.backend}&limit=1000"
    requests.get(url, headers={"Authorization": server.token}, timeout=30).json()
    return time.thread_time() - began
