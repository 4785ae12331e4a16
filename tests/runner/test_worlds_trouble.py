"""Trouble of disk and host while outputs are stored: waited out wherever it shows, told without names, nothing lost."""

import errno
import os
import shutil
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import OperationalError

from jobs import storage
from jobs.levels import HIGHLY_SENSITIVE, MODERATELY_SENSITIVE
from jobs.models import Job, JobOutput
from jobs.states import StatusCode
from runner import drive, matching, outputs, staging
from runner.drive import Driver
from runner.executors.fake import FakeExecutor
from runner.plan import high_staging, medium_staging
from runner.workspaces import files, folder, notes
from tests.factories import make_job
from tests.publication import files_in, finalize, high, job_with, leave, make_publisher, medium, never, publish

pytestmark = pytest.mark.django_db(transaction=True)
BOTH = {"output/rows.csv": b"id\n1\n", "output/table.csv": b"sex,n\nF,10\n"}


def driven(job: Job, driver: Driver | None = None) -> Job:
    """The job after one try of all the steps that it can take now."""
    driver = driver or Driver(FakeExecutor())
    driver.drive(job.pk, threading.Event())
    job.refresh_from_db()
    return job


def fail_once(monkeypatch, module, name: str, error: Exception, when: Callable[..., bool] = lambda *a: True) -> None:
    """The function raises at its first call that fits, and does its work at all others."""
    real, errors = getattr(module, name), [error]

    def once(*arguments, **keywords):
        if errors and when(*arguments):
            raise errors.pop()
        return real(*arguments, **keywords)

    monkeypatch.setattr(module, name, once)


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.ENOMEM])
def test_a_folder_of_outputs_that_the_disk_cannot_read_now_is_not_left_out(monkeypatch, code):
    job = job_with(HIGHLY_SENSITIVE, "output/*/x.csv", exit_code=0)
    leave(job, {"output/one/x.csv": b"1", "output/two/x.csv": b"2"})
    error = OSError(code, os.strerror(code))
    fail_once(monkeypatch, matching, "open_beneath", error, lambda fd, path, flags: path == b"output/two")

    assert driven(job).status_code == StatusCode.FINALIZING
    assert driven(job).status_code == StatusCode.SUCCEEDED
    assert {"output/one/x.csv", "output/two/x.csv"} <= files_in(high()).keys()


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE])
def test_an_output_that_the_disk_cannot_open_now_is_no_fault_of_the_study(monkeypatch, code):
    job = job_with(HIGHLY_SENSITIVE, "output/x.csv", exit_code=0)
    leave(job, {"output/x.csv": b"1"})
    error = OSError(code, os.strerror(code))
    fail_once(monkeypatch, files, "open_beneath", error, lambda fd, path, flags: path == b"output/x.csv")

    assert driven(job).status_code == StatusCode.FINALIZING
    assert driven(job).status_code == StatusCode.SUCCEEDED


def test_no_message_names_a_file_that_a_job_has_named():
    """The message goes to the job-server, and the name may hold a patient's number."""
    error = OSError(errno.ENOSPC, "No space left on device", "/w/jobs/x/workspace/output/patient_9434765919.csv")
    for path in (None, storage.high_privacy_workspace("study")):
        trouble = files.trouble_of_disk(error, path)
        assert "9434765919" not in str(trouble) and "9434765919" in trouble.detail


def test_no_message_names_what_an_earlier_try_has_left(monkeypatch):
    job = make_job(StatusCode.PREPARING)
    left = storage.job_workspace(job) / "output/patient_9434765919.csv"
    monkeypatch.setattr(notes, "remove_tree", lambda root: [left])

    with pytest.raises(files.StorageUnavailable) as trouble:
        folder.prepare(job, None, JobOutput.objects.none(), should_stop=never)

    assert "9434765919" not in str(trouble.value) and "9434765919" in trouble.value.detail


def test_a_storage_that_turns_read_only_between_two_files_is_waited_for(monkeypatch):
    """What was staged already cannot be removed then, and must not be met as somebody else's by the next try."""
    job = job_with(MODERATELY_SENSITIVE, "output/a.csv", "output/b.csv", exit_code=0)
    leave(job, {"output/a.csv": b"sex,n\nF,10\n", "output/b.csv": b"sex,n\nF,10\n"})
    is_read_only = threading.Event()
    real_remove, real_copy = staging.remove_tree, staging._Stager._copy

    def copy(self, descriptor, status, folder_fd, name, **keywords):
        if name == "1":
            is_read_only.set()
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real_copy(self, descriptor, status, folder_fd, name, **keywords)

    monkeypatch.setattr(staging._Stager, "_copy", copy)
    monkeypatch.setattr(staging, "remove_tree", lambda root: [root] if is_read_only.is_set() else real_remove(root))
    driver = Driver(FakeExecutor())
    for _ in range(3):
        assert driven(job, driver).status_code == StatusCode.FINALIZING
        assert job.status_message.count("continues automatically") == 1

    is_read_only.clear()
    monkeypatch.setattr(staging._Stager, "_copy", real_copy)

    assert driven(job, driver).status_code == StatusCode.SUCCEEDED
    assert not medium(".publishing").exists()


