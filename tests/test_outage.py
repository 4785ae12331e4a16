"""PostgreSQL is restarted, and crashes, while jobs run: processes may end and be started again, no job fails for it."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import docker
import pytest

from tests.engine import demo_images
from tests.git_repositories import repository_of
from tests.postgres_cluster import Cluster
from tests.site import DEMO_STUDY, ROOT, Site, wait_until, watched_starts

pytestmark = [pytest.mark.needs_docker, pytest.mark.slow_test, pytest.mark.postgresql_only]
STOPS = [signal.SIGINT, signal.SIGQUIT, signal.SIGQUIT, signal.SIGINT]
ACTIVE = "SELECT 1 FROM jobs_job WHERE state IN ('pending', 'running')"
AT_WORK = "SELECT 1 FROM jobs_job WHERE status_code = 'executing'"


@contextlib.contextmanager
def web(site: Site) -> Iterator[int]:
    """gunicorn, and its port."""
    log = site.folder / "web.log"
    command = [sys.executable, "-m", "gunicorn", "jobrunner_site.wsgi", "--bind", "127.0.0.1:0", "--threads", "4"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=site.environment, stdout=file, stderr=file)
    try:
        yield int(wait_until(lambda: re.search(rb"http://127\.0\.0\.1:(\d+)", log.read_bytes()), what="gunicorn")[1])
    finally:
        process.terminate()
        process.wait(30)


def health(port: int) -> dict:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/healthz/")
        return json.loads(connection.getresponse().read())


def is_well(port: int) -> bool:
    return health(port).get("database", {}).get("kind") == "postgresql"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as made:
        yield made


def test_a_study_outlives_restarts_and_crashes_of_the_database(tmp_path, cluster):
    demo_images()
    study = repository_of(DEMO_STUDY, tmp_path / "study")
    instance = f"outage-{os.getpid()}"
    with Site(tmp_path / "site", INSTANCE=instance, DATABASE_URL=cluster.url()) as site, web(site) as port:
        with watched_starts(f"org.jobrunner.instance={instance}") as started:
            service = site.start("service")
            site.manage("add_job", str(study), "run_all", "--workspace", "demo")
            for how in STOPS:
                wait_until(lambda: ask(cluster, AT_WORK) or not ask(cluster, ACTIVE), 120, "a job at work")
                assert is_well(port)
                cluster.stop(how)
                assert "database" in json.dumps(health(port))  # says so, and is not down itself
                cluster.start()
                wait_until(lambda: is_well(port), 60, "the pages")
                if not ask(cluster, ACTIVE):
                    site.manage("add_job", str(study), "run_all", "--workspace", "demo", "--force-run-dependencies")
            wait_until(lambda: not ask(cluster, ACTIVE), 300, "the end of all jobs")
            service.terminate()
            said, _ = service.communicate(timeout=60)
            assert service.returncode == 0, said
        assert {code for (code,) in ask(cluster, "SELECT status_code FROM jobs_job")} == {"succeeded"}, said
        assert ask(cluster, "SELECT max(attempt) FROM jobs_job") == [(1,)]
        assert len(started) == len(set(started)) == ask(cluster, "SELECT count(*) FROM jobs_job")[0][0]
        client = docker.from_env()
        label = f"org.jobrunner.instance={instance}"
        assert client.containers.list(all=True, filters={"label": label}) == []
        client.close()


def ask(cluster: Cluster, sql: str) -> list[tuple]:
    import psycopg

    with psycopg.connect(cluster.url(), autocommit=True) as session:
        return session.execute(sql).fetchall()


def test_a_command_says_in_one_sentence_that_the_database_does_not_answer(tmp_path, cluster):
    with Site(tmp_path, EXECUTOR="fake", DATABASE_URL=cluster.url()) as site:
        cluster.stop()
        for command in (["run"], ["sync", "--plan-only"], ["status"]):
            said = site.manage(*command, expect=2 if command == ["status"] else 1)
            assert "database" in said and "Traceback" not in said
