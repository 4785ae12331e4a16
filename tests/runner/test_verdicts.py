"""What a container's end means, in the words that the study's author reads."""

import pytest

from jobs.models import Job
from jobs.states import OUTCOMES, StatusCode
from runner import verdicts

GIB = 1024**3


def test_exit_code_zero_is_no_failure_even_if_a_process_ran_out_of_memory():
    assert verdicts.of_exit(0, out_of_memory=False, memory_bytes=GIB) is None
    assert verdicts.of_exit(0, out_of_memory=True, memory_bytes=GIB) is None


def test_memory_is_only_blamed_on_evidence():
    killed = verdicts.of_exit(137, out_of_memory=False, memory_bytes=GIB)
    assert killed.code == StatusCode.NONZERO_EXIT
    assert killed.message == (
        "The job ended with exit code 137. This usually means: it was killed by a signal (SIGKILL), sent by the study "
        "itself, by the system or by somebody on this machine; the engine did not report that memory ran out."
    )


@pytest.mark.parametrize("exit_code", [1, 137])
def test_with_evidence_the_message_says_which_limit_was_met(exit_code):
    outcome = verdicts.of_exit(exit_code, out_of_memory=True, memory_bytes=4 * GIB)
    assert outcome.message == (f"The job ran out of memory (the limit is 4.0 GiB), exit code {exit_code}.")


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (124, "`timeout`"),
        (126, "not executable"),
        (127, "not found in the image"),
        (130, "SIGINT"),
        (139, "segmentation fault"),
        (143, "SIGTERM"),
        (153, "size limit"),
    ],
)
def test_known_exit_codes_are_explained(exit_code, words):
    outcome = verdicts.of_exit(exit_code, out_of_memory=False, memory_bytes=GIB)
    assert f"exit code {exit_code}. This usually means: " in outcome.message and words in outcome.message


def test_every_exit_code_makes_one_plain_sentence_that_claims_nothing_of_strangers():
    """`kill -9 $$` and `exit 143` are the study's own doing."""
    for exit_code in range(1, 256):
        message = verdicts.of_exit(exit_code, out_of_memory=False, memory_bytes=GIB).message
        assert message.endswith(".") and not message.endswith("..") and "?" not in message
        assert "outside" not in message
        if exit_code in (130, 137, 143):
            assert "sent by the study itself, by the system or by somebody" in message


@pytest.mark.parametrize("exit_code", [1, 2, 100, 125, 255, -1])
def test_any_other_exit_code_sends_the_author_to_the_log(exit_code):
    outcome = verdicts.of_exit(exit_code, out_of_memory=False, memory_bytes=GIB)
    assert outcome.code == StatusCode.NONZERO_EXIT
    assert outcome.message == f"The job ended with exit code {exit_code}; see the log for details."


def test_a_cancelled_job_says_by_whom_and_why():
    job = Job(stop_request=Job.StopRequest.CANCEL, stop_requested_by="alice", stop_reason="wrong codelist")
    assert verdicts.stopped(job) == verdicts.Outcome(StatusCode.CANCELLED_BY_USER, "Cancelled by alice: wrong codelist")


def test_a_killed_job_is_no_cancelled_one():
    job = Job(stop_request=Job.StopRequest.KILL, stop_requested_by="olive")
    assert verdicts.stopped(job) == verdicts.Outcome(StatusCode.KILLED_BY_ADMIN, "Killed by olive")


def test_patterns_without_a_match_are_named_with_the_near_files():
    outcome = verdicts.unmatched(["output/a.csv", "output/b.csv"], {"output/a.csv": ["output/A.csv"]})
    assert outcome.code == StatusCode.UNMATCHED_PATTERNS
    assert outcome.message == "No outputs found matching output/a.csv and output/b.csv."
    assert outcome.detail == "Did you mean output/A.csv instead of output/a.csv?"


def test_success_says_nothing_more_when_nothing_was_left_out():
    outcome = verdicts.success(False, [], [])
    assert outcome == verdicts.Outcome(StatusCode.SUCCEEDED, "Completed successfully.")


def test_success_says_what_was_left_out_and_what_went_wrong_on_the_way():
    outcome = verdicts.success(True, ["output/big.csv"], ["output/link (a symbolic link)"])
    assert outcome.message == (
        "Completed successfully. 1 moderately sensitive output(s) were withheld by the disclosure checks. "
        "1 file(s) could not be stored. One of its processes ran out of memory, although the job succeeded."
    )
    assert outcome.detail == "Kept back: output/big.csv. Not stored: output/link (a symbolic link)."


def test_a_job_that_never_starts_names_the_actions_that_failed_and_no_others():
    awaited = [
        Job(pk=1, action="extract", state="failed", status_code=StatusCode.NONZERO_EXIT),
        Job(pk=2, action="count", state="succeeded", status_code=StatusCode.SUCCEEDED),
        Job(pk=3, action="chart", state="running", status_code=StatusCode.EXECUTING),
        Job(pk=4, action="match", state="failed", status_code=StatusCode.CANCELLED_BY_USER),
    ]
    assert verdicts.dependency_failed(awaited) == "Not run because it needs extract and match, which did not succeed."


def test_every_verdict_may_follow_finalized():
    stopped = [
        verdicts.stopped(Job(stop_request=kind, stop_requested_by="alice"))
        for kind in (Job.StopRequest.CANCEL, Job.StopRequest.KILL)
    ]
    failed = [verdicts.of_exit(1, False, GIB), verdicts.unmatched(["a"], {}), verdicts.success(False, [], [])]
    assert {outcome.code for outcome in stopped + failed} < OUTCOMES
