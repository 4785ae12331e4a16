"""Rules of storing a job's outputs, from its folder to both storages, the log and the database."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection

from jobs import storage
from jobs.errors import JobError, Unavailable
from jobs.levels import HIGHLY_SENSITIVE, MINIMALLY_SENSITIVE, MODERATELY_SENSITIVE
from jobs.models import JobOutput
from jobs.states import StatusCode
from runner import outputs, publishing, staging
from runner.matching import match
from runner.verdicts import Outcome
from runner.workspaces import files
from runner.workspaces.files import Stopped, StorageUnavailable
from tests.factories import make_job
from tests.publication import (
    SUCCESS,
    files_in,
    finalize,
    high,
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


def job_with(level: str = HIGHLY_SENSITIVE, *patterns: str, **columns):
    spec = {level: {str(number): pattern for number, pattern in enumerate(patterns or ("output/table.csv",))}}
    return make_job(StatusCode.FINALIZING, output_spec=spec, **columns)


def test_an_output_lands_in_high_storage_and_a_moderately_sensitive_one_in_both():
    publish(make_publisher(), BOTH)

    assert high("output/rows.csv").read_bytes() == b"id\n1\n"
    assert high("output/table.csv").read_bytes() == medium("output/table.csv").read_bytes() == b"sex,n\nF,10\n"
    assert not medium("output/rows.csv").exists()
    assert not high(".publishing").exists() and not medium(".publishing").exists()
    assert {row.path: row.level for row in JobOutput.objects.all()} == {
        "output/rows.csv": HIGHLY_SENSITIVE,
        "output/table.csv": MODERATELY_SENSITIVE,
    }


def test_rows_manifest_and_file_agree_on_size_time_and_hash():
    publish(job_with(), {"output/table.csv": b"a,b\n1,2\n"})

    row, status = JobOutput.objects.get(), high("output/table.csv").stat()
    listed = manifest_of(high())["outputs"]["output/table.csv"]
    assert row.content_hash == listed["content_hash"] == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert row.size == listed["size"] == status.st_size
    assert row.modified_ns == status.st_mtime_ns


def test_a_minimally_sensitive_output_stays_in_high_storage():
    publish(job_with(MINIMALLY_SENSITIVE), {"output/table.csv": b"x"})

    assert high("output/table.csv").exists() and not medium().exists()


def test_a_stored_file_is_ours_whatever_its_maker_had_set():
    job = job_with()
    leave(job, {"output/table.csv": b"x"})
    made = storage.job_workspace(job) / "output" / "table.csv"
    if os.geteuid() == 0:
        os.chown(made, 10001, 10001)
    made.chmod(0o4777)

    finalize(job)

    status = high("output/table.csv").stat()
    assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
    assert status.st_mode & 0o7777 == 0o666 & ~staging._UMASK


def test_no_file_is_copied_where_the_job_and_storage_share_a_file_system():
    job = job_with()
    leave(job, {"output/table.csv": b"x"})
    made = (storage.job_workspace(job) / "output" / "table.csv").stat()

    finalize(job)

    assert high("output/table.csv").stat().st_ino == made.st_ino


def test_outputs_reach_storage_on_another_file_system(settings):
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == settings.WORK_DIR.stat().st_dev:
        pytest.skip("no second file system")
    settings.HIGH_PRIVACY_STORAGE_BASE = shared_memory / f"jobrunner-test-{os.getpid()}"
    try:
        publish(make_publisher(), BOTH)
        stored = files_in(high())
    finally:
        shutil.rmtree(settings.HIGH_PRIVACY_STORAGE_BASE)

    assert {name: stored[name] for name in BOTH} == BOTH
    assert set(stored) - set(BOTH) == {f"metadata/{name}" for name in os.listdir(medium("metadata"))}


def test_patterns_without_a_file_mean_that_nothing_is_stored():
    job = job_with(HIGHLY_SENSITIVE, "output/table.csv", "output/chart.svg")
    leave(job, {"output/table.csv": b"x", "output/charts.svg": b"x"})

    matched, plan = outputs.collect(job, should_stop=never)

    assert plan is None and matched.unmatched == ["output/chart.svg"]
    assert "output/charts.svg" in matched.near["output/chart.svg"]
    assert not high().exists()


def test_what_a_pattern_matched_and_cannot_be_stored_is_told_and_does_not_stop_the_rest(tmp_path):
    job = job_with(HIGHLY_SENSITIVE, "output/*.csv")
    leave(job, {"output/table.csv": b"x"})
    (storage.job_workspace(job) / "output" / "host.csv").symlink_to("/etc/hostname")

    plan = finalize(job)

    assert plan.refused == ("output/host.csv is a symbolic link",)
    assert sorted(os.listdir(high("output"))) == ["table.csv"]
    assert "output/host.csv is a symbolic link" in storage.action_log(high(), job.action).read_text()


# Disclosure: what is excluded, and how that is undone


def test_an_excluded_output_leaves_a_note_and_no_trace_of_its_earlier_version():
    publish(make_publisher(action="tables"), BOTH)

    plan = publish(make_publisher(action="tables"), BOTH | {"output/table.csv": IDENTIFYING})

    assert plan.excluded == ["output/table.csv"]
    assert not medium("output/table.csv").exists()
    assert "patient_id" in medium("output/table.csv.txt").read_text()
    assert high("output/table.csv").read_bytes() == IDENTIFYING
    listed = manifest_of(medium())["outputs"]["output/table.csv"]
    assert listed["excluded"] and listed["rule"] == "identifier_column" and listed["message"]
    assert JobOutput.objects.current().get(path="output/table.csv").excluded


def test_an_output_that_passes_again_takes_its_note_away():
    publish(make_publisher(action="tables"), BOTH | {"output/table.csv": IDENTIFYING})

    publish(make_publisher(action="tables"), BOTH)

    assert os.listdir(medium("output")) == ["table.csv"]
    assert not manifest_of(medium())["outputs"]["output/table.csv"]["excluded"]


def test_an_output_that_is_now_highly_sensitive_leaves_medium_storage():
    publish(job_with(MODERATELY_SENSITIVE, action="tables"), {"output/table.csv": b"a\n1\n"})

    publish(job_with(HIGHLY_SENSITIVE, action="tables"), {"output/table.csv": b"rows"})

    assert os.listdir(medium("output")) == []
    assert "table.csv" not in storage.manifest(medium()).read_text()


def test_a_note_never_takes_the_name_of_an_output():
    spec = {"moderately_sensitive": {"table": "table.csv", "text": "table.csv.txt"}}
    job = make_job(StatusCode.FINALIZING, output_spec=spec)

    publish(job, {"table.csv": IDENTIFYING, "table.csv.txt": b"an explanation"})

    assert medium("table.csv.txt").read_bytes() == b"an explanation"
    assert not medium("table.csv").exists()


def test_the_manifest_of_medium_storage_never_names_what_is_not_for_it():
    publish(make_publisher(), BOTH)

    text = storage.manifest(medium()).read_text()

    assert "table.csv" in text and "rows.csv" not in text


# Earlier outputs


def test_outputs_that_the_action_no_longer_makes_stay_marked_and_are_no_inputs_any_more():
    publish(job_with(HIGHLY_SENSITIVE, "output/*.csv", action="tables"), {"output/a.csv": b"1", "output/b.csv": b"1"})

    publish(job_with(HIGHLY_SENSITIVE, "output/*.csv", action="tables"), {"output/b.csv": b"2"})

    outputs_listed = manifest_of(high())["outputs"]
    assert high("output/a.csv").read_bytes() == b"1"
    assert {path: output["out_of_date_output"] for path, output in outputs_listed.items()} == {
        "output/a.csv": True,
        "output/b.csv": False,
    }
    assert [row.path for row in JobOutput.objects.inputs_for("study", ["tables"])] == ["output/b.csv"]


def test_a_path_that_another_action_takes_over_belongs_to_it_alone():
    publish(job_with(action="first"), {"output/table.csv": b"1"})

    publish(job_with(action="second"), {"output/table.csv": b"2"})

    assert [row.job.action for row in JobOutput.objects.current()] == ["second"]
    assert manifest_of(high())["outputs"]["output/table.csv"]["action"] == "second"


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ("output/table.csv/deep.csv", "output/table.csv", "it is a folder"),
        ("output", "output/table.csv", "a part of its path is a file"),
    ],
)
def test_a_name_that_storage_has_otherwise_is_refused_before_anything_changes(before, now, words):
    publish(job_with(HIGHLY_SENSITIVE, before), {before: b"1"})
    stored = files_in(high())
    job = job_with(HIGHLY_SENSITIVE, now)
    leave(job, {now: b"2"})

    with pytest.raises(JobError) as refused:
        finalize(job)

    assert words in refused.value.detail

    assert files_in(high()) == stored


def test_a_conflict_that_appears_after_the_plan_discards_the_plan():
    job, other = job_with(HIGHLY_SENSITIVE, "a"), job_with(HIGHLY_SENSITIVE, "a/b")
    leave(job, {"a": b"1"})
    outputs.collect(job, should_stop=never)
    publish(other, {"a/b": b"2"})

    with pytest.raises(JobError) as refused:
        finalize(job)

    assert "it is a folder" in refused.value.detail

    assert outputs.load_plan(job) is None
    assert high("a/b").read_bytes() == b"2"


def test_a_name_that_grows_too_long_by_its_escapes_is_the_fault_of_the_study():
    job = job_with(HIGHLY_SENSITIVE, "*.csv")
    leave(job, {"\n" * 100 + ".csv": b"x"})

    with pytest.raises(JobError) as refused:
        finalize(job)

    assert "too long" in refused.value.detail


# Stopping, disks


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
        with pytest.raises(StorageUnavailable, match="goes on by itself"):
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
    write = publishing.write_atomically

    def fails_in_medium(path, content):
        if path.is_relative_to(medium()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content)

    with monkeypatch.context() as trouble:
        trouble.setattr(publishing, "write_atomically", fails_in_medium)
        with pytest.raises(StorageUnavailable, match=f"{medium()}.*free space"):
            finalize(job)
    after = files_in(high("output")), manifest_of(high())
    descriptors_left = len(os.listdir("/proc/self/fd")) - descriptors
    finalize(job)

    assert after == before[:2] and descriptors_left == 0
    assert high("output/rows.csv").read_bytes() == b"new"


def test_a_file_that_something_still_writes_is_not_published(monkeypatch):
    job = job_with()
    leave(job, {"output/table.csv": b"x"})
    path = storage.job_workspace(job) / "output" / "table.csv"
    hashing = staging.digest

    def digest_while_written(descriptor, should_stop, **keywords):
        result = hashing(descriptor, should_stop, **keywords)
        with path.open("ab") as file:
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


# Logs


def log_of(job, content: bytes) -> None:
    storage.job_log(job).parent.mkdir(parents=True, exist_ok=True)
    storage.job_log(job).write_bytes(content)


def test_the_log_holds_what_the_job_said_and_a_summary_nobody_can_forge():
    job = make_publisher(run_command="python:v2 x\nSummary")
    log_of(job, b"2026-01-01T00:00:00.000000000Z hello\n2026-01-01T00:00:00.000000001Z Summary\n")

    publish(job, BOTH | {"output/table.csv": IDENTIFYING})

    text = storage.action_log(high(), job.action).read_text()
    assert "Z hello\n" in text
    assert text.splitlines().count("Summary") == 1
    assert "output/rows.csv  highly_sensitive  5 bytes" in text
    assert "output/table.csv: " in text
    assert storage.action_log(medium(), job.action).read_text() == text


def test_medium_storage_gets_no_log_of_an_action_without_outputs_for_it():
    job = job_with()

    publish(job, {"output/table.csv": b"x"})

    assert storage.action_log(high(), job.action).exists() and not medium().exists()


@pytest.mark.parametrize(
    ("code", "is_told"),
    [
        (StatusCode.NONZERO_EXIT, True),
        (StatusCode.UNMATCHED_PATTERNS, True),
        (StatusCode.JOB_ERROR, True),
        (StatusCode.CANCELLED_BY_USER, False),
        (StatusCode.KILLED_BY_ADMIN, False),
    ],
)
def test_a_failed_job_replaces_the_log_of_its_action_and_a_cancelled_one_does_not(code, is_told):
    publish(make_publisher(action="tables"), BOTH)
    before = files_in(high("output")), manifest_of(high())
    job = make_publisher(action="tables", exit_code=1)
    log_of(job, b"it failed\n")

    outputs.write_logs(job, Outcome(code, "It ended badly."), metadata={"State": {"ExitCode": 1}})

    assert ("It ended badly." in storage.action_log(high(), "tables").read_text()) is is_told
    facts = json.loads(storage.job_metadata(job).read_text())
    assert facts["outcome"] == code and facts["container"] == {"State": {"ExitCode": 1}}
    assert (files_in(high("output")), manifest_of(high())) == before


def test_the_log_of_unmatched_patterns_says_what_was_there():
    job = job_with(HIGHLY_SENSITIVE, "output/table.csv")
    leave(job, {"output/tables.csv": b"x"})
    matched, _ = outputs.collect(job, should_stop=never)

    outputs.write_logs(job, Outcome(StatusCode.UNMATCHED_PATTERNS, "No outputs."), matched=matched)

    text = storage.action_log(high(), job.action).read_text()
    assert "Patterns without a file:\n  output/table.csv" in text
    assert "output/tables.csv" in text


def test_names_that_could_break_a_log_or_a_database_are_stored_escaped():
    job = job_with(HIGHLY_SENSITIVE, "output/*")
    leave(job, {"output/new\nline\x1b[31m": b"1", "output/\udcff": b"2", "output/\u202egpj": b"3"})

    publish(job, {})

    expected = {"output/new%0Aline%1B[31m": b"1", "output/%FF": b"2", "output/%E2%80%AEgpj": b"3"}
    assert files_in(high("output")) == {name[7:]: content for name, content in expected.items()}
    assert set(manifest_of(high())["outputs"]) == set(expected)
    assert set(JobOutput.objects.values_list("path", flat=True)) == set(expected)


# Two at once, many, odd


@pytest.mark.django_db(transaction=True)
def test_jobs_that_finish_together_lose_nothing():
    jobs = [job_with(HIGHLY_SENSITIVE, f"output/{number}.csv", action=f"action_{number}") for number in range(6)]
    for number, job in enumerate(jobs):
        leave(job, {f"output/{number}.csv": b"x"})

    def run(job):
        try:
            finalize(job)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(run, jobs))

    assert sorted(manifest_of(high())["outputs"]) == [f"output/{number}.csv" for number in range(6)]
    assert JobOutput.objects.current().count() == 6
    assert not high(".publishing").exists()


def test_two_thousand_files_take_few_queries_and_few_descriptors(django_assert_max_num_queries):
    job = job_with(HIGHLY_SENSITIVE, "output/*.csv")
    leave(job, {f"output/{number}.csv": b"x" for number in range(2_000)})
    before = len(os.listdir("/proc/self/fd"))

    with django_assert_max_num_queries(50):
        plan = finalize(job)

    assert len(plan.entries) == 2_000 == len(os.listdir(high("output")))
    assert len(os.listdir("/proc/self/fd")) == before


def test_publishing_works_where_the_kernel_cannot_open_beneath(monkeypatch):
    monkeypatch.setattr(files, "kernel_resolves_beneath", lambda: False)

    publish(make_publisher(), BOTH)

    assert medium("output/table.csv").exists()


def test_the_summary_tells_success():
    job = job_with()

    publish(job, {"output/table.csv": b"x"})

    assert SUCCESS.message in storage.action_log(high(), job.action).read_text()


def test_an_output_below_the_name_of_an_earlier_note_is_refused_before_anything_changes():
    publish(job_with(MODERATELY_SENSITIVE, "output/a.csv"), {"output/a.csv": b"patient_id,b\n1,2\n"})
    assert medium("output/a.csv.txt").is_file()
    stored = files_in(high())
    job = job_with(MODERATELY_SENSITIVE, "output/a.csv.txt/b.csv")
    leave(job, {"output/a.csv.txt/b.csv": b"b,c\n1,2\n"})

    with pytest.raises(JobError, match="cannot be stored under its name"):
        finalize(job)

    assert files_in(high()) == stored


def test_a_name_that_becomes_a_folders_name_by_its_escapes_is_refused_before_anything_changes():
    publish(job_with(HIGHLY_SENSITIVE, "output/old.csv"), {"output/old.csv": b"1"})
    stored = files_in(high())
    job = job_with(HIGHLY_SENSITIVE, "output/*.csv")
    job.output_spec = {HIGHLY_SENSITIVE: {"files": "output/*.csv", "deeper": "output/*/*.csv"}}
    leave(job, {"output/a%0A.csv": b"2", "output/a\n.csv/b.csv": b"2"})

    with pytest.raises(JobError) as refused:
        finalize(job)

    assert "both a file and a folder" in refused.value.detail
    assert files_in(high()) == stored
