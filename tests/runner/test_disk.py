"""New jobs wait while a disk is nearly full or silent, and start by themselves afterwards."""

import errno
import os
import threading
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.states import StatusCode
from runner import disk
from runner.disk import DiskWatch
from runner.disk_history import DiskHistory, size_of_copies
from runner.executors.fake import FakeExecutor, FakeRun
from runner.loop import Runner
from tests.factories import make_job
from tests.site import wait_until

GIB = 1024**3


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(disk, "LOOK_EVERY_SECONDS", 0.01)


@pytest.fixture
def free(monkeypatch) -> dict[str, int]:
    """Folder -> free bytes; each disk has 100 GiB."""
    sizes: dict[str, int] = {}

    def statvfs(path: Path) -> SimpleNamespace:
        return SimpleNamespace(f_blocks=100 * GIB, f_frsize=1, f_bavail=sizes.get(Path(path).name, 100 * GIB))

    monkeypatch.setattr(os, "statvfs", statvfs)
    return sizes


@pytest.fixture
def watch(tmp_path, free):
    folders = {"the jobs' folders": tmp_path / "work", "high privacy storage": tmp_path / "high"}
    for folder in folders.values():
        folder.mkdir()
    watch = DiskWatch(folders, 2 * GIB)
    yield watch
    watch.close()


def test_a_nearly_full_disk_is_named_and_forgotten_when_there_is_room(watch, free, caplog):
    assert watch.why_no_job_may_start() == ""
    free["high"] = 2 * GIB - 1
    wait_until(watch.why_no_job_may_start, what="the full disk")
    assert "less than 2.0 GiB is free for high privacy storage" in watch.why_no_job_may_start()
    free["high"] = 2 * GIB
    wait_until(lambda: not watch.why_no_job_may_start(), what="room")
    assert sum("Waiting for disk space" in record.getMessage() for record in caplog.records) == 1


def test_of_a_small_disk_a_twentieth_is_kept_free(tmp_path, monkeypatch):
    small = SimpleNamespace(f_blocks=100 * 1024**2, f_frsize=1, f_bavail=6 * 1024**2)
    monkeypatch.setattr(os, "statvfs", lambda path: small)
    watch = DiskWatch({"the jobs' folders": tmp_path}, 2 * GIB)
    try:
        assert watch.why_no_job_may_start() == ""
        small.f_bavail = 4 * 1024**2
        wait_until(lambda: "less than 5.0 MiB" in watch.why_no_job_may_start(), what="the full disk")
    finally:
        watch.close()


def test_a_disk_that_does_not_answer_holds_jobs_back_and_nobody_up(watch, free, monkeypatch):
    answers = threading.Event()
    monkeypatch.setattr(disk, "LONGEST_LOOK_SECONDS", 0.05)
    at_once = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda path: at_once(path) if answers.wait(30) else None)
    try:
        wait_until(lambda: "does not answer" in watch.why_no_job_may_start(), what="the silence")
        watch.close()
    finally:
        answers.set()


def test_a_disk_that_does_not_tell_its_free_space_is_warned_of_once(watch, monkeypatch, caplog):
    caplog.set_level("INFO")
    tells, looks = os.statvfs, threading.Semaphore(0)

    def fails(path):
        looks.release()
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "statvfs", fails)
    assert all(looks.acquire(timeout=10) for _ in range(10))
    monkeypatch.setattr(os, "statvfs", tells)
    wait_until(lambda: caplog.text.count("is known again") == 2, what="both disks' answers")

    assert caplog.text.count("is not known") == 2
    assert watch.why_no_job_may_start() == ""


def test_a_storage_that_is_not_made_yet_is_asked_through_the_folder_above(tmp_path):
    watch = DiskWatch({"high privacy storage": tmp_path / "not" / "yet"}, 1)
    wait_until(lambda: watch._look_began is None, what="the first look")
    assert watch.why_no_job_may_start() == ""
    watch.close()


