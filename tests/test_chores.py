"""The process of chores beside a real runner: it never outlives it or holds it up, and no job notices its fate."""

import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine import demo_images
from tests.git_repositories import make_repository
from tests.site import Site, wait_until, watched_starts

JOBS = 20
ACTION = """
  job_{0}:
    run: "python:v2 sh -c 'sleep 2; echo {0} > out_{0}.txt'"
    outputs: {{highly_sensitive: {{out: out_{0}.txt}}}}
"""
WHY = ("--reason", "to see")

pytestmark = pytest.mark.slow_test


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    with Site(tmp_path, EXECUTOR="fake", CHORES="true") as site:
        yield site


def processes(site: Site) -> set[int]:
    """Of the cluster: those of this site, living, whoever has begun them."""
    mark = f"WORK_DIR={site.work_dir}".encode()
    found = set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            is_ours = b"work_on_chores" in (folder / "cmdline").read_bytes()
            if is_ours and mark in (folder / "environ").read_bytes():
                found.add(int(folder.name))
        except OSError:
            continue
    return found


def leader(site: Site) -> int:
    """Of the group: the process that the runner has begun."""
    (found,) = {os.getpgid(pid) for pid in processes(site)}
    return found


def cluster_is_up(site: Site) -> bool:
    """Its first process, its guard, two workers, and the two that carry to and from the queue."""
    return len(processes(site)) == 6


def started(site: Site) -> subprocess.Popen:
    runner = site.start("run")
    wait_until(lambda: cluster_is_up(site) or runner.poll() is not None, 60, "the cluster")
    assert runner.poll() is None, runner.communicate()[0]
    return runner


def outcome(site: Site, chore: str) -> str:
    rows = site.query("SELECT outcome FROM jobs_chorerun WHERE chore = ? ORDER BY id DESC", chore)
    return rows[0][0] if rows else ""


def gone(site: Site) -> None:
    wait_until(lambda: not processes(site), 10, "the end of all processes of the cluster")


def test_they_end_with_a_runner_that_is_told_to_stop(site):
    runner = started(site)
    runner.terminate()
    output, _ = runner.communicate(timeout=10)
    assert runner.returncode == 0, output
    assert not processes(site)


def test_they_end_with_a_runner_that_is_killed(site):
    runner = started(site)
    os.kill(runner.pid, signal.SIGKILL)
    gone(site)


@pytest.mark.parametrize("whose", ["first", "guard", "worker"])
def test_whichever_of_them_is_killed_the_cluster_is_whole_again(site, whose):
    runner = started(site)
    first = leader(site)
    by_age = sorted(processes(site))
    victim = {"first": first, "guard": by_age[1], "worker": by_age[2]}[whose]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in processes(site) and cluster_is_up(site), 60, "a whole cluster")
    site.manage("chores", "snapshot", "--wait", *WHY, seconds=60)
    assert outcome(site, "snapshot") == "done" and runner.poll() is None


def test_a_ctrl_c_is_the_runners_alone(site):
    runner = started(site)
    group = leader(site)
    assert group != os.getpgid(runner.pid)
    os.killpg(runner.pid, signal.SIGINT)
    assert runner.wait(10) == 0 and not processes(site)


def test_what_was_asked_for_is_done_by_the_next_start_if_this_one_is_killed_in_the_middle(site):
    """The chore reads a large file, all of it holes, for many seconds."""
    with_large_file(site)
    runner = started(site)
    site.manage("chores", "storage", "big", *WHY)
    wait_until(lambda: site.query("SELECT 1 FROM jobs_chorerun WHERE started_at IS NOT NULL AND argument = 'big'"))
    os.kill(runner.pid, signal.SIGKILL)
    gone(site)
    (site.high / "workspaces" / "big" / "output.csv").write_bytes(b"")
    started(site)
    rows = "SELECT attempts, outcome FROM jobs_chorerun WHERE argument = 'big' AND ended_at IS NOT NULL"
    wait_until(lambda: site.query(rows), 60, "the chore's end")
    ((attempts, _),) = site.query(rows)
    assert attempts == 2


def test_a_chore_at_work_does_not_hold_up_the_end_of_the_runner(site):
    with_large_file(site)
    runner = started(site)
    site.manage("chores", "storage", "big", *WHY)
    wait_until(lambda: site.query("SELECT 1 FROM jobs_chorerun WHERE started_at IS NOT NULL AND argument = 'big'"))
    runner.terminate()
    assert runner.wait(10) == 0 and not processes(site)


