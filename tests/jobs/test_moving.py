"""Moving a site from SQLite to PostgreSQL: everything or nothing, and afterwards it works as before."""

import contextlib
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import PostgresqlDatabase, SqliteFile
from tests.git_repositories import make_repository
from tests.site import ROOT, Site, wait_until

pytestmark = [pytest.mark.postgresql_only, pytest.mark.slow_test]
PROJECT = """version: '4.0'
actions:
  table:
    run: python:v2 python table.py
    outputs: {moderately_sensitive: {rows: output/table.csv}}
"""
BOTH = ("jobs_job", "jobs_statuschange", "jobs_auditentry", "auth_user", "auth_group_permissions", "django_session")


def site_on_sqlite(folder: Path) -> Site:
    return Site(folder, EXECUTOR="fake", DATABASE_URL=f"sqlite:///{folder / 'workdir' / 'db.sqlite3'}")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a site that has run a job, with a person and texts that PostgreSQL would not take as they are."""
    folder = tmp_path_factory.mktemp("finished")
    with site_on_sqlite(folder) as site:
        site.manage("add_person", "alice", "--role", "operator")
        make_repository(folder / "study", {"project.yaml": PROJECT, "table.py": ""})
        site.manage("add_job", str(folder / "study"), "table", "--workspace", "study")
        site.manage("run", "--until-idle")
        site.change("UPDATE jobs_job SET status_detail = ?, metrics = ?", "a\x00b", '{"note": "\\u0000"}')
    return folder


@pytest.fixture
def old(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "site")
    site = site_on_sqlite(tmp_path / "site")
    yield site
    site.__exit__()


@pytest.fixture
def new():
    made = PostgresqlDatabase()
    yield made
    made.drop()


def counts(database: SqliteFile | PostgresqlDatabase) -> dict[str, int]:
    return {table: database.query(f"SELECT count(*) FROM {table}")[0][0] for table in BOTH}


def copy(old: Site, new: PostgresqlDatabase, *options: str, expect: int = 0) -> str:
    moving = Site(old.folder, **{**old.environment, **new.environment})
    return moving.manage("copy_database", *options, expect=expect)


@pytest.mark.parametrize("is_empty", [True, False], ids=["an empty database", "one that services began with"])
def test_a_site_goes_on_where_it_was(old, is_empty):
    new = PostgresqlDatabase(empty=is_empty)
    if not is_empty:
        new.change("INSERT INTO jobs_heartbeat (name, at, detail) VALUES ('sync', now(), '{}')")
    told = json.loads(copy(old, new, "--json"))
    before = counts(old.database)
    assert told["rows"]["jobs_job"] == before["jobs_job"] == 1 and told["texts_changed"] == 2
    after = counts(new)
    assert after.pop("jobs_auditentry") == before.pop("jobs_auditentry") + 1  # that it was copied
    assert after == before
    job = "SELECT identifier, action, status_code, run_command FROM jobs_job"
    assert new.query(job) == old.query(job)
    assert new.query("SELECT status_detail, metrics->>'note' FROM jobs_job") == [("a\ufffdb", "\ufffd")]

    moved = Site(old.folder, **{**old.environment, **new.environment})
    moved.manage("add_job", str(old.folder / "study"), "table", "--workspace", "study")
    moved.manage("run", "--until-idle")
    statuses = new.query("SELECT id, status_code FROM jobs_job ORDER BY id")
    assert [code for _, code in statuses] == ["succeeded", "succeeded"]
    moved.manage("add_person", "bob", "--role", "viewer")
    assert new.query("SELECT count(*) FROM auth_user") == [(2,)]
    moved.__exit__()
    new.drop()


def test_nobody_works_with_a_database_that_has_none_of_the_jobs(old, new):
    """Its tables are there, as after a move that was killed, or where services began before it: all looks well."""
    moved = Site(old.folder, **{**old.environment, **new.environment})
    for command, code in ((["run"], 1), (["sync", "--plan-only"], 1), (["status"], 2), (["jobs"], 1)):
        said = moved.manage(*command, expect=code)
        assert "knows none of them" in said and "manage.py copy_database" in said, said
    assert new.query("SELECT count(*) FROM jobs_job") == [(0,)]
    moved.manage("copy_database")
    moved.manage("run", "--until-idle")
    moved.__exit__()


def test_the_old_file_is_not_taken_for_the_site_any_more(old, new):
    """It is kept for a while, and with compose it is what counts if the new address gets lost."""
    copy(old, new)
    for command in (["run"], ["sync", "--plan-only"], ["add_person", "x", "--role", "viewer"]):
        assert "bears another number" in old.manage(*command, expect=1)


def test_it_says_what_it_has_copied_and_what_to_do_now(old, new):
    said = copy(old, new, "--from", str(old.work_dir / "db.sqlite3"))
    assert "copied and counted again" in said and "2 texts held a NUL" in said
    assert "Start run, sync and the web with this DATABASE_URL" in said


def refused(old: Site, new: PostgresqlDatabase, *options: str) -> str:
    before = counts(new)
    said = copy(old, new, *options, expect=1)
    assert counts(new) == before and "Traceback" not in said
    return said


def test_nothing_is_ever_mixed(old, new):
    new.change("INSERT INTO jobs_installation (id, identifier, made_at) VALUES (1, 'x', now())")
    assert "The new database is not empty (jobs_installation has rows)" in refused(old, new)


def test_neither_another_version_nor_another_program_s_database_is_touched(old):
    """Its tables must not be brought to our version before it is found that it is not empty."""
    theirs = PostgresqlDatabase()
    theirs.change("DROP TABLE jobs_installation")
    theirs.change("DELETE FROM django_migrations WHERE name = '0014_installation'")
    theirs.change("INSERT INTO jobs_logincount (name, address, failures, last_at) VALUES ('x', '', 1, now())")
    assert "is not empty (jobs_logincount has rows)" in copy(old, theirs, expect=1)
    assert theirs.query("SELECT 1 FROM django_migrations WHERE name = '0014_installation'") == []
    theirs.drop()
    other = PostgresqlDatabase(empty=True)
    other.change("CREATE TABLE patients (id int)")
    assert "a table of another program, patients" in copy(old, other, expect=1)
    assert other.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(1,)]
    other.drop()


def test_what_is_copied_already_is_not_copied_again_and_said_to_be_there(old, new):
    """Killed, or the connection lost, after the commit: nobody is sent for another database."""
    copy(old, new)
    mark = old.work_dir / "database-id"
    mark.write_text(f"{old.query('SELECT identifier FROM jobs_installation')[0][0]} {mark.read_text()}")
    assert "It is copied already, and all of it" in copy(old, new, expect=1)
    moved = Site(old.folder, **{**old.environment, **new.environment})
    moved.manage("run", "--until-idle")
    assert len(mark.read_text().split()) == 1
    assert "bears another number" in old.manage("run", expect=1)
    moved.__exit__()


def test_a_file_that_is_not_the_site_any_more_is_not_copied(old, new):
    """After the move much was done; a slip in the address must not make the old file the site again."""
    copy(old, new)
    second = PostgresqlDatabase(empty=True)
    said = copy(old, second, expect=1)
    assert "bears another number" in said and "db.sqlite3" in said
    assert second.query("SELECT count(*) FROM jobs_job") == [(0,)]
    second.drop()


def test_a_source_of_another_version_is_refused_with_what_to_do(old, new):
    old.change("DELETE FROM django_migrations WHERE name = '0013_news_of_changes'")
    said = refused(old, new)
    assert "lacks jobs.0013_news_of_changes" in said and "manage.py migrate" in said


def test_what_does_not_fit_is_named_and_nothing_is_copied(old, new):
    old.change("UPDATE jobs_job SET action = ?", "a" * 300)
    said = refused(old, new)
    assert "of jobs_job has 300 signs in action, where PostgreSQL takes 255" in said


def test_what_postgresql_does_not_take_is_named_by_table_and_line(old, new):
    old.change("UPDATE jobs_job SET metrics = ?", '{"note": "\\udcff"}')
    said = refused(old, new)
    assert "PostgreSQL does not take a row of jobs_job" in said and "COPY jobs_job, line 1" in said


def test_what_the_web_writes_meanwhile_is_noticed(old, tmp_path):
    """It holds no lock, and may have been forgotten."""
    database, root = PostgresqlDatabase(), str(ROOT)
    writing = (
        "import sqlite3, sys, django; django.setup()\n"
        "from pathlib import Path; from jobs import moving\n"
        "source = Path(sys.argv[1]); other = sqlite3.connect(source)\n"
        "def tell(table, rows):\n"
        "    if table == 'jobs_job':\n"
        "        other.execute('UPDATE jobs_job SET status_message = 7'); other.commit()\n"
        "try: moving.move(source, tell)\n"
        "except moving.CannotMove as error: print(error)\n"
    )
    environment = {**old.environment, **database.environment, "DJANGO_SETTINGS_MODULE": "jobrunner_site.settings"}
    command = [sys.executable, "-c", writing, str(old.work_dir / "db.sqlite3")]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert "was written to meanwhile, so nothing was copied" in done.stdout, done.stderr
    assert database.query("SELECT count(*) FROM jobs_job") == [(0,)]
    database.drop()


def test_of_two_old_files_none_is_guessed(old, new):
    """A site that came to compose from elsewhere has kept the older one."""
    (old.work_dir / "database").mkdir()
    shutil.copy(old.work_dir / "db.sqlite3", old.work_dir / "database")
    assert "name the one that the site works with by --from" in refused(old, new)


def test_neither_a_missing_file_nor_a_target_on_sqlite_is_taken(old, new, tmp_path):
    assert "There is no file" in refused(old, new, "--from", str(tmp_path / "none"))
    assert "on PostgreSQL" in old.manage("copy_database", expect=1)


def test_while_somebody_works_on_the_old_one_it_is_not_copied(old, new):
    runner = old.start("run")
    lock = old.work_dir / "run.lock"
    wait_until(lambda: f"pid {runner.pid} " in lock.read_text(), what="the start")
    assert "Another `manage.py run` is already driving" in refused(old, new)


def test_a_copy_that_is_killed_in_the_middle_leaves_nothing(old, new):
    with contextlib.closing(sqlite3.connect(old.work_dir / "db.sqlite3")) as database, database:
        rows = ((f"group {number}",) for number in range(60_000))
        database.executemany("INSERT INTO auth_group (name) VALUES (?)", rows)
    before = counts(new)
    moving = Site(old.folder, **{**old.environment, **new.environment})
    process = moving.start("copy_database")
    copying = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY%' AND datname = current_database()"
    wait_until(lambda: process.poll() is not None or new.query(copying), what="the copy")
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    wait_until(lambda: not new.query(copying), what="the end of its session")
    assert counts(new) == before
    moving.__exit__()
    copy(old, new)
    assert new.query("SELECT count(*) FROM auth_group")[0][0] > 60_000


def test_the_old_database_is_only_read(old, new):
    before = _dumped(old.work_dir / "db.sqlite3")
    copy(old, new)
    assert _dumped(old.work_dir / "db.sqlite3") == before


def _dumped(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())
