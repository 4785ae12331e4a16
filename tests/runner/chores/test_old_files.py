"""Old logs are compressed and nothing is lost: not by a kill, a strange file, or a job that still needs its log."""

import gzip
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from jobs import logs, storage
from jobs.chores import ChoreFailed
from jobs.logs.archived import packed_path
from jobs.models import ChoreRun, Job
from jobs.states import StatusCode
from runner.chores import old_files
from runner.chores.old_files import compress_old_logs, tidy_old_files
from tests.factories import make_job

pytestmark = pytest.mark.django_db
TEXT = b"2026-01-01T00:00:00.000000000Z a line\n" * 1000


def job_with_log(days: float = 100, status_code: StatusCode = StatusCode.SUCCEEDED, **columns) -> Job:
    at = timezone.now() - timedelta(days=days)
    job = make_job(
        status_code, created_at=at, **({"completed_at": at} if columns.pop("ended", True) else {}), **columns
    )
    storage.job_log(job).parent.mkdir(parents=True)
    storage.job_log(job).write_bytes(TEXT)
    os.utime(storage.job_log(job), (at.timestamp(),) * 2)
    return job


def compress() -> int:
    return compress_old_logs(time.monotonic() + 60)[0]


def is_compressed(job: Job) -> bool:
    path = storage.job_log(job)
    assert path.exists() != packed_path(path).exists()
    return packed_path(path).exists()


def read(job: Job) -> bytes:
    with logs.opened(logs.path_of(job), is_complete=True) as reader:
        return os.pread(reader.descriptor, reader.size, 0)


def test_the_log_of_a_job_that_ended_long_ago_is_compressed_and_read_as_ever():
    job = job_with_log()
    before = storage.job_log(job).stat()
    assert compress() == 1 and is_compressed(job)
    after = packed_path(storage.job_log(job)).stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert read(job) == TEXT and after.st_size < len(TEXT) / 10
    assert [path.name for path in storage.job_log_folder(job).iterdir()] == ["logs.txt.gz"]
    assert compress() == 0


def test_a_log_that_may_be_needed_or_written_to_is_spared(settings):
    spared = [
        job_with_log(days=59),
        job_with_log(status_code=StatusCode.EXECUTING, ended=False),
        job_with_log(status_code=StatusCode.INTERNAL_ERROR),
    ]
    assert compress() == 0 and not any(map(is_compressed, spared))
    Job.objects.filter(pk=spared[2].pk).update(was_cleared=True)
    assert compress() == 1 and is_compressed(spared[2])


def test_a_log_whose_job_this_database_has_lost_is_compressed_as_well():
    job = job_with_log()
    job.delete()
    assert compress() == 1


def test_a_log_that_is_smaller_than_what_it_could_save_is_left():
    job = job_with_log()
    storage.job_log(job).write_bytes(b"short\n")
    assert compress() == 0 and not is_compressed(job)


def test_what_is_not_ours_is_not_touched(settings, tmp_path):
    root = settings.HIGH_PRIVACY_STORAGE_BASE / "logs"
    for folder in ("2020-01/somebody", "2020-01/jobrunner-x-1", "notes/jobrunner-aaaaaaaaaaaaaaaa-1"):
        (root / folder).mkdir(parents=True)
        (root / folder / "logs.txt").write_bytes(TEXT)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "logs.txt").write_bytes(TEXT)
    os.symlink(tmp_path / "elsewhere", root / "2020-01" / "jobrunner-bbbbbbbbbbbbbbbb-1")
    assert compress() == 0
    assert not list(root.rglob("*.gz")) and not list(tmp_path.rglob("elsewhere/*.gz"))