def test_what_a_cancelled_job_has_staged_is_not_left_in_medium_storage(monkeypatch):
    job = make_publisher(exit_code=0)
    medium_staging(job).mkdir(parents=True)
    (medium_staging(job) / "0").write_bytes(b"sex,n\nF,10\n")
    job.request_cancel("alice", "x")
    real = staging.remove_tree
    monkeypatch.setattr(staging, "remove_tree", lambda root: [root])
    assert driven(job).status_code == StatusCode.FINALIZED

    monkeypatch.setattr(staging, "remove_tree", real)

    assert driven(job).status_code == StatusCode.CANCELLED_BY_USER
    assert files_in(medium()) == {}


def test_a_host_without_threads_stores_large_outputs_all_the_same(monkeypatch):
    large = b"x" * (65 << 20)
    publish(job_with(HIGHLY_SENSITIVE, "output/rows.csv", action="tables"), {"output/rows.csv": large})
    job = job_with(HIGHLY_SENSITIVE, "output/rows.csv", action="tables", exit_code=0)
    leave(job, {"output/rows.csv": large + b"new"})

    def no_thread(thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)

    assert driven(job).status_code == StatusCode.SUCCEEDED
    assert high("output/rows.csv").stat().st_size == len(large) + 3


@pytest.mark.parametrize("seconds_ahead", [0, 120])
def test_a_clock_that_was_set_back_makes_no_output_lost(monkeypatch, seconds_ahead):
    """Another job publishes over a killed one's file; which came later is not to be known by a clock."""
    first, second = make_publisher(action="a", exit_code=0), make_publisher(action="b", exit_code=0)
    leave(first, BOTH)
    real = staging.timezone.now
    monkeypatch.setattr(staging.timezone, "now", lambda: real() + timedelta(seconds=seconds_ahead))
    outputs.collect(first, should_stop=never)
    monkeypatch.undo()
    high("output").mkdir(parents=True, exist_ok=True)
    os.rename(high_staging(first) / "0", high("output/rows.csv"))
    leave(second, {name: content + b"F,9\n" for name, content in BOTH.items()})

    assert [driven(job).status_code for job in (second, first)] == [StatusCode.SUCCEEDED] * 2


def test_a_plan_of_equal_content_that_is_not_carried_out_yet_takes_nothing_over():
    """The storage was moved, so no inode is known any more; what another job has only staged stands nowhere."""
    first, second = make_publisher(action="a"), make_publisher(action="b")
    for job in (first, second):
        leave(job, BOTH)
        outputs.collect(job, should_stop=never)
    for number, entry in enumerate(outputs.load_plan(first).entries):
        high(entry.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(high_staging(first) / str(number), high(entry.path))
        (high_staging(first) / str(number)).unlink()

    assert [entry.is_superseded for entry in finalize(first).entries] == [False, False]
    assert medium("output/table.csv").exists()


def test_a_failed_job_does_not_take_the_log_of_what_stays_released():
    publish(make_publisher(action="tables"), BOTH)
    job = job_with(HIGHLY_SENSITIVE, "output/rows.csv", action="tables", exit_code=3)

    assert driven(job).status_code == StatusCode.NONZERO_EXIT
    assert {"output/table.csv", "metadata/tables.log"} <= files_in(medium()).keys()


@pytest.mark.parametrize(("words", "is_news"), [("database is locked", False), ("disk I/O error", True)])
def test_trouble_of_the_database_is_told_of_with_all_that_is_known_at_most_once(monkeypatch, caplog, words, is_news):
    def locked(job, tools) -> None:
        raise OperationalError(words)

    monkeypatch.setitem(drive.STEPS, StatusCode.FINALIZING, locked)
    job, driver = make_publisher(), Driver(FakeExecutor())
    for _ in range(3):
        driver.drive(job.pk, threading.Event())

    assert [bool(record.exc_info) for record in caplog.records] == [is_news, False, False]
    assert driver._troubles[job.pk].tries == 3