@pytest.mark.django_db(transaction=True)
def test_jobs_wait_for_room_while_those_that_run_are_finished(free):
    ends = threading.Event()
    executor = FakeExecutor(lambda spec: FakeRun(until=ends))
    runner = Runner(executor)
    free["workdir"] = 0
    running = make_job(StatusCode.FINALIZING, outcome_code=StatusCode.JOB_ERROR, outcome_message="No.")
    waiting = make_job()
    try:
        wait_until(
            lambda: runner.tick() and "disk space" in Job.objects.get(pk=waiting.pk).status_message,
            what="the waiting job's reason",
        )
        assert Job.objects.get(pk=waiting.pk).status_code == StatusCode.WAITING_ON_WORKERS
        wait_until(
            lambda: runner.tick() and Job.objects.get(pk=running.pk).is_finished,
            what="the end of the running job",
        )
        free["workdir"] = 100 * GIB
        wait_until(
            lambda: runner.tick() and Job.objects.get(pk=waiting.pk).status_code != StatusCode.WAITING_ON_WORKERS,
            what="the waiting job's start",
        )
    finally:
        runner.close()


def test_the_oldest_reading_of_the_last_day_is_told_once_it_is_an_hour_old():
    history, begin = DiskHistory(), timezone.now()
    for hour in range(30):
        history.note("work", begin + timedelta(hours=hour), 1000 - hour)
        history.note("work", begin + timedelta(hours=hour, minutes=30), 5)  # within the hour: not kept
    assert history.earlier("work", begin + timedelta(hours=29)) == (begin + timedelta(hours=5), 995)
    assert history.earlier("other", begin) is None


def test_a_reading_that_is_too_young_or_lies_ahead_tells_nothing():
    history, begin = DiskHistory(), timezone.now()
    history.note("work", begin, 7)
    assert history.earlier("work", begin + timedelta(minutes=59)) is None
    history.note("work", begin - timedelta(days=1), 9)
    assert history.earlier("work", begin) == (begin - timedelta(days=1), 9)


def test_the_copies_of_repositories_are_counted_without_following_links(tmp_path):
    for name in ("one.git", "two.git"):
        (tmp_path / "copies" / name / "objects").mkdir(parents=True)
        (tmp_path / "copies" / name / "objects" / "pack").write_bytes(os.urandom(50_000))
    (tmp_path / "copies" / "lock").write_bytes(b"x")
    (tmp_path / "copies" / "link").symlink_to("/usr", target_is_directory=True)
    (tmp_path / "copies" / "one.git" / "all").symlink_to("/usr", target_is_directory=True)
    found = size_of_copies(tmp_path / "copies")
    assert found["copies"] == 2 and 100_000 <= found["bytes"] < 400_000
    assert size_of_copies(tmp_path / "nowhere") is None


def test_what_pages_are_told_of_disks_comes_with_the_copies(tmp_path, free):
    (tmp_path / "copies" / "one.git").mkdir(parents=True)
    watch = DiskWatch({"work": tmp_path}, 1, tmp_path / "copies")
    wait_until(watch.git_copies, what="the size of the copies")
    assert watch.git_copies()["copies"] == 1
    watch.close()


def test_a_folder_of_copies_that_does_not_answer_keeps_no_disk_from_being_seen(tmp_path, free, monkeypatch):
    answers = threading.Event()
    monkeypatch.setattr(disk, "size_of_copies", lambda folder: answers.wait(60) and None)
    watch = DiskWatch({"work": tmp_path}, 2 * GIB, tmp_path)
    try:
        free[tmp_path.name] = GIB
        wait_until(watch.why_no_job_may_start, what="the full disk")
        free[tmp_path.name] = 50 * GIB
        wait_until(lambda: not watch.why_no_job_may_start(), what="room")
        assert [thread.name for thread in threading.enumerate()].count("git-copies") == 1
    finally:
        answers.set()
        watch.close()
