"""What a stop, a disk in trouble or a hostile file does to a publication: nothing that cannot be made good."""

import contextlib
import errno
import hashlib
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from jobs import storage
from jobs.errors import JobError, Stopped, Unavailable
from jobs.levels import HIGHLY_SENSITIVE
from jobs.models import JobOutput
from runner import outputs, side, staging, stored_folder
from runner.matching import match
from runner.workspaces.files import StorageUnavailable
from tests.publication import (
    files_in,
    finalize,
    high,
    job_with,
    leave,
    make_publisher,
    manifest_of,
    medium,
    never,
    publish,
)

pytestmark = pytest.mark.django_db
BOTH = {"output/rows.csv": b"id\n1\n", "output/table.csv": b"sex,n\nF,10\n"}
IDENTIFYING = b"patient_id,n\n1,2\n"


def test_a_cancel_before_the_plan_leaves_storage_as_it_was():
    publish(make_publisher(action="tables"), BOTH)
    before = files_in(high()), files_in(medium())
    job = make_publisher(action="tables")
    leave(job, {"output/rows.csv": b"new", "output/table.csv": b"n\n1\n"})

    for calls in range(5):
        asked = iter([False] * calls)
        with pytest.raises(Stopped):
            outputs.collect(job, should_stop=lambda asked=asked: next(asked, True))

    assert (files_in(high()), files_in(medium())) == before
    assert outputs.load_plan(job) is None


FULL = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO]


@pytest.mark.parametrize("code", FULL)
@pytest.mark.parametrize("call", ["rename", "fsync", "mkdir", "link"])
def test_a_disk_in_trouble_leaves_earlier_outputs_and_manifest_and_the_job_can_be_finalised_later(
    monkeypatch, code, call
):
    publish(make_publisher(action="tables"), BOTH)
    before = files_in(high()), files_in(medium())
    job = make_publisher(action="tables")
    leave(job, {"output/rows.csv": b"new", "output/table.csv": b"n\n1\n"})

    descriptors = len(os.listdir("/proc/self/fd"))

    def fails(*arguments, **keywords):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as trouble:
        trouble.setattr(os, call, fails)
        with pytest.raises(StorageUnavailable, match="continues automatically"):
            finalize(job)
    after = files_in(high()), files_in(medium())
    descriptors_left = len(os.listdir("/proc/self/fd")) - descriptors
    finalize(job)

    assert after == before and descriptors_left == 0
    assert high("output/rows.csv").read_bytes() == b"new"


