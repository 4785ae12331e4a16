"""What is left to be read of a job that has ended: the action's log and its summary."""

import json

import pytest

from jobs import storage
from jobs.levels import HIGHLY_SENSITIVE
from jobs.models import JobOutput
from jobs.states import StatusCode
from runner import outputs, verdicts
from runner.verdicts import Outcome
from runner.workspaces.files import StorageUnavailable
from tests.publication import (
    SUCCESS,
    files_in,
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


# A file name can hold a patient's number.
NUMBER = "943 476 5919"


def medium_log(job) -> str:
    return storage.action_log(medium(), job.action).read_text()


def test_the_log_in_medium_storage_names_moderately_sensitive_outputs_only(tmp_path):
    spec = {
        "highly_sensitive": {"rows": "output/patient_*"},
        "minimally_sensitive": {"counts": "counts_*.csv"},
        "moderately_sensitive": {"tables": "output/table*.csv"},
    }
    job = make_publisher(output_spec=spec)
    log_of(job, b"2026-01-01T00:00:00.000000000Z hello\n")
    leave(job, {f"output/patient_{NUMBER}.csv": b"x", "output/patient_b": b"x", f"counts_{NUMBER}.csv": b"x"})
    leave(job, {"output/table1.csv": BOTH["output/table.csv"], "output/table2.csv": IDENTIFYING})
    (storage.job_workspace(job) / f"output/patient_{NUMBER}_link").symlink_to(tmp_path)
    notes = [f"patient_{NUMBER}.csv is a symbolic link in the repository; the job gets a plain file."]
    (storage.job_folder(job) / "prepared.json").write_text(json.dumps(notes))
    _, plan = outputs.collect(job, should_stop=never)
    outcome = verdicts.success(False, plan.excluded, plan.refused)

    outputs.write_logs(job, outcome, plan=plan)

    inside, text = storage.action_log(high(), job.action).read_text(), medium_log(job)
    assert inside.count(NUMBER) == 5 and NUMBER not in text
    assert "Z hello\n" in text and "message: Completed successfully. 1 moderately" in text
    assert "output/table1.csv  moderately_sensitive  11 bytes" in text
    assert "output/table2.csv: " in text and "patient_b" not in text
    assert "Other outputs:\n  2 highly_sensitive\n  1 minimally_sensitive\n" in text
    assert "Not stored:\n  1 of what the patterns matched\n" in text


def test_the_log_in_medium_storage_names_no_near_or_refused_file(tmp_path):
    job = make_publisher(output_spec={"moderately_sensitive": {"table": "output/table.csv", "others": "output/*.txt"}})
    leave(job, {f"output/table_{NUMBER}.csv": b"x"})
    (storage.job_workspace(job) / f"output/{NUMBER}.txt").symlink_to(tmp_path)
    matched, _ = outputs.collect(job, should_stop=never)
    refused = [str(each) for each in matched.refused]

    outputs.write_logs(job, verdicts.unmatched(matched.unmatched, matched.near, refused), matched=matched)

    inside, text = storage.action_log(high(), job.action).read_text(), medium_log(job)
    assert inside.count(NUMBER) >= 4 and NUMBER not in text
    assert "Patterns without a file:\n  output/table.csv\n  output/*.txt\n" in text
    assert "Not stored:\n  1 of what the patterns matched\n" in text


def test_the_log_leaves_medium_storage_when_the_action_makes_nothing_for_it_any_more():
    publish(make_publisher(action="tables"), BOTH)
    assert storage.action_log(medium(), "tables").exists()

    publish(job_with(HIGHLY_SENSITIVE, action="tables"), {"output/table.csv": b"id\n1\n"})

    assert not storage.action_log(medium(), "tables").exists()
    assert not medium("output/table.csv").exists()


@pytest.mark.parametrize("storage_of", [high, medium])
@pytest.mark.parametrize("spec", [{"moderately_sensitive": {"a": "a"}}, {"highly_sensitive": {"a": "a"}}])
def test_a_log_is_never_written_or_removed_behind_a_link(storage_of, spec, tmp_path):
    publish(make_publisher(action="tables"), BOTH)
    storage_of("metadata").rename(tmp_path / "metadata")
    storage_of("metadata").symlink_to(tmp_path / "metadata")
    before = files_in(tmp_path / "metadata")

    job = make_publisher(action="tables", output_spec=spec)
    JobOutput.objects.update(is_current=False)  # nothing of the action is released any more
    with pytest.raises(StorageUnavailable, match="continues automatically"):
        outputs.write_logs(job, Outcome(StatusCode.NONZERO_EXIT, "No."))

    assert files_in(tmp_path / "metadata") == before


def test_a_folder_in_place_of_a_log_is_waited_for():
    job = job_with(action="tables")
    storage.action_log(high(), "tables").mkdir(parents=True)

    with pytest.raises(StorageUnavailable, match=r"tables.log is a folder.*move it away"):
        outputs.write_logs(job, Outcome(StatusCode.NONZERO_EXIT, "No."))


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


def test_the_summary_tells_success():
    job = job_with()

    publish(job, {"output/table.csv": b"x"})

    assert SUCCESS.message in storage.action_log(high(), job.action).read_text()