@pytest.mark.parametrize("make", [lambda path, other: os.symlink(other, path), lambda path, other: os.mkfifo(path)])
def test_what_is_no_plain_file_is_neither_followed_nor_waited_for(make, tmp_path, monkeypatch):
    job = job_with_log()
    other = tmp_path / "other"
    other.write_bytes(TEXT)
    storage.job_log(job).unlink()
    make(storage.job_log(job), other)
    monkeypatch.setattr(old_files, "LEAST_BYTES", 0)
    assert compress() == 0 and other.read_bytes() == TEXT and os.path.lexists(storage.job_log(job))


class Killed(BaseException):
    pass


@pytest.mark.parametrize("call", ["rename", "unlink", "fsync", "utime"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_anywhere_the_log_is_whole_and_the_next_time_completes_it(call, moment, monkeypatch):
    job = job_with_log()
    target = Path if call == "rename" else os
    real = getattr(target, call)

    def killed(*arguments, **named):
        if moment == "after":
            real(*arguments, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(target, call, killed)
        with pytest.raises(Killed):
            compress()
    assert read(job) == TEXT
    compress()
    assert read(job) == TEXT and is_compressed(job)
    assert [path.name for path in storage.job_log_folder(job).iterdir()] == ["logs.txt.gz"]


def test_what_reads_back_otherwise_never_replaces_the_log(monkeypatch):
    job = job_with_log()
    real = gzip.open
    monkeypatch.setattr(old_files, "_digest", lambda path: "something else")
    _, _, _, failures = compress_old_logs(time.monotonic() + 60)
    assert failures == [f"{job.container_name}: what was compressed reads back as something else"]
    assert real and not is_compressed(job) and read(job) == TEXT


def test_one_that_cannot_be_compressed_holds_up_no_other():
    first, second = job_with_log(), job_with_log()
    in_the_way = storage.job_log_folder(first) / ".logs.txt.gz.new"
    in_the_way.mkdir()
    with pytest.raises(ChoreFailed, match=r"1 log compressed, .*; could not be compressed: jobrunner-"):
        tidy_old_files(ChoreRun(chore="old-files"))
    assert is_compressed(second) and not is_compressed(first) and read(first) == TEXT


def test_a_log_that_is_written_to_meanwhile_stays_as_it_is(monkeypatch):
    job = job_with_log()
    real = old_files._digest

    def digest(path: Path) -> str:
        with storage.job_log(job).open("ab") as file:
            file.write(b"one line more\n")
        return real(path)

    monkeypatch.setattr(old_files, "_digest", digest)
    assert compress() == 0 and not is_compressed(job) and read(job).endswith(b"one line more\n")


def test_a_log_that_is_too_large_to_be_unpacked_again_is_left(monkeypatch):
    monkeypatch.setattr(old_files, "MOST_BYTES", len(TEXT) - 1)
    job = job_with_log()
    assert compress() == 0 and not is_compressed(job)


def test_a_log_that_somebody_wrote_to_lately_is_left_whoevers_it_is():
    job = job_with_log()
    job.delete()
    os.utime(storage.job_log(job))
    assert compress() == 0


def test_what_does_not_fit_into_the_time_is_for_the_next_day():
    for _ in range(3):
        job_with_log()
    assert compress_old_logs(time.monotonic() - 1) == (0, 0, False, [])


def test_exports_go_when_they_are_as_old_as_the_setting_says(settings):
    settings.EXPORT_DIR.mkdir()
    old = time.time() - 8 * 24 * 3600
    for name in ("study-20260101T000000Z.zip", "study-20260101T000000Z.zip.unfinished", "my notes.txt"):
        (settings.EXPORT_DIR / name).write_bytes(b"x")
        os.utime(settings.EXPORT_DIR / name, (old, old))
    (settings.EXPORT_DIR / "study-20260201T000000Z.zip").write_bytes(b"x")
    assert tidy_old_files(ChoreRun(chore="old-files")).said == "no log was old enough; 2 exports removed"
    assert sorted(os.listdir(settings.EXPORT_DIR)) == ["my notes.txt", "study-20260201T000000Z.zip"]
