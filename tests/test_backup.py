"""docs/operations.md, "Backup": the copies that it names are enough to begin again on an empty disk."""

import shutil
import subprocess

import pytest

from tests.git_repositories import make_repository
from tests.site import Site, wait_until

pytestmark = [
    pytest.mark.slow_test,
    pytest.mark.sqlite_only,
]  # tests/jobs/test_dumping.py puts back a copy of PostgreSQL's

STUDY = """
version: '4.0'
actions:
  extract: {run: python:v2 python extract.py, outputs: {highly_sensitive: {rows: output/rows.csv}}}
  count: {run: python:v2 python count.py, needs: [extract], outputs: {moderately_sensitive: {t: output/t.csv}}}
  draw: {run: python:v2 python draw.py, needs: [count], outputs: {moderately_sensitive: {p: output/p.txt}}}
"""


def run(site: Site, study, *actions: str) -> None:
    site.manage("add_job", str(study), *actions, "--workspace", "w")
    site.manage("run", "--until-idle")


def test_a_lost_machine_begins_again_from_its_backup_and_the_next_job_uses_what_was_stored(tmp_path):
    study, backup = tmp_path / "study", tmp_path / "backup"
    make_repository(study, {"project.yaml": STUDY, **{f"{name}.py": "" for name in ("extract", "count", "draw")}})
    backup.mkdir()
    with Site(tmp_path / "lost", EXECUTOR="fake") as lost:
        run(lost, study, "count")
        running = lost.start("run")  # a backup is taken while everything runs
        wait_until(lambda: lost.query("SELECT 1 FROM jobs_heartbeat WHERE name = 'run'"), what="the runner")
        # The database first: what is stored after it is in the manifests, and verify_workspace names it.
        lost.manage("snapshot_database")
        for storage in (lost.high, lost.medium):
            subprocess.run(["cp", "-a", str(storage), str(backup)], check=True, timeout=60)
        [snapshot] = (lost.work_dir / "snapshots").glob("db-*.sqlite3")
        shutil.copy2(snapshot, backup)
        running.terminate()
        running.wait(30)
        jobs = lost.query("SELECT identifier, status_code FROM jobs_job ORDER BY identifier")
    shutil.rmtree(tmp_path / "lost")

    # The order of the handbook: folders, storages, database, migrate, look, start.
    found = Site(tmp_path / "found", EXECUTOR="fake")
    found.work_dir.mkdir(parents=True)
    for storage in (found.high, found.medium):
        subprocess.run(["cp", "-a", str(backup / storage.name), str(found.work_dir)], check=True, timeout=60)
    shutil.copy2(backup / snapshot.name, found.work_dir / "db.sqlite3")
    with found:  # runs migrate
        assert found.query("SELECT identifier, status_code FROM jobs_job ORDER BY identifier") == jobs
        found.manage("snapshot_database")
        found.manage("doctor", "database")
        found.manage("verify_workspace", "w")
        found.manage("reconcile", "--dry-run")
        run(found, study, "draw")
        codes = found.query("SELECT action, status_code FROM jobs_job ORDER BY id")
        # Neither extract nor count ran again: draw was given what had been stored.
        assert sorted(codes) == [("count", "succeeded"), ("draw", "succeeded"), ("extract", "succeeded")]
        assert set(found.manifest(found.medium, "w")["outputs"]) == {"output/t.csv", "output/p.txt"}
        found.manage("verify_workspace", "w")


def test_what_was_stored_after_the_copy_of_the_database_stays_and_is_made_again_by_whoever_needs_it(tmp_path):
    study = tmp_path / "study"
    make_repository(study, {"project.yaml": STUDY, **{f"{name}.py": "" for name in ("extract", "count", "draw")}})
    with Site(tmp_path / "site", EXECUTOR="fake") as site:
        run(site, study, "extract")
        site.manage("snapshot_database")
        run(site, study, "count")
        [snapshot] = (site.work_dir / "snapshots").glob("db-*.sqlite3")
        for end in ("", "-wal", "-shm"):
            (site.work_dir / f"db.sqlite3{end}").unlink(missing_ok=True)
        shutil.copy2(snapshot, site.work_dir / "db.sqlite3")
        site.manage("verify_workspace", "w")
        # The database knows nothing of `count`, so what needs it has it made again.
        run(site, study, "draw")
        codes = site.query("SELECT action, status_code FROM jobs_job")
        assert sorted(codes) == [("count", "succeeded"), ("draw", "succeeded"), ("extract", "succeeded")]
        site.manage("verify_workspace", "w")
