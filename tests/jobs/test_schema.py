"""Updates: `migrate` once, whoever starts it; no process on a database that is not its own; and for a moment the older
version beside the newer tables."""

import ast
import fcntl
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db import OperationalError

from jobs.schema import check_database
from jobs.set_up import once_set_up
from tests.factories import make_job
from tests.site import DEMO_STUDY, ROOT, Site, wait_until

MIGRATIONS = ROOT / "jobs" / "migrations"
# Those up to here were written before the rule.
LAST_FREE = 12


def newest_migration() -> Path:
    return max(MIGRATIONS.glob("0*.py"))


@pytest.mark.slow_test
def test_three_migrations_that_start_at_once_are_one(tmp_path):
    site = Site(tmp_path, EXECUTOR="fake")
    processes = [site.start("migrate") for _ in range(3)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], "\n".join(outputs)
    applied = [output for output in outputs if "Applying jobs.0001_initial" in output]
    assert len(applied) == 1
    site.manage("status", "--json", expect=2)  # its tables are there; nothing runs


@pytest.mark.slow_test
@pytest.mark.sqlite_only(reason="PostgreSQL itself holds the lock there, wherever the processes are")
def test_migrations_of_one_database_wait_for_each_other_though_each_has_a_work_directory_of_its_own(tmp_path):
    """As in compose.yaml, where containers share the folder of the database and nothing else."""
    (tmp_path / "database").mkdir()
    address = f"sqlite:///{tmp_path / 'database' / 'db.sqlite3'}"
    site = Site(tmp_path / "second", EXECUTOR="fake", DATABASE_URL=address)
    with (tmp_path / "database" / "migrate.lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the first one is at work
        second = site.start("migrate")
        first_line = second.stdout.readline()
        assert "another `manage.py migrate` is at work here" in first_line
        assert second.poll() is None
    said = second.communicate(timeout=120)[0]
    assert second.returncode == 0 and "Applying jobs.0001_initial" in said, said


@pytest.mark.slow_test
def test_nothing_works_on_a_database_of_a_newer_version_and_migrate_leaves_it_alone(tmp_path):
    with Site(tmp_path, EXECUTOR="fake") as site:
        site.change("INSERT INTO django_migrations (app, name, applied) VALUES ('jobs', '9999_next', '2030-01-01')")
        for command in (["run", "--until-idle"], ["sync", "--plan-only", "--once"], ["migrate"]):
            said = site.manage(*command, expect=1)
            assert "newer version" in said and "jobs.9999_next" in said and "Traceback" not in said


@pytest.mark.django_db
def test_the_web_waits_for_its_tables_and_then_asks_no_more(monkeypatch):
    answers, asked = [CommandError("run `manage.py migrate`."), None], []

    def check() -> None:
        asked.append(True)
        if error := answers.pop(0):
            raise error

    monkeypatch.setattr("jobs.set_up.check_database", check)
    monkeypatch.setattr("jobs.set_up.LOOK_SECONDS", 0)
    monkeypatch.setattr("jobs.set_up.connection", type("Connection", (), {"close": staticmethod(lambda: None)}))
    told: list[str] = []
    web = once_set_up(lambda environ, start: [b"page"])

    def ask(path: str) -> bytes:
        return b"".join(web({"PATH_INFO": path}, lambda status, headers: told.append(status)))

    assert ask("/livez") == b"page" and not asked
    assert b"trouble" in ask("/jobs/") and told == ["503 Service Unavailable"]
    assert ask("/jobs/") == b"page" == ask("/jobs/")
    assert len(asked) == 2


@pytest.mark.django_db
def test_a_look_that_fails_is_no_leave_for_ever(monkeypatch):
    """The database was locked just then; what it is like has still to be found out."""
    answers = [OperationalError("database is locked"), CommandError("is not that of the jobs"), None]

    def check() -> None:
        if error := answers.pop(0):
            raise error

    monkeypatch.setattr("jobs.set_up.check_database", check)
    monkeypatch.setattr("jobs.set_up.LOOK_SECONDS", 0)
    monkeypatch.setattr("jobs.set_up.connection", type("Connection", (), {"close": staticmethod(lambda: None)}))
    web = once_set_up(lambda environ, start: [b"page"])
    asked = [b"".join(web({"PATH_INFO": "/jobs/"}, lambda status, headers: None)) for _ in range(4)]
    assert [b"trouble" in answer for answer in asked] == [False, True, False, False] and not answers


@pytest.mark.django_db
def test_a_set_up_database_is_fine():
    make_job()
    check_database()


def breaks_the_older_version(source: str) -> list[str]:
    """What a migration does that a process of the version before cannot live with: it inserts rows without the new
    columns, and reads the columns and tables that it knows."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", "")
        if name in ("RemoveField", "RenameField", "RenameModel", "DeleteModel"):
            found.append(name)
        if name == "AddField":
            words = {each.arg: each.value for each in node.keywords}
            of_field = {each.arg for each in words["field"].keywords}
            is_many = getattr(words["field"].func, "attr", "") == "ManyToManyField"
            if not is_many and not of_field & {"db_default", "null"}:
                found.append(f"AddField {ast.unparse(words['name'])} without db_default or null")
    return found


def test_migrations_add_first_and_remove_a_release_later():
    """Whatever is removed on purpose, a release after the code has ceased to use it, says so: `# no longer used`."""
    assert breaks_the_older_version("migrations.RemoveField(model_name='job', name='x')")
    assert breaks_the_older_version(
        "migrations.AddField(model_name='job', name='x', field=models.TextField(default=''))"
    )
    assert not breaks_the_older_version(
        "migrations.AddField(model_name='job', name='x', field=models.TextField(db_default=''))"
    )
    for path in sorted(MIGRATIONS.glob("0*.py")):
        if int(path.name[:4]) > LAST_FREE and "# no longer used" not in path.read_text():
            assert breaks_the_older_version(path.read_text()) == [], f"{path.name}: see docs/operations.md, An update"


def version_before(folder: Path) -> Path:
    """The code as it was before the newest migration came."""

    def git(*words: str) -> bytes:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, timeout=60, check=False)
        if done.returncode:
            pytest.skip(f"this copy of the repository has no history: {done.stderr.decode()[-200:]}")
        return done.stdout

    # Along the main line: a branch may have begun long before.
    only_main = ("--first-parent", "-m")
    commits = git("log", *only_main, "--format=%H", "--diff-filter=A", "--", str(newest_migration())).split()
    if not commits:
        pytest.skip("the newest migration is not committed yet, or this copy has no history")
    archive = git("archive", f"{commits[-1].decode()}^")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.mark.slow_test
def test_processes_of_the_version_before_go_on_beside_the_newest_tables(tmp_path):
    """They have been started before `migrate`: an update without a pause, or a process that somebody forgot."""
    older = version_before(tmp_path / "older")
    if newest_migration().name in {path.name for path in (older / "jobs" / "migrations").iterdir()}:
        pytest.skip("the history does not show the version before")
    site = Site(tmp_path / "site", EXECUTOR="fake")

    def of_older(*words: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, str(older / "manage.py"), *words],
            env=site.environment, cwd=older, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    shutil.copytree(DEMO_STUDY, tmp_path / "study")
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(tmp_path / "study"), *words], check=True, env=os.environ, timeout=30)
    done = of_older("migrate", "--verbosity=0")
    assert done.communicate(timeout=120) and done.returncode == 0
    runner, sync = of_older("run"), of_older("sync", "--plan-only")
    try:
        lives = "SELECT count(*) FROM jobs_heartbeat WHERE name IN ('run', 'sync')"
        wait_until(lambda: site.query(lives) == [(2,)], what="the older processes")
        site.manage("migrate")
        site.manage("add_job", str(tmp_path / "study"), "run_all", "--workspace", "w")

        def succeeded() -> int:
            assert runner.poll() is None and sync.poll() is None
            states = [state for (state,) in site.query("SELECT state FROM jobs_job")]
            assert "failed" not in states
            return len(states) if set(states) == {"succeeded"} else 0

        # The older runner writes what becomes of jobs, the older sync the jobs of what is asked for again.
        before = wait_until(succeeded, 120, "the end of all jobs")
        [(identifier,)] = site.query("SELECT identifier FROM jobs_job ORDER BY id LIMIT 1")
        site.manage("rerun_job", identifier, "--reason", "of the test", "--yes")
        wait_until(lambda: succeeded() > before, 120, "the end of the job that was asked for again")
    finally:
        for process in (runner, sync):
            process.terminate()
        said = runner.communicate(timeout=30)[0] + sync.communicate(timeout=30)[0]
    assert "Traceback" not in said and not re.search(r"\bERROR\b", said), said
    site.manage("run", "--until-idle")
