"""Only one runner may drive a work directory or a database."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.session_lock import LOCK_LOST
from runner.lock import AlreadyRunning, only_runner

pytestmark = pytest.mark.sqlite_only  # files beside the database; PostgreSQL: tests/jobs/test_session_lock.py

HOLDER = """
import django
django.setup()
from runner.lock import only_runner
with only_runner():
    print("held", flush=True)
    input()
"""


@pytest.fixture
def start_holder(settings, monkeypatch, tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start another process that holds the lock of a work directory and of a database."""
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", str(tmp_path / "own.sqlite3"))
    holders: list[subprocess.Popen] = []

    def start(work_dir: Path, database: Path) -> subprocess.Popen:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "jobrunner_site.settings",
            "WORK_DIR": str(work_dir),
            "DATABASE_URL": f"sqlite:///{database}",
        }
        pipe = subprocess.PIPE
        holder = subprocess.Popen([sys.executable, "-c", HOLDER], env=environment, stdin=pipe, stdout=pipe, text=True)
        holders.append(holder)
        assert holder.stdout.readline() == "held\n"
        return holder

    yield start
    for holder in holders:
        holder.kill()
        holder.communicate()


def test_a_second_runner_on_the_same_work_directory_is_told_who_holds_it(settings, start_holder, tmp_path):
    holder = start_holder(settings.WORK_DIR, tmp_path / "another.sqlite3")
    with pytest.raises(AlreadyRunning) as refusal, only_runner():
        pytest.fail("two runners at once")
    assert f"already driving {settings.WORK_DIR}: pid {holder.pid} on " in str(refusal.value)
    assert "Stop it first" in str(refusal.value)


def test_a_second_runner_on_the_same_database_is_refused_whatever_its_work_directory(start_holder, tmp_path):
    holder = start_holder(tmp_path / "another", tmp_path / "own.sqlite3")
    with pytest.raises(AlreadyRunning, match=f"pid {holder.pid} "), only_runner():
        pytest.fail("two runners at once")


def test_a_link_to_a_database_is_that_database(settings, monkeypatch, start_holder, tmp_path):
    holder = start_holder(tmp_path / "another", tmp_path / "own.sqlite3")
    (tmp_path / "link.sqlite3").symlink_to(tmp_path / "own.sqlite3")
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", str(tmp_path / "link.sqlite3"))
    with pytest.raises(AlreadyRunning, match=f"pid {holder.pid} "), only_runner():
        pytest.fail("two runners at once")


def test_a_full_disk_keeps_no_runner_from_coming_up_to_say_so(start_holder, monkeypatch):
    def full(*arguments) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with only_runner():
        pass


def test_a_refused_runner_leaves_no_lock_behind(settings, start_holder, tmp_path):
    """It may have got one of the two."""
    holder = start_holder(tmp_path / "another", tmp_path / "own.sqlite3")
    with pytest.raises(AlreadyRunning), only_runner():
        pytest.fail("two runners at once")
    holder.communicate("\n")

    start_holder(settings.WORK_DIR, tmp_path / "own.sqlite3")


def test_runners_of_different_work_directories_and_databases_do_not_disturb_each_other(start_holder, tmp_path):
    start_holder(tmp_path / "another", tmp_path / "another.sqlite3")
    with only_runner():
        pass


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None])
def test_however_the_holder_ends_the_lock_is_free_at_once(settings, start_holder, tmp_path, end):
    holder = start_holder(settings.WORK_DIR, tmp_path / "own.sqlite3")
    if end is None:
        holder.communicate("\n")
    else:
        holder.send_signal(end)
        holder.wait()
    with only_runner():
        assert f"pid {os.getpid()} " in (settings.WORK_DIR / "run.lock").read_text()


def test_the_lock_makes_the_folders_that_it_needs(settings, start_holder, tmp_path):
    settings.WORK_DIR = tmp_path / "new" / "workdir"
    with only_runner():
        assert (settings.WORK_DIR / "run.lock").exists()


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_who_holds_a_lock_file_that_is_removed_ends_at_once(start_holder, settings, tmp_path, how):
    """`rm *.lock`, as if they were left over from a crash: the next runner would begin beside this one."""
    holder = start_holder(settings.WORK_DIR, tmp_path / "another.sqlite3")
    lock = settings.WORK_DIR / "run.lock"
    lock.unlink()
    if how == "replaced":
        lock.touch()
    assert holder.wait(30) == LOCK_LOST


def test_a_lock_file_that_is_a_link_is_not_followed(settings, monkeypatch, tmp_path):
    """Another service of ours may write beside the database; it must not lead us to files of high privacy storage."""
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", str(tmp_path / "own.sqlite3"))
    output = tmp_path / "output.csv"
    output.write_text("patients")
    (settings.WORK_DIR / "run.lock").symlink_to(output)
    with pytest.raises(AlreadyRunning, match="is a link, as no lock file of ours is"), only_runner():
        pytest.fail("it was followed")
    assert output.read_text() == "patients"
