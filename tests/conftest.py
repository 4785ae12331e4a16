"""What every test gets: folders of its own, so that no test sees another one's files, and an engine or a clear word."""

import contextlib
import functools
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from django.test import TransactionTestCase

from tests import databases, git_repositories
from tests.emptying import make_emptying
from tests.ports import hold_port, port_of
from tests.private_podman import PrivatePodman, podman_trouble, private_podman
from tests.site import Site


@functools.cache
def engine_trouble() -> str:
    """Why no engine answers, or an empty string."""
    try:
        client = docker.from_env(timeout=10)
        client.ping()
        client.close()
    except (docker.errors.DockerException, OSError) as error:
        return str(error)
    return ""


@functools.cache
def github_trouble() -> str:
    """Why github.com cannot be reached, or an empty string."""
    try:
        with socket.create_connection(("github.com", 443), timeout=5):
            return ""
    except OSError as error:
        return str(error)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database-only", action="store_true", help="only what touches the database, and nothing in a browser"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What PostgreSQL has to be tried on, found without anybody marking it: who uses Django's database, and who starts
    an installation of its own. Of pages in a browser the database sees nothing new."""
    if config.getoption("--database-only"):
        chosen = [item for item in items if _touches_database(item) and not item.get_closest_marker("needs_browser")]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
        items[:] = chosen


def _touches_database(item: pytest.Item) -> bool:
    by_fixture = {"db", "transactional_db", "django_db_setup", "site"} & set(getattr(item, "fixturenames", ()))
    is_marked = item.get_closest_marker("django_db") or item.get_closest_marker("postgresql_only")
    return bool(is_marked or by_fixture or getattr(item.module, "Site", None) is Site)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests of the real engine are skipped where none answers; in CI that is a failure.

    Those that talk to github.com are skipped in CI too, which has no network.
    """
    if item.get_closest_marker("sqlite_only") and databases.SERVER:
        pytest.skip("about SQLite itself")
    if item.get_closest_marker("postgresql_only") and not databases.SERVER:
        pytest.skip("about PostgreSQL itself: make test-postgres")
    if item.get_closest_marker("needs_network") and github_trouble():
        pytest.skip(f"github.com cannot be reached ({github_trouble()}); neither can it in CI, which has no network")
    if item.get_closest_marker("needs_podman") and podman_trouble():
        report = pytest.fail if os.environ.get("CI") else pytest.skip
        report(f"no tests against Podman: {podman_trouble()}")
    if item.get_closest_marker("needs_docker") and engine_trouble():
        report = pytest.fail if os.environ.get("CI") else pytest.skip
        report(f"no Docker engine answers ({engine_trouble()}); `make engine` starts one")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Between tests of real transactions all tables are emptied; the audit's triggers refuse that, so only the tests of
    them (`tests/jobs/test_audit.py`) have them."""
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP FUNCTION IF EXISTS audit_refuses() CASCADE")
        else:
            for verb in ("update", "delete"):
                cursor.execute(f"DROP TRIGGER IF EXISTS audit_refuses_{verb}")
        empty = make_emptying()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty)
        yield
    if connection.vendor == "postgresql":  # what a failed test has left connected would keep the database
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            cursor.execute(f"SELECT pg_terminate_backend(pid) {others}")


@pytest.fixture(scope="session")
def podman() -> Iterator[PrivatePodman]:
    """One for all tests, which leave it as they found it; a test that breaks it makes its own."""
    with private_podman() as made:
        yield made


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    settings.WORK_DIR = settings.HOST_WORK_DIR = tmp_path / "workdir"
    settings.HIGH_PRIVACY_STORAGE_BASE = settings.WORK_DIR / "high_privacy"
    settings.DOCKER_ROOT_DIR = ""  # of this machine, which tests' disks have nothing to do with
    settings.MEDIUM_PRIVACY_STORAGE_BASE = settings.WORK_DIR / "medium_privacy"
    settings.GIT_REPO_DIR = settings.WORK_DIR / "repos"
    settings.SNAPSHOT_DIR, settings.EXPORT_DIR = settings.WORK_DIR / "snapshots", settings.WORK_DIR / "exports"
    settings.WORK_DIR.mkdir()


@pytest.fixture
def serve(settings):
    """`tests.git_repositories.serve`, and the site reads everything that is served."""
    settings.GIT_ALLOW_HTTP = True
    settings.ALLOWED_GITHUB_ORGS = ("*",)

    @contextlib.contextmanager
    def serve_and_allow(*arguments, **options):
        with git_repositories.serve(*arguments, **options) as server:
            settings.ALLOWED_GIT_HOSTS = (*settings.ALLOWED_GIT_HOSTS, server.host)
            yield server

    return serve_and_allow


@pytest.fixture
def port_of_nobody() -> Iterator[int]:
    """Whoever calls there is refused."""
    with hold_port() as holder:
        yield port_of(holder)


@pytest.fixture
def other_file_system(settings):
    """High privacy storage on another file system than the jobs' folders, as at most sites."""
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == settings.WORK_DIR.stat().st_dev:
        pytest.skip("no second file system")
    with tempfile.TemporaryDirectory(dir=shared_memory, prefix="jobrunner-test-") as folder:
        settings.HIGH_PRIVACY_STORAGE_BASE = Path(folder)
        yield
