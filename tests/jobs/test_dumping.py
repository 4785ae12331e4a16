"""Copies of a database on PostgreSQL: by pg_dump, read through by pg_restore, no password on any command line."""

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
from django.db import connection

from jobs import dumping, snapshots
from jobs.snapshots import NoSnapshot, take
from tests.databases import PostgresqlDatabase
from tests.site import Site

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql_only]


@pytest.fixture(autouse=True)
def little_room(settings):
    settings.MIN_FREE_DISK_BYTES = 0


def files(settings) -> list[str]:
    return sorted(path.name for path in settings.SNAPSHOT_DIR.iterdir())


def test_a_copy_is_whole_and_nobody_else_may_read_it(settings):
    made = take()
    assert made.path.name.endswith("Z.dump") and files(settings) == [made.path.name]
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert snapshots.snapshots() == [made]
    listed = subprocess.run(["pg_restore", "--list", made.path], capture_output=True, text=True, check=True).stdout
    assert "TABLE DATA public jobs_job" in listed and "TRIGGER public jobs_job jobrunner_tells" in listed


def test_only_the_newest_are_kept_and_none_of_sqlite_is_touched(settings):
    settings.SNAPSHOTS_KEPT = 1
    settings.SNAPSHOT_DIR.mkdir()
    others = ["db-20260101T000000Z.sqlite3", "db-20260102T000000Z.dump.gz"]
    for name in others:
        (settings.SNAPSHOT_DIR / name).write_text("x")
    (settings.SNAPSHOT_DIR / "db-20260103T000000Z.dump").write_text("x")
    made = take()
    assert files(settings) == sorted([*others, made.path.name])


def test_trouble_is_one_sentence_and_leaves_nothing(settings, monkeypatch):
    connection.ensure_connection()
    monkeypatch.setitem(connection.settings_dict, "NAME", "nowhere")
    with pytest.raises(NoSnapshot, match=r'pg_dump failed: .*database "nowhere" does not exist'):
        take()
    assert files(settings) == []


def test_where_the_tools_are_missing_it_is_said_that_somebody_else_has_to_do_it(monkeypatch):
    monkeypatch.setattr(dumping.shutil, "which", lambda name: None)
    with pytest.raises(NoSnapshot, match="let the site's own backups of PostgreSQL do it"):
        take()
    assert "pg_dump is not installed here" in snapshots.why_not()


def test_the_password_goes_by_the_environment(tmp_path, monkeypatch):
    """And whoever needs one gets in: the tests' server asks this user for it."""
    with connection.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS site")
        cursor.execute("CREATE ROLE site SUPERUSER LOGIN PASSWORD 'hunter2 x'")
    seen = tmp_path / "seen"
    (tmp_path / "bin").mkdir()
    spy = tmp_path / "bin" / "pg_dump"
    spy.write_text(f'#!/bin/sh\necho "$@" >>{seen}\nexec /usr/bin/pg_dump "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}:{os.environ['PATH']}")
    monkeypatch.setitem(connection.settings_dict, "USER", "site")
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", "wrong")
    with pytest.raises(NoSnapshot, match="password authentication failed") as refused:
        take()
    assert "wrong" not in str(refused.value)
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", "hunter2 x")
    assert take().size > 0
    assert "hunter2" not in seen.read_text()


def test_pg_dump_hears_all_that_the_address_says(monkeypatch):
    """Whatever libpq knows may stand behind the `?`, and one word less may lead to another server or past its TLS."""
    said = {"sslmode": "verify-full", "ssl_min_protocol_version": "TLSv1.3", "requirepeer": "postgres", "port": "5433"}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", connection.settings_dict["OPTIONS"] | said)
    found = dumping._environment()
    assert (found["PGSSLMODE"], found["PGSSLMINPROTOCOLVERSION"], found["PGREQUIREPEER"], found["PGPORT"]) == (
        "verify-full", "TLSv1.3", "postgres", "5433",
    )  # fmt: skip
    assert found["PGAPPNAME"] == "jobrunner copy" and "PGTARGETSESSIONATTRS" in found
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "sslpassword", "hunter2")
    with pytest.raises(dumping.CannotDump, match="has sslpassword, which pg_dump cannot be told") as refused:
        dumping._environment()
    assert "hunter2" not in str(refused.value)


@pytest.mark.slow_test
def test_the_command_makes_one_that_can_be_restored_as_the_manual_says(tmp_path):
    """docs/postgresql.md: into a new database, with everything that keeps the audit and wakes the loops."""
    with Site(tmp_path / "site", EXECUTOR="fake") as site:
        site.manage("pause", "on", "--reason", "before")
        (told,) = json.loads(site.manage("snapshot_database", "--json"))["snapshots"]
        site.manage("pause", "off", "--reason", "after")
        assert told["path"] in site.manage("snapshot_database", "--list").replace("\n", "")
        restored = PostgresqlDatabase(empty=True)
        restore = ["pg_restore", "--no-owner", "--exit-on-error", "--single-transaction", "--dbname"]
        subprocess.run([*restore, restored.address, told["path"]], check=True, capture_output=True)
        site.environment |= restored.environment
        flags = json.loads(site.manage("flags", "--json"))["flags"]
        assert [flag["on"] for flag in flags if flag["name"] == "paused"] == [True]
        site.manage("migrate", "--check")
        triggers = {name for (name,) in restored.query("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")}
        assert triggers == {"audit_refuses_changes", "jobrunner_tells"}
        site.manage("pause", "off", "--reason", "the numbers go on")
        assert Path(told["path"]).is_file()
        restored.drop()
