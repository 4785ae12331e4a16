"""`kill -9` of a real `manage.py sync`, again and again, while requests come, jobs run and the job-server fails.

Beside it a runner with eight workers and somebody who writes all the time, as the web may: SQLite has one writer at a
time, and none of them may ever hear that the database is locked (requirement 14).
"""

import contextlib
import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.fakes import faults
from tests.fakes.job_server import FakeJobServer
from tests.fakes.messages import Delivery
from tests.git_repositories import make_repository
from tests.site import Site, wait_until
from tests.sync.conftest import STUDY

KILLS = 15
LONGEST_LIFE_SECONDS = 1.5
FAULTS = (
    lambda: faults.status(500, "html"),
    lambda: faults.status(503, "empty"),
    faults.lost_answer,
    faults.dropped,
    faults.garbage,
    faults.partial_json,
    lambda: faults.delivered(Delivery.CUT),
)
# Like pages on which people switch and look at things.
WRITER = """
import time
from jobs.models import Flag, Heartbeat, Job, StatusChange
for number in range(10**9):
    Heartbeat.beat("somebody", number=number)
    Flag.switch("reboot", "", by="olive", reason="to write something")
    list(Job.objects.select_related("request")[:50]), StatusChange.objects.newest()
    time.sleep(0.005)
"""
LOCKED = ("database is locked", "OperationalError", "Traceback")

pytestmark = pytest.mark.slow_test


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(10**6)))
    print(f"KILL_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def fake() -> Iterator[FakeJobServer]:
    with FakeJobServer() as server:
        yield server


@pytest.fixture
def site(fake, tmp_path) -> Iterator[Site]:
    settings = {
        "EXECUTOR": "fake",
        "BACKEND": fake.backend,
        "JOB_SERVER_ENDPOINT": fake.url,
        "JOB_SERVER_TOKEN": fake.token,
        "POLL_INTERVAL": "0.2",
        "MAX_WORKERS": "8",
    }
    with Site(tmp_path, **settings) as found:
        yield found


@pytest.fixture
def ask(fake, tmp_path, chance):
    """Somebody asks for something that can be done, or not, in one of four workspaces."""
    commit = make_repository(tmp_path / "study", {"project.yaml": STUDY})

    def ask_for() -> str:
        action = chance.choice(("count", "count", "extract", "unknown"))
        study = {"repo_url": str(tmp_path / "study"), "commit": commit, "workspace": f"w{chance.randrange(4)}"}
        return fake.add_request(actions=[action], **study).identifier

    return ask_for


@contextlib.contextmanager
def beside(process: subprocess.Popen) -> Iterator[list[str]]:
    """What the process writes while the block runs; it must not end before the block does. Then it is told to end."""
    lines: list[str] = []
    # Nobody else reads, and a full pipe would stop it.
    reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
    reader.start()
    yield lines
    assert process.poll() is None, lines
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    reader.join(20)


def live_a_little(site: Site, chance: random.Random) -> None:
    """Start a sync and kill it at a random moment; it has at least got as far as taking its lock."""
    process = site.start("sync")
    lock = site.work_dir / "sync.lock"
    lock.touch()
    wait_until(lambda: process.poll() is not None or f"pid {process.pid} " in lock.read_text(), what="the start")
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(chance.uniform(0, LONGEST_LIFE_SECONDS))
    os.killpg(process.pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGKILL, output
    assert not any(word in output for word in LOCKED), output


def test_a_sync_killed_fifteen_times_loses_and_contradicts_nothing_and_nobody_meets_a_locked_database(
    fake, site, ask, chance
):
    with beside(site.start("run")) as of_run, beside(site.start("shell", "-c", WRITER)) as of_writer:
        for _ in range(KILLS):
            asked = [ask(), ask()]
            if chance.random() < 0.6:
                fake.fault(
                    chance.choice(FAULTS)(), on=chance.choice(("GET", "POST", "POST")), times=chance.choice((1, 3))
                )
            if chance.random() < 0.4:
                fake.cancel(chance.choice(asked), ["count"])
            live_a_little(site, chance)
        fake.faults.clear()
        with beside(site.start("sync")) as of_sync:
            wait_until(lambda: not fake.unfinished_requests(), 120, "the end of all requests at the job-server")
    output = "".join([*of_run, *of_writer, *of_sync])
    assert not any(word in output for word in LOCKED), output
    # What an answer left in doubt is told twice more: once to end the doubt, once to settle it.
    site.manage("sync", "--once")
    site.manage("sync", "--once")
    assert site.query("SELECT count(*) FROM jobs_delivery WHERE NOT settled") == [(0,)]
    assert fake.journal.complaints() == []
    assert len(fake.requests) == site.query("SELECT count(*) FROM jobs_jobrequest")[0][0] == 2 * KILLS
    ours = site.query("SELECT identifier, state, status_code FROM jobs_job")
    theirs = {job["identifier"]: job for identifier in fake.requests for job in fake.jobs(identifier)}
    assert ours
    assert [(theirs[job]["status"], theirs[job]["status_code"]) for job, *_ in ours] == [
        tuple(rest) for _, *rest in ours
    ]
    begun = "SELECT count(*) FROM jobs_statuschange WHERE to_code = 'executing' GROUP BY job_id"
    assert set(site.query(begun)) == {(1,)}
    assert site.query("SELECT max(attempt) FROM jobs_job") == [(1,)]
