"""On PostgreSQL only one of a kind works with a database, on whatever machine; who loses that right ends at once."""

import contextlib
import socket
import subprocess
import sys
import threading

import psycopg
import pytest

from jobs.session_lock import LOCK_LOST
from tests.databases import PostgresqlDatabase
from tests.postgres_cluster import Cluster
from tests.site import ROOT, Site, wait_until

pytestmark = [pytest.mark.postgresql_only, pytest.mark.slow_test]

HOLDERS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 1785688690 AND granted"


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path, EXECUTOR="fake") as made:
        yield made


def begun(site: Site, *command: str) -> subprocess.Popen:
    process = site.start(*command)
    wait_until(lambda: holders(site), what="the lock")
    return process


def holders(site: Site) -> list[tuple]:
    return site.query(f"{HOLDERS} AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")


def test_a_second_runner_elsewhere_is_told_who_works_with_the_database(site, tmp_path):
    first = begun(site, "run")
    elsewhere = Site(tmp_path / "elsewhere", EXECUTOR="fake", **site.database.environment)
    said = elsewhere.manage("run", expect=3)
    assert "Another `manage.py run` is already working with this database: jobrunner run" in said
    assert f"{first.pid}@{socket.gethostname()}"[:20] in said and "Stop it first" in said
    elsewhere.__exit__()


def test_a_lock_is_given_back_however_the_process_ends(site):
    first = begun(site, "run")
    first.kill()
    first.wait(10)
    wait_until(lambda: not holders(site), what="the lock's end")
    second = begun(site, "run")
    second.terminate()
    assert second.wait(30) == 0
    wait_until(lambda: not holders(site), what="the lock's end")


def test_a_server_that_ends_what_is_idle_does_not_end_the_holder(site):
    """Its administrator may have set that for everybody; a lock and a listener are idle by nature."""
    site.change(f"ALTER DATABASE \"{site.database.name}\" SET idle_session_timeout = '1s'")
    first = begun(site, "run")
    idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' AND {}"
    old = "state_change < now() - interval '2 seconds'"
    wait_until(lambda: site.query(idle.format(old))[0][0] >= 1, what="a session that was idle for longer")
    assert first.poll() is None and holders(site)


def test_run_and_sync_do_not_hinder_each_other(site):
    begun(site, "run")
    site.start("sync", "--plan-only")
    wait_until(lambda: len(holders(site)) == 2, what="both locks")


@pytest.mark.parametrize("command", [["run"], ["sync", "--plan-only"]], ids=["run", "sync"])
def test_who_loses_the_lock_ends_at_once_and_says_so(site, command):
    process = begun(site, *command)
    ((pid,),) = holders(site)
    site.query("SELECT pg_terminate_backend(?)", pid)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == LOCK_LOST, said
    assert f"holds the lock of the only `manage.py {command[0]}` is lost" in said


class Pooler:
    """As pgbouncer does, it introduces itself to the client with a number of its own (BackendKeyData)."""

    def __init__(self, server: str) -> None:
        self._server, self._open, self._threads = server, [], []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self._begin(self._serve)

    def close(self) -> None:
        for each in (self._door, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for each in (self._door, *self._open):
            each.close()

    def _begin(self, *work) -> None:
        thread = threading.Thread(target=work[0], args=work[1:], daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.socket(socket.AF_UNIX)
                self._open += [client, server]
                server.connect(self._server)
                self._begin(self._pass_on, client, server, bytes)
                self._begin(self._pass_on, server, client, self._other_number)

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket, change) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                target.sendall(change(content))
            target.shutdown(socket.SHUT_WR)

    @staticmethod
    def _other_number(content: bytes) -> bytes:
        at = content.find(b"K\x00\x00\x00\x0c")
        return content if at < 0 else content[: at + 5] + b"\x00\x00\x00\x07" + content[at + 9 :]


def test_a_pooler_that_would_lend_the_lock_to_others_is_refused(tmp_path):
    database = PostgresqlDatabase()
    folder = database.address.split("@")[1].split("/")[0].replace("%2F", "/")
    pooler = Pooler(f"{folder}/.s.PGSQL.5432")
    url = f"postgresql://postgres@127.0.0.1:{pooler.port}/{database.name}?sslmode=disable&gssencmode=disable"
    try:
        site = Site(tmp_path, EXECUTOR="fake", DATABASE_URL=url)
        said = site.manage("run", expect=1)
        assert "DATABASE_URL leads to a connection pooler" in said and "Traceback" not in said
        assert "is not set up" not in said and site.manage("status", expect=2)  # a page or a command may go through it
    finally:
        pooler.close()
        database.drop()


def test_every_connection_says_whose_it_is(site):
    said = asked_through_django(site, "SHOW application_name")
    assert said.startswith("jobrunner") and f"@{socket.gethostname()}"[:20] in said


def test_what_was_committed_survives_a_crash_of_the_server_whatever_its_default_is(site):
    assert site.query("SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'") == [("off",)]
    assert asked_through_django(site, "SHOW synchronous_commit") == "on"


def asked_through_django(site: Site, sql: str) -> str:
    code = (
        "import django, sys; django.setup(); from django.db import connection; c = connection.cursor(); "
        "c.execute(sys.argv[1]); print(c.fetchone()[0])"
    )
    environment = site.environment | {"DJANGO_SETTINGS_MODULE": "jobrunner_site.settings"}
    done = subprocess.run(
        [sys.executable, "-c", code, sql], env=environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout.strip()


def test_the_lock_and_the_work_are_at_one_server_also_after_a_failover(tmp_path):
    """Two servers behind one address; the first one takes no writes any more, and lives on with the lock it gave."""
    with Cluster() as one, Cluster() as two:
        both = f"postgresql://postgres@/{{}}?host={one.folder},{two.folder}"
        for each in (one, two):
            with psycopg.connect(each.url(), autocommit=True) as server:
                server.execute("CREATE DATABASE jobs")
            Site(tmp_path, DATABASE_URL=each.url("jobs")).manage("migrate", "--verbosity=0")
        site = Site(tmp_path, EXECUTOR="fake", DATABASE_URL=both.format("jobs"))
        process = site.start("run")
        wait_until(lambda: ask(one, "SELECT 1 FROM jobs_heartbeat"), what="the first turn at the first server")
        with psycopg.connect(one.url(), autocommit=True) as server:
            server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            server.execute("SELECT pg_reload_conf()")
        said, _ = process.communicate(timeout=60)
        assert process.returncode in (1, LOCK_LOST), said
        assert "takes no writes any more" in said or "another server than the one that has this process's lock" in said
        assert not ask(two, "SELECT name FROM jobs_heartbeat"), said  # it has not worked there without a lock
        with psycopg.connect(two.url("jobs"), autocommit=True) as server:  # as a standby has it
            (row,) = ask(one, "SELECT id, identifier, made_at FROM jobs_installation")
            server.execute("INSERT INTO jobs_installation (id, identifier, made_at) VALUES (%s, %s, %s)", row)
        again = site.start("run")
        wait_until(lambda: ask(two, HOLDERS), what="the lock at the second server")
        again.terminate()
        assert again.wait(30) == 0
        site.__exit__()


def ask(cluster: Cluster, sql: str) -> list[tuple]:
    with psycopg.connect(cluster.url("jobs"), autocommit=True) as server:
        return server.execute(sql).fetchall()
