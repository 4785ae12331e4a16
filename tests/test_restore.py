"""A backup as docs/operations.md has it, a machine that is gone, and what is put back on an empty one."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.engine import demo_images
from tests.git_repositories import repository_of
from tests.site import DEMO_STUDY, Site
from tests.test_kill_loop import hashes

pytestmark = [pytest.mark.needs_docker, pytest.mark.slow_test]


def copy(source: Path, target: Path) -> None:
    """As the document says it: owners, times and all; again and again, the second time only what is new."""
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "--archive", "--update", f"{source}/.", str(target)], check=True)


@pytest.mark.sqlite_only(reason="tests/jobs/test_dumping.py puts a copy of PostgreSQL's back")
def test_a_site_that_is_put_back_on_an_empty_machine_goes_on_where_the_backup_was_made(tmp_path):
    demo_images()
    study = repository_of(DEMO_STUDY, tmp_path / "study")
    backup, lost = tmp_path / "backup", tmp_path / "lost"
    with Site(lost, INSTANCE="restore-test", SNAPSHOT_DIR=str(backup / "database")) as site:
        site.manage("add_job", str(study), "run_all", "--workspace", "demo")
        site.manage("run", "--until-idle")
        jobs, outputs = site.query("SELECT count(*) FROM jobs_job"), hashes(site)
        # Half a job is in the copy of the database, too: its container is lost with the machine.
        site.manage("add_job", str(study), "generate_patients", "--workspace", "other")
        site.change("UPDATE jobs_job SET state = 'running', status_code = 'executing' WHERE workspace = 'other'")
        site.manage("snapshot_database")
        copy(site.high, backup / "high")
        copy(site.medium, backup / "medium")
    shutil.rmtree(lost)

    found = tmp_path / "found"
    (found / "workdir").mkdir(parents=True, mode=0o700)
    (snapshot,) = (backup / "database").glob("db-*.sqlite3")
    shutil.copy(snapshot, found / "workdir" / "db.sqlite3")
    copy(backup / "high", found / "workdir" / "high_privacy")
    copy(backup / "medium", found / "workdir" / "medium_privacy")
    with Site(found, INSTANCE="restore-test") as site:
        assert "all as stored" in site.manage("verify_workspace", "demo")
        assert hashes(site) == outputs
        site.manage("run", "--until-idle")

        assert site.query("SELECT status_code, attempt FROM jobs_job WHERE workspace = 'other'") == [("succeeded", 2)]
        again = site.manage("add_job", str(study), "run_all", "--workspace", "demo")
        assert "Nothing to do" in again
        # One action alone, on the outputs that were put back.
        last = site.manage("add_job", str(study), "write_report", "--workspace", "demo", "--force-run-dependencies")
        assert "write_report" in last
        site.manage("run", "--until-idle")
        assert hashes(site) == outputs
        assert site.query("SELECT count(*) FROM jobs_job WHERE workspace = 'demo' AND state != 'succeeded'") == [(0,)]
        assert site.query("SELECT count(*) FROM jobs_job") > jobs
