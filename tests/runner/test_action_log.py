"""What is left to be read of a job that has ended: the action's log and its summary."""

import json

import pytest

from jobs import storage
from jobs.levels import HIGHLY_SENSITIVE
from jobs.states import StatusCode
from runner import outputs
from runner.verdicts import Outcome
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


def test_the_summary_tells_success():
    job = job_with()

    publish(job, {"output/table.csv": b"x"})

    assert SUCCESS.message in storage.action_log(high(), job.action).read_text()