def with_large_file(site: Site) -> None:
    folder = site.high / "workspaces" / "big"
    (folder / "metadata").mkdir(parents=True)
    with (folder / "output.csv").open("wb") as file:
        file.truncate(200 * 1024**3)
    told = f'{{"level": "highly_sensitive", "size": {200 * 1024**3}, "content_hash": "x"}}'
    (folder / "metadata" / "manifest.json").write_text(f'{{"outputs": {{"output.csv": {told}}}}}')


def test_with_chores_switched_off_there_is_no_such_process(tmp_path):
    with Site(tmp_path, EXECUTOR="fake", CHORES="false") as site:
        runner = site.start("run")
        wait_until(lambda: site.query("SELECT 1 FROM jobs_heartbeat WHERE name = 'run'"), 60, "the runner")
        assert not processes(site)
        runner.terminate()
        assert runner.wait(10) == 0


# Twenty jobs, and a cluster to which everything happens


def kill_one(site: Site, chance: random.Random) -> None:
    if found := sorted(processes(site)):
        try:
            os.kill(chance.choice(found), signal.SIGKILL)
        except ProcessLookupError:
            return


def kill_all(site: Site, chance: random.Random) -> None:
    for pid in processes(site):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def second_cluster(site: Site, chance: random.Random) -> None:
    """As if an old one had lived on."""
    site.start("work_on_chores", stdin=subprocess.PIPE)


def no_queue(site: Site, chance: random.Random) -> None:
    for table in ("ormq", "schedule", "task"):
        site.change(f"DELETE FROM django_q_{table}")


def doubled_queue(site: Site, chance: random.Random) -> None:
    site.change("INSERT INTO django_q_ormq (key, payload, lock) SELECT key, payload, lock FROM django_q_ormq")
    columns = "name, func, hook, args, kwargs, schedule_type, minutes, repeats, next_run, cron, task, cluster"
    site.change(f"INSERT INTO django_q_schedule ({columns}) SELECT {columns} FROM django_q_schedule")


def garbage_in_the_queue(site: Site, chance: random.Random) -> None:
    site.change("INSERT INTO django_q_ormq (key, payload, lock) VALUES ('jobrunner', 'garbage', '2026-01-01 00:00:00')")


def more_work(site: Site, chance: random.Random) -> None:
    site.manage("chores", chance.choice(["snapshot", "old-rows", "old-files"]), *WHY)


EVENTS: tuple[Callable[[Site, random.Random], None], ...] = (
    *(kill_one, kill_all, second_cluster, no_queue, doubled_queue, garbage_in_the_queue, more_work),
)


@pytest.mark.needs_docker
def test_twenty_jobs_do_not_notice_what_happens_to_the_queue(tmp_path):
    demo_images()
    seed = int(os.environ.get("CHORES_SEED", random.SystemRandom().randrange(10**6)))
    print(f"CHORES_SEED={seed}")
    chance = random.Random(seed)
    study = tmp_path / "study"
    make_repository(study, {"project.yaml": "version: '4.0'\nactions:\n" + "".join(map(ACTION.format, range(JOBS)))})
    label = f"chores-{seed}"
    with Site(tmp_path / "site", CHORES="true", INSTANCE=label, MAX_WORKERS="3") as site:
        site.manage("add_job", str(study), "run_all", "--workspace", "demo")
        with watched_starts(f"org.jobrunner.instance={label}") as starts:
            runner = started(site)
            happened = 0
            while site.query("SELECT 1 FROM jobs_job WHERE state IN ('pending', 'running')"):
                EVENTS[happened % len(EVENTS)](site, chance)
                happened += 1
                assert runner.poll() is None, runner.communicate()[0]
        assert happened >= len(EVENTS)
        assert site.query("SELECT state, count(*), max(attempt) FROM jobs_job GROUP BY state") == [
            ("succeeded", JOBS, 1)
        ]
        assert len(starts) == len(set(starts)) == JOBS
        # And afterwards chores are done as ever.
        site.manage("chores", "snapshot", "--wait", *WHY, seconds=60)
        assert outcome(site, "snapshot") == "done"
        open_rows = "SELECT chore FROM jobs_chorerun WHERE ended_at IS NULL"
        wait_until(lambda: not site.query(open_rows), 90, "the end of all that was asked for")
        assert site.query("SELECT 1 FROM jobs_chorerun WHERE outcome = 'failed'") == []
        runner.terminate()
        assert runner.wait(10) == 0
