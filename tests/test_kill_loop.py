"""`kill -9` of a real runner, again and again, while the demo study runs in real containers."""

import os
import random
import signal
import subprocess

import docker
import pytest

from tests.engine import demo_images
from tests.git_repositories import repository_of
from tests.site import DEMO_STUDY, Site, wait_until, watched_starts

KILLS = 20
LONGEST_LIFE_SECONDS = 1.2

pytestmark = [pytest.mark.needs_docker, pytest.mark.slow_test]


def hashes(site: Site) -> dict[str, str]:
    outputs = site.manifest(site.high, "demo")["outputs"]
    return {path: entry["content_hash"] for path, entry in outputs.items()}


def run_undisturbed(site: Site, study) -> dict[str, str]:
    site.manage("add_job", str(study), "run_all", "--workspace", "demo")
    site.manage("run", "--until-idle")
    return hashes(site)


def live_a_little(site: Site, chance: random.Random) -> None:
    """Start a runner and kill it at a random moment; it has at least got as far as taking its lock."""
    process = site.start("run")
    lock = site.work_dir / "run.lock"
    lock.touch()
    wait_until(lambda: process.poll() is not None or f"pid {process.pid} " in lock.read_text(), what="the start")
    try:
        process.wait(chance.uniform(0, LONGEST_LIFE_SECONDS))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGKILL, output


def test_a_runner_killed_twenty_times_ends_with_the_same_outputs_and_every_container_started_once(tmp_path):
    demo_images()
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(10**6)))
    print(f"KILL_SEED={seed}")
    chance = random.Random(seed)
    study = repository_of(DEMO_STUDY, tmp_path / "study")
    with Site(tmp_path / "calm") as calm:
        expected = run_undisturbed(calm, study)
    with Site(tmp_path / "site", INSTANCE=f"kill-loop-{seed}") as site:
        label = f"org.jobrunner.instance=kill-loop-{seed}"
        with watched_starts(label) as started:
            kills = 0
            site.manage("add_job", str(study), "run_all", "--workspace", "demo")
            while kills < KILLS:
                if not site.query("SELECT 1 FROM jobs_job WHERE state IN ('pending', 'running')"):
                    # The study is done before the kills are: the same again, so that every kill meets work.
                    site.manage("add_job", str(study), "run_all", "--workspace", "demo", "--force-run-dependencies")
                live_a_little(site, chance)
                kills += 1
            site.manage("run", "--until-idle")
        assert set(site.statuses().values()) == {"succeeded"}
        assert hashes(site) == expected
        assert len(started) == len(set(started)) == site.query("SELECT count(*) FROM jobs_job")[0][0]
        assert site.query("SELECT max(attempt) FROM jobs_job") == [(1,)]
        client = docker.from_env()
        assert client.containers.list(all=True, filters={"label": label}) == []
        client.close()
        assert list((site.work_dir / "jobs").iterdir()) == []
        assert not list(site.work_dir.rglob("*.tmp")) and not list(site.work_dir.rglob(".publishing/*"))
