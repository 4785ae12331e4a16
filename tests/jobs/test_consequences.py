"""What is told before a cancel, kill or retry is confirmed."""

import pytest

from jobs import asking
from jobs.consequences import CANCEL, KILL, RETRY, consequences
from jobs.models import AuditEntry, Who
from jobs.states import StatusCode
from tests.factories import make_job, make_request

pytestmark = pytest.mark.django_db
WAITING = StatusCode.WAITING_ON_DEPENDENCIES


def test_a_cancel_tells_what_stops_what_never_starts_and_what_cannot_run_then():
    request = make_request()
    running = make_job(StatusCode.EXECUTING, request)
    waiting = make_job(WAITING, request, waits_for=[running])
    other = make_job(StatusCode.WAITING_ON_WORKERS)
    behind = make_job(WAITING, waits_for=[waiting])  # of another request
    further = make_job(WAITING, waits_for=[behind])
    make_job(WAITING, waits_for=[make_job(StatusCode.EXECUTING)])
    found = consequences(CANCEL, [job.identifier for job in (running, waiting, other)])
    assert found.question == "Cancel 3 jobs in 2 requests?"
    assert found.dependents == [behind, further]
    assert found.sentences[0].startswith("1 running will be stopped")
    assert found.sentences[1:] == [
        "2 waiting will not start.",
        "2 later jobs that need them will not run either (dependency failed).",
    ]


def test_one_later_job_is_told_as_one():
    waiting = make_job(StatusCode.WAITING_ON_WORKERS)
    make_job(WAITING, waits_for=[waiting])
    last = consequences(CANCEL, [waiting.identifier]).sentences[-1]
    assert last == "1 later job that needs them will not run either (dependency failed)."


def test_what_waits_for_a_job_that_has_ended_is_not_counted():
    ended = make_job(StatusCode.SUCCEEDED)
    make_job(WAITING, waits_for=[ended])
    found = consequences(CANCEL, [ended.identifier])
    assert (found.affected, found.dependents) == ([], [])
    assert "ended already" in found.fates[0].sentence


def test_a_job_that_was_asked_to_stop_can_only_be_killed():
    job = make_job(StatusCode.EXECUTING)
    job.request_cancel("bob", "why")
    assert consequences(CANCEL, [job.identifier]).fates[0].is_refused
    assert consequences(KILL, [job.identifier]).affected == [job]


def test_a_retry_tells_for_each_job_what_would_be_done():
    codes = (StatusCode.INTERNAL_ERROR, StatusCode.NONZERO_EXIT, StatusCode.EXECUTING)
    found = consequences(RETRY, [*(make_job(code).identifier for code in codes), "gone"])
    assert [fate.sentence.split(";")[0] for fate in found.fates] == [
        "will be finalised again",
        "will run again in a new request",
        "is still active",
    ]
    assert found.unknown == ["gone"]
    assert len(found.sentences) == 4


@pytest.mark.parametrize("number", [2, 40])
def test_the_number_of_queries_does_not_depend_on_the_number_of_jobs(number, django_assert_num_queries):
    jobs = [make_job(StatusCode.EXECUTING)]
    for _ in range(number):
        jobs.append(make_job(WAITING, waits_for=[jobs[-1]]))
    with django_assert_num_queries(4):
        assert consequences(CANCEL, [jobs[0].identifier]).number_behind == number


def test_who_retries_is_told_who_has_asked_for_it_before():
    first, second = make_job(StatusCode.NONZERO_EXIT), make_job(StatusCode.NONZERO_EXIT)
    _, [request] = asking.run_again([first.identifier], Who("olive", AuditEntry.Via.DASHBOARD), "the data is there")
    found = consequences(RETRY, [first.identifier, second.identifier])
    told, untold = (fate.sentence for fate in found.fates)
    assert "asked for again before, by olive at " in told and f"in request {request.identifier}" in told
    assert untold == "will run again in a new request"
    assert "1 of them was asked for again before: see below by whom." in found.sentences


def test_a_retry_tells_how_many_more_run_because_they_are_needed():
    """Planning runs again what an action needs and lacks."""
    request = make_request()
    done = make_job(StatusCode.SUCCEEDED, request)
    first = make_job(StatusCode.NONZERO_EXIT, request, waits_for=[done])
    second = make_job(StatusCode.DEPENDENCY_FAILED, request, waits_for=[first])
    last = make_job(StatusCode.DEPENDENCY_FAILED, request, waits_for=[second, done])
    more = "2 more jobs that they need, and that did not succeed either, will run first, unless a later run has"
    assert any(each.startswith(more) for each in consequences(RETRY, [last.identifier]).sentences)
    both = consequences(RETRY, [last.identifier, second.identifier])
    assert both.sentences[1].startswith("1 more job that they need")
    assert not any("more job" in each for each in consequences(RETRY, [first.identifier]).sentences)
