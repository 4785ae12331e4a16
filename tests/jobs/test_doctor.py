"""The doctor finds what is broken, says what to do, hangs nowhere and changes nothing."""

import json
import os
import socket
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone

from jobs import doctor
from jobs.doctor import BAD, OFF, OK, WARN, Finding, beside, database, examine, names, places, sources
from jobs.models import ChoreRun, Heartbeat
from jobs.snapshots import Snapshot
from runner import examining as engine
from runner.executors.docker.facts import Facts
from sync import examining as server
from tests.console import Terminal
from tests.databases import SERVER
from tests.factories import make_request
from tests.fakes.job_server import FakeJobServer
from tests.git_repositories import make_repository
from tests.ports import HOST, hold_port, port_of
from tests.smtp import mail_server

# Examinations run in threads of their own, which do not see into a test's transaction.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def manage(capsys, monkeypatch) -> Terminal:
    return Terminal(capsys, monkeypatch)


def states(found) -> dict[str, str]:
    return {finding.name: finding.state for finding in found}


def found_by(examination) -> dict[str, Finding]:
    return {finding.name: finding for finding in examination()}


# The frame


@pytest.fixture
def only(monkeypatch):
    """`only(one=f)`: nothing else is examined."""

    def replace(**examinations) -> None:
        monkeypatch.setattr(doctor, "_examinations", {name: name for name in examinations})
        monkeypatch.setattr(doctor, "import_string", examinations.get)

    return replace


def test_each_room_has_added_its_part():
    assert set(names()) == {"database", "places", "git", "docker", "runner", "job-server", "chores", "notices"}


def test_every_part_can_be_imported(settings, tmp_path):
    settings.EXECUTOR, settings.ALLOWED_GIT_HOSTS, settings.JOB_SERVER_ENDPOINT = "fake", (), ""
    found = list(examine())
    assert not [finding for finding in found if "could not be examined" in finding.said]
    assert {"Migrations", "Work directory", "git", "Docker engine", "Runner", "Job-server"} <= set(states(found))


def test_what_fails_is_a_finding_after_what_was_found_before(only):
    def fails():
        yield Finding("first", OK, "well")
        raise RuntimeError("a fault")

    only(fails=fails, last=lambda: [Finding("last", OK, "well")])
    found = list(examine())
    assert states(found) == {"first": OK, "fails": BAD, "last": OK} and "a fault" in found[1].said


def test_what_hangs_is_a_finding_and_holds_up_no_other(only, monkeypatch):
    over = threading.Event()
    only(hangs=lambda: [over.wait(60)], last=lambda: [Finding("last", OK, "well")])
    steps = examine()
    monkeypatch.setattr(doctor, "LONGEST_SECONDS", 0.05)  # for the one that hangs
    hanging = next(steps)
    monkeypatch.setattr(doctor, "LONGEST_SECONDS", 30)
    last = next(steps)
    over.set()
    assert (hanging.name, hanging.state) == ("hangs", BAD) and "no answer within" in hanging.said and hanging.what
    assert (last.name, last.state) == ("last", OK)


def test_the_command_prints_what_to_do_and_tells_by_its_exit_code(manage, only, settings):
    settings.LOGS_NEVER_SHOW = ("s3cret-of-ours",)
    bad = Finding("Disk", BAD, "full\x1b[2J s3cret-of-ours", "free space")
    only(one=lambda: [bad, Finding("git", OK, "2", "not told")])
    called = manage("doctor")
    assert called.code == 2 and called.out == "✗ Disk: full\\x1b[2J ***\n    free space\n✓ git: 2\n"
    only(one=lambda: [Finding("Disk", WARN, "nearly full"), Finding("x", OFF, "off")])
    assert manage("doctor").code == 1
    only(one=lambda: [Finding("Disk", OK, "room")])
    assert manage("doctor").code == 0
    told = json.loads(manage("doctor", "--json").out)
    assert told == {"state": "ok", "findings": [{"name": "Disk", "state": "ok", "said": "room", "what": ""}]}


def test_only_a_part_can_be_examined_and_no_other(manage, only):
    only(one=lambda: [Finding("1", OK, "x")], two=lambda: [Finding("2", BAD, "x")])
    assert manage("doctor", "one").out == "✓ 1: x\n"
    assert manage("doctor", "three").refusal == "There is nothing called three. There is: one, two."


# Database


def test_a_database_that_is_well(monkeypatch):
    monkeypatch.setattr(database, "snapshots", lambda: [Snapshot(None, timezone.now(), 1)])
    found = found_by(database.examine_database)
    assert found["Migrations"].state == OK and found["Snapshots"].state == OK
    if SERVER:  # the tests' own forgets all at a power cut, and that has to be seen
        assert found["Database settings"].state == BAD and "fsync is off" in found["Database settings"].said
    else:
        assert found["Database"].state == OK


