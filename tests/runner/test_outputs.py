"""Rules of storing a job's outputs, from its folder to both storages, the log and the database."""

import hashlib
import os

import pytest

from jobs import storage
from jobs.errors import JobError
from jobs.levels import HIGHLY_SENSITIVE, MINIMALLY_SENSITIVE, MODERATELY_SENSITIVE
from jobs.models import JobOutput
from jobs.states import StatusCode
from runner import outputs, staging
from runner.workspaces import files
from tests.factories import make_job
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


def test_outputs_reach_storage_on_another_file_system(other_file_system):
    publish(make_publisher(), BOTH)

    stored = files_in(high())

    assert {name: stored[name] for name in BOTH} == BOTH
    assert set(stored) - set(BOTH) == {f"metadata/{name}" for name in os.listdir(medium("metadata"))}


def test_patterns_without_a_file_mean_that_nothing_is_stored():
    job = job_with(HIGHLY_SENSITIVE, "output/table.csv", "output/chart.svg")
    leave(job, {"output/table.csv": b"x", "output/charts.svg": b"x"})

    matched, plan = outputs.collect(job, should_stop=never)

    assert plan is None and matched.unmatched == ["output/chart.svg"]
    assert "output/charts.svg" in matched.near["output/chart.svg"]
    assert not high().exists()


def test_a_file_that_is_refused_for_another_reason_is_not_what_the_author_may_have_meant():
    job = job_with(HIGHLY_SENSITIVE, "output/*.txt")
    leave(job, {"output/b.txt": b"x", "output/b.tx": b"x"})
    folder = storage.job_workspace(job) / "output"
    (folder / "c.txt").hardlink_to(folder / "b.txt")

    matched, _ = outputs.collect(job, should_stop=never)

    assert matched.near == {"output/*.txt": ["output/b.tx"]}


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


def test_names_that_could_break_a_log_or_a_database_are_stored_escaped():
    job = job_with(HIGHLY_SENSITIVE, "output/*")
    leave(job, {"output/new\nline\x1b[31m": b"1", "output/\udcff": b"2", "output/\u202egpj": b"3"})

    publish(job, {})

    expected = {"output/new%0Aline%1B[31m": b"1", "output/%FF": b"2", "output/%E2%80%AEgpj": b"3"}
    assert files_in(high("output")) == {name[7:]: content for name, content in expected.items()}
    assert set(manifest_of(high())["outputs"]) == set(expected)
    assert set(JobOutput.objects.values_list("path", flat=True)) == set(expected)


def test_publishing_works_where_the_kernel_cannot_open_beneath(monkeypatch):
    monkeypatch.setattr(files, "kernel_resolves_beneath", lambda: False)

    publish(make_publisher(), BOTH)

    assert medium("output/table.csv").exists()


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