@pytest.fixture
def small_disk(settings, tmp_path):
    """High privacy storage on a file system of one megabyte."""
    small = tmp_path / "small"
    small.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=False).returncode
    ):
        pytest.skip("cannot mount a file system here")
    settings.HIGH_PRIVACY_STORAGE_BASE = small
    yield small
    subprocess.run(["umount", "--lazy", small], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_storage_that_is_full_says_so_and_recovers(small_disk):
    publish(make_publisher(action="tables"), BOTH)
    fill(small_disk)
    before = files_in(high())
    job = make_publisher(action="tables")
    leave(job, BOTH | {"output/rows.csv": bytes(500 * 1024)})

    with pytest.raises(StorageUnavailable, match="free space"):
        finalize(job)
    after = files_in(high())
    (small_disk / "filler").unlink()
    finalize(job)

    assert after == before
    assert high("output/rows.csv").stat().st_size == 500 * 1024


def test_an_output_that_is_nearly_all_hole_takes_no_more_room_on_another_disk(small_disk):
    job = job_with(HIGHLY_SENSITIVE, "output/table.csv")
    leave(job, {"output/table.csv": b"some rows"})
    os.truncate(storage.job_workspace(job) / "output" / "table.csv", 64 * 1024 * 1024)

    finalize(job)

    status = high("output/table.csv").stat()
    assert status.st_size == 64 * 1024 * 1024 and status.st_blocks * 512 < 1024 * 1024


def test_a_storage_that_fills_up_after_the_plan_keeps_outputs_and_manifest_until_there_is_room(small_disk):
    publish(make_publisher(action="tables"), BOTH)
    before = files_in(high())
    job = make_publisher(action="tables")
    leave(job, BOTH | {"output/rows.csv": b"new"})
    outputs.collect(job, should_stop=never)
    fill(small_disk)

    with pytest.raises(StorageUnavailable, match="free space"):
        finalize(job)
    after = {name: content for name, content in files_in(high()).items() if ".publishing" not in name}
    (small_disk / "filler").unlink()
    finalize(job)

    assert after == before
    assert high("output/rows.csv").read_bytes() == b"new"


def test_trouble_in_medium_storage_after_the_plan_is_named_so_and_high_storage_waits_for_it(monkeypatch):
    publish(make_publisher(action="tables"), BOTH)
    before = files_in(high("output")), manifest_of(high()), files_in(medium())
    job = make_publisher(action="tables")
    leave(job, {"output/rows.csv": b"new", "output/table.csv": b"n\n1\n"})
    outputs.collect(job, should_stop=never)
    descriptors = len(os.listdir("/proc/self/fd"))
    write = side.write_atomically

    def fails_in_medium(path, content):
        if path.is_relative_to(medium()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content)

    with monkeypatch.context() as trouble:
        trouble.setattr(side, "write_atomically", fails_in_medium)
        with pytest.raises(StorageUnavailable, match=f"{medium()}.*free space"):
            finalize(job)
    after = files_in(high("output")), manifest_of(high())
    descriptors_left = len(os.listdir("/proc/self/fd")) - descriptors
    finalize(job)

    assert after == before[:2] and descriptors_left == 0
    assert high("output/rows.csv").read_bytes() == b"new"


@pytest.mark.parametrize("mode", ["ab", "r+b"])
def test_a_file_that_something_still_writes_is_not_published(monkeypatch, mode):
    """Also if it stays as long as it was."""
    job = job_with()
    leave(job, {"output/table.csv": b"some"})
    path = storage.job_workspace(job) / "output" / "table.csv"
    os.utime(path, (0, 0))
    hashing = staging.digest

    def digest_while_written(descriptor, should_stop, **keywords):
        result = hashing(descriptor, should_stop, **keywords)
        with path.open(mode) as file:
            file.write(b"more")
        return result

    monkeypatch.setattr(staging, "digest", digest_while_written)

    with pytest.raises(Unavailable, match="was changed while"):
        outputs.collect(job, should_stop=never)

    assert not high(".publishing").exists()


def test_a_large_output_is_written_back_while_it_is_hashed_and_stored_whole():
    content = os.urandom(1024) * (9 * 1024)
    publish(job_with(), {"output/table.csv": content})

    assert high("output/table.csv").read_bytes() == content
    assert JobOutput.objects.get().content_hash == hashlib.sha256(content).hexdigest()


def test_a_large_file_that_is_replaced_is_freed_a_moment_later(monkeypatch):
    monkeypatch.setattr(stored_folder, "_FREED_AFTER_SECONDS", 0.05)
    job, later = job_with(action="tables"), job_with(action="tables")
    leave(job, {"output/table.csv": b"old"})
    os.truncate(storage.job_workspace(job) / "output" / "table.csv", 64 * 1024 * 1024)
    finalize(job)
    shutil.rmtree(storage.job_folder(job))
    freed = []
    monkeypatch.setattr(stored_folder, "_close_all", lambda those: freed.extend(map(was_deleted_then_close, those)))

    publish(later, {"output/table.csv": b"new"})

    assert high("output/table.csv").read_bytes() == b"new"
    deadline = time.monotonic() + 10
    while not freed and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert freed == [True]


def was_deleted_then_close(descriptor: int) -> bool:
    is_deleted = os.readlink(f"/proc/self/fd/{descriptor}").endswith(" (deleted)")
    os.close(descriptor)
    return is_deleted


def test_a_file_that_becomes_a_link_after_it_was_matched_is_refused(tmp_path):
    job = job_with()
    leave(job, {"output/table.csv": b"x"})
    matched = match(storage.job_workspace(job), job.output_spec)
    path = storage.job_workspace(job) / "output" / "table.csv"
    path.unlink()
    path.symlink_to("/etc/hostname")

    with pytest.raises(JobError) as refused:
        staging.stage(job, storage.job_workspace(job), matched, should_stop=never)

    assert "output/table.csv is, or lies behind, a symbolic link" in refused.value.detail

    assert not high(".publishing").exists()


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o007])
def test_a_stored_file_may_be_read_by_whom_the_umask_allows(monkeypatch, umask):
    monkeypatch.setattr(staging, "_UMASK", umask)

    publish(make_publisher(), BOTH)

    for path in (high("output/rows.csv"), medium("output/table.csv")):
        assert path.stat().st_mode & 0o7777 == 0o666 & ~umask