def test_migrations_that_were_forgotten(monkeypatch):
    monkeypatch.setattr(database.MigrationExecutor, "migration_plan", lambda *_: [1, 2])
    found = list(database.examine_database())
    assert [(each.name, each.state) for each in found] == [("Migrations", BAD)]
    assert "2 are not applied" in found[0].said and "manage.py migrate" in found[0].what


class Opened:
    """A file of SQLite in place of Django's connection."""

    def __init__(self, path):
        self.settings_dict = {"NAME": str(path)}
        self._real = sqlite3.connect(path)

    def cursor(self):
        return closing(self._real.cursor())

    def close(self):
        self._real.close()


def test_a_damaged_database_and_one_that_is_not_set_as_it_has_to_be(tmp_path, monkeypatch):
    path = tmp_path / "db.sqlite3"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE job (name TEXT UNIQUE)")
        made.executemany("INSERT INTO job VALUES (?)", [(f"job {number}" * 50,) for number in range(2000)])
        made.commit()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = os.urandom(20_000)
    path.write_bytes(content)
    with closing(Opened(path)) as connection:
        monkeypatch.setattr(database, "connection", connection)
        found = list(database._sqlite())
    assert "damaged" in found[-1].said and "snapshot" in found[-1].what
    assert any("journal_mode is delete and not WAL" in each.said for each in found)


@pytest.mark.parametrize(("age", "state"), [(None, WARN), (timedelta(hours=1), OK), (timedelta(days=3), WARN)])
def test_snapshots_that_are_missing_or_old(monkeypatch, age, state):
    taken = [] if age is None else [Snapshot(None, timezone.now() - age, 1)]
    monkeypatch.setattr(database, "snapshots", lambda: taken)
    assert database._snapshots().state == state


# Places


@pytest.fixture
def folders(settings):
    for folder in (settings.WORK_DIR, settings.HIGH_PRIVACY_STORAGE_BASE, settings.MEDIUM_PRIVACY_STORAGE_BASE):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    settings.MIN_FREE_DISK_BYTES = 1
    return settings


def test_places_that_are_well_are_left_as_they_were(folders):
    assert set(states(places.examine_places()).values()) == {OK}
    assert not list(folders.HIGH_PRIVACY_STORAGE_BASE.iterdir())


def test_a_place_that_is_not_there_or_that_others_may_read(folders, tmp_path):
    folders.MEDIUM_PRIVACY_STORAGE_BASE.rmdir()
    folders.HIGH_PRIVACY_STORAGE_BASE.chmod(0o755)
    assert "every user" not in str(list(places.examine_places())), "a folder above is closed to them"
    for above in (tmp_path, *tmp_path.parents):
        if "pytest" in str(above):
            above.chmod(0o755)
    folders.HIGH_PRIVACY_STORAGE_BASE.parent.chmod(0o755)
    found = list(places.examine_places())
    assert ("Medium privacy storage", WARN) in [(each.name, each.state) for each in found]
    (open_to_all,) = [each for each in found if "every user" in each.said and each.name == "High privacy storage"]
    assert open_to_all.state == WARN and "chmod o-rwx" in open_to_all.what


def test_a_place_that_cannot_be_written(folders, monkeypatch):
    def refuses(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(places.tempfile, "NamedTemporaryFile", refuses)
    found = found_by(places.examine_places)["Work directory"]
    assert found.state == BAD and "Read-only file system" in found.said and "write to" in found.what


@pytest.mark.parametrize(("times", "state"), [(0.7, WARN), (2, BAD)])
def test_a_disk_without_room(folders, times, state):
    folders.MIN_FREE_DISK_BYTES = int(places.shutil.disk_usage(folders.WORK_DIR).free * times)
    assert found_by(places.examine_places)["Work directory"].state == state


def test_two_file_systems_are_said_to_cost_copies(folders, other_file_system):
    folders.HIGH_PRIVACY_STORAGE_BASE.mkdir(parents=True, exist_ok=True)
    assert found_by(places.examine_places)["Moving outputs"].state == WARN


# git


@pytest.fixture
def no_hosts(settings):
    settings.ALLOWED_GIT_HOSTS, settings.GIT_PROXY = (), ""
    return settings


def test_git_and_the_last_study_are_read(no_hosts, tmp_path):
    make_repository(tmp_path / "study", {"project.yaml": "version: 4"})
    assert found_by(sources.examine_sources)["The last study"].state == OFF
    make_request(repo_url=str(tmp_path / "study"), branch="main")
    assert states(sources.examine_sources()) == {"git": OK, "The last study": OK}


def test_a_study_that_cannot_be_read_any_more(no_hosts, tmp_path):
    make_request(repo_url=str(tmp_path / "gone"), branch="main")
    assert found_by(sources.examine_sources)["The last study"].state == WARN


def test_hosts_that_answer_and_that_do_not(no_hosts):
    with socket.create_server((HOST, 0)) as listens, hold_port() as silent:
        answering, refusing = f"{HOST}:{listens.getsockname()[1]}", f"{HOST}:{port_of(silent)}"
        no_hosts.ALLOWED_GIT_HOSTS = (answering, refusing, "no-such-host.invalid")
        found = found_by(sources.examine_sources)
    assert found[f"git host {answering}"].state == OK
    assert found[f"git host {refusing}"].state == BAD and "refused" in found[f"git host {refusing}"].said
    assert found["git host no-such-host.invalid"].state == BAD


def test_a_proxy_is_asked_instead_and_its_password_is_not_shown(no_hosts):
    with hold_port() as silent:
        no_hosts.GIT_PROXY = f"http://user:pa55word@{HOST}:{port_of(silent)}"
        found = found_by(sources.examine_sources)["git proxy"]
    assert found.state == BAD and "pa55word" not in found.said


def test_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    found = list(sources.examine_sources())
    assert [(each.name, each.state, each.what) for each in found] == [("git", BAD, "Install git.")]


# The job-server, the processes


def test_a_job_server_that_knows_us_one_that_does_not_and_none(settings):
    settings.JOB_SERVER_ENDPOINT = ""
    assert found_by(server.examine_job_server)["Job-server"].state == OFF
    with FakeJobServer() as fake:
        settings.JOB_SERVER_ENDPOINT, settings.JOB_SERVER_TOKEN, settings.BACKEND = fake.url, fake.token, fake.backend
        found = found_by(server.examine_job_server)
        assert found["Job-server"].state == OK and found["Sync"].state == WARN
        settings.JOB_SERVER_TOKEN = "another-token-than-ours"
        found = found_by(server.examine_job_server)["Job-server"]
        assert found.state == BAD and "another-token" not in found.said
    assert found_by(server.examine_job_server)["Job-server"].state == BAD


def test_the_runner_is_alive_or_not():
    assert found_by(engine.examine_runner)["Runner"].state == WARN
    Heartbeat.beat("run", pid=4711, host="tre")
    assert "process 4711 on tre" in found_by(engine.examine_runner)["Runner"].said


# The engine


@pytest.fixture
def told(settings, monkeypatch) -> dict:
    """What the engine says; a test may change it."""
    settings.EXECUTOR, settings.DOCKER_REGISTRY, settings.ALLOWED_IMAGES = "docker", "ghcr.io/os", ("python", "r")
    settings.DATABASE_URLS, settings.DOCKER_ROOT_DIR = {"default": "x"}, "/var/lib/docker/"
    settings.DOCKER_HOST = "unix:///var/run/docker.sock"
    found = {
        "name": "Docker", "version": "28.1.0", "root": "/var/lib/docker", "survives_restart": True,
        "is_rootless": False,        "ahead_seconds": 0.1, "warnings": (),
        "tags": ["ghcr.io/os/python:v2", "ghcr.io/os/r:v2"], "network": True,
    }  # fmt: skip
    of_engine = ("name", "version", "root", "survives_restart", "is_rootless", "ahead_seconds", "warnings")
    monkeypatch.setattr(engine, "facts", lambda _: Facts(**{name: found[name] for name in of_engine}))
    monkeypatch.setattr(engine, "tags_of", lambda *_: found["tags"])
    monkeypatch.setattr(engine, "has_network", lambda *_: found["network"])
    monkeypatch.setattr(engine, "sees_mark", lambda *_: found.get("sees", True))
    return found


def test_an_engine_that_is_well(told):
    assert set(states(engine.examine_engine()).values()) == {OK}


@pytest.mark.parametrize(
    ("change", "name", "state"),
    [
        ({"version": "19.03.1"}, "Docker engine", BAD),
        ({"name": "Podman", "version": "3.4.4"}, "Docker engine", BAD),
        ({"survives_restart": False}, "Live restore", WARN),
        ({"is_rootless": True}, "Docker engine", BAD),
        ({"root": "/srv/docker"}, "Docker's own files", WARN),
        ({"ahead_seconds": 61.0}, "Clock", BAD),
        ({"ahead_seconds": -61.0}, "Clock", BAD),
        ({"warnings": ("No swap limit support",)}, "Docker engine", WARN),
        ({"tags": []}, "Images", BAD),
        ({"tags": ["ghcr.io/os/python:v2"]}, "Images", WARN),
        ({"network": False}, "Database network", BAD),
        ({"sees": False}, "Workspaces", BAD),
    ],
)
def test_what_is_not_well_with_the_engine_is_told_with_what_to_do(told, change, name, state):
    told.update(change)
    found = [each for each in engine.examine_engine() if each.name == name and each.state == state]
    assert found and found[0].what


def test_without_containers_there_is_no_engine_to_ask(settings):
    settings.EXECUTOR = "fake"
    assert states(engine.examine_engine()) == {"Docker engine": OFF}


def test_an_engine_that_does_not_answer(settings):
    settings.EXECUTOR, settings.DOCKER_HOST = "docker", "unix:///nowhere/docker.sock"
    found = found_by(engine.examine_engine)["Docker engine"]
    assert found.state == BAD and "docker info" in found.what


@pytest.mark.needs_docker
def test_a_real_engine_is_understood(settings):
    from tests.engine import BASE_URL, tiny_image

    image = tiny_image()
    settings.EXECUTOR, settings.DOCKER_HOST = "docker", BASE_URL
    settings.DOCKER_REGISTRY, settings.ALLOWED_IMAGES = image.rpartition("/")[0], ("busybox",)
    settings.DATABASE_URLS, settings.DATABASE_ACCESS_NETWORK = {"default": "x"}, "jobrunner-no-such-network"
    found = found_by(engine.examine_engine)
    assert found["Clock"].state == OK and found["Images"].state == OK
    assert found["Database network"].state == BAD and "docker network create" in found["Database network"].what
    assert found["Workspaces"].state == OK
    settings.HOST_WORK_DIR = settings.WORK_DIR / "as-no-host-has-it"
    found = found_by(engine.examine_engine)["Workspaces"]
    assert found.state == BAD and "HOST_WORK_DIR" in found.what
    assert not list(settings.WORK_DIR.glob(".seen-*"))


# Beside the jobs


def ended(chore: str, outcome: str) -> None:
    now = timezone.now()
    ChoreRun.objects.create(chore=chore, started_at=now, ended_at=now, outcome=outcome)


def test_chores_that_are_done_that_fail_and_that_nobody_does(settings):
    Heartbeat.beat("run", chores={"on": True})
    assert found_by(beside.examine_chores)["Chores"].said == "none done yet"
    ended("snapshot", "done")
    assert found_by(beside.examine_chores)["Chores"] == Finding("Chores", OK, "1 chore done")
    ended("storage", "failed")
    found = found_by(beside.examine_chores)["Chores"]
    assert (found.state, found.said) == (WARN, "failed: storage")
    Heartbeat.beat("run", chores={"on": False})
    assert found_by(beside.examine_chores)["Chores"].said == "the runner does none"
    settings.CHORES = False
    assert found_by(beside.examine_chores)["Chores"].said == "CHORES is off"


def test_a_mail_server_that_answers_and_one_that_does_not(settings, port_of_nobody):
    assert found_by(beside.examine_notices)["Notices"].state == OFF
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.NOTIFY_EMAILS, settings.DASHBOARD_URL = ("olive@example.org",), "https://jobs.example.org"
    with mail_server() as post:
        settings.EMAIL_HOST, settings.EMAIL_PORT = HOST, post.port
        found = found_by(beside.examine_notices)
        assert list(found) == ["Mail server"] and found["Mail server"].state == OK and post.letters == []
    settings.EMAIL_PORT = port_of_nobody
    found = found_by(beside.examine_notices)["Mail server"]
    assert found.state == BAD and f"{HOST}:{port_of_nobody} does not take us" in found.said


def test_a_webhook_is_not_called_and_its_address_not_shown(settings):
    settings.NOTIFY_WEBHOOK_URL = "https://chat.example.org/very-secret"
    found = found_by(beside.examine_notices)
    assert found["Webhook"].state == OK and "secret" not in str(found)
    assert found["Notices"].state == WARN and "DASHBOARD_URL" in found["Notices"].what


def test_a_damaged_database_is_examined_and_the_other_commands_say_what_to_do(manage, only, monkeypatch):
    def damaged() -> None:
        raise DatabaseError("file is not a database")

    monkeypatch.setattr("jobs.console.command.check_database", damaged)
    only(database=lambda: [Finding("Database", BAD, "it is damaged")])
    assert manage("doctor").code == 2
    assert manage("jobs").refusal == (
        "The database cannot be used now: file is not a database. Put a snapshot back: docs/operations.md."
    )
