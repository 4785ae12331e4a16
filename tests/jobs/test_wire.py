"""Jobs as a job-server takes them: every status, every message, and what is told instead of jobs."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone as clock
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from jobs import wire
from jobs.models import Heartbeat, Job, JobRequest
from jobs.models.job import job_identifier
from jobs.states import ACTIVE_CODES, FINAL_STATES, RUNNING_CODES, State, StatusCode, state_of
from sync.delivering import MOST_BODY_BYTES, _to_remote
from sync.job_server import encode
from tests import recordings
from tests.factories import make_job, make_request
from tests.fakes.eras import ERAS
from tests.fakes.validation import checked_payload

pytestmark = pytest.mark.django_db
Outcome, Source = JobRequest.Outcome, JobRequest.Source
KEYS = {
    *("identifier", "action", "run_command", "status", "status_code", "status_message", "created_at", "updated_at"),
    *("started_at", "completed_at", "trace_context", "metrics", "requires_db"),
}


def told(request: JobRequest) -> list[wire.RemoteJob]:
    """As sync would tell it now; the light and the whole reading must agree on the state."""
    fresh = JobRequest.objects.told_from().get(pk=request.pk)
    jobs = wire.remote_jobs([fresh])[request.pk]
    assert wire.digests([fresh]) == ({request.pk: wire.digest(jobs)} if jobs else {})
    return jobs


def polled(outcome: Outcome = Outcome.PLANNED, **columns) -> JobRequest:
    return make_request(**{"source": Source.POLLING, "outcome": outcome, "outcome_at": clock.now()} | columns)


def assert_acceptable(request: JobRequest, jobs: list[wire.RemoteJob]) -> None:
    """To the job-servers of all eras, and completely."""
    payload = json.loads(encode(_to_remote(request, jobs)))
    for era in ERAS.values():
        _, errors = checked_payload(payload, era)
        assert errors is None, (era.name, errors)
    for job in payload:
        assert job.keys() == KEYS | {"job_request_id"}
        assert job["job_request_id"] == request.identifier
        assert (job["completed_at"] is not None) is (job["status"] in FINAL_STATES)
        assert all(job[key] is not None for key in ("run_command", "status_message", "status_code", "created_at"))
        assert job["status"] in set(State)


# Jobs


@pytest.mark.parametrize("code", StatusCode)
def test_every_status_is_told_as_the_contract_wants_it(code):
    job = make_job(code, request=polled(), status_message="A sentence.")
    (remote,) = jobs = told(job.request)
    assert_acceptable(job.request, jobs)
    assert (remote["status"], remote["status_code"], remote["status_message"]) == (state_of(code), code, "A sentence.")
    assert (remote["started_at"] is not None) is (code in RUNNING_CODES)
    assert (remote["identifier"], remote["action"]) == (job.identifier, job.action)
    assert (remote["run_command"], remote["requires_db"]) == (job.run_command, False)
    assert wire.is_final(jobs) is (state_of(code) in FINAL_STATES)


def test_a_job_has_all_keys_that_the_recorded_posts_have():
    recorded = [
        job
        for _, exchange in recordings.exchanges(6, 10)
        if isinstance(exchange["request"].get("json"), list)
        for job in exchange["request"]["json"]
    ]
    assert set().union(*recorded) <= KEYS | {"job_request_id"}


def test_a_job_that_ran_keeps_when_it_started():
    started, ended = datetime(2026, 1, 2, 3, 4, 5, 6, UTC), datetime(2026, 1, 2, 4, tzinfo=UTC)
    job = make_job(StatusCode.SUCCEEDED, request=polled(), started_at=started, completed_at=ended, created_at=started)
    (remote,) = told(job.request)
    assert remote["started_at"] == remote["created_at"] == "2026-01-02T03:04:05.000006Z"
    assert remote["completed_at"] == "2026-01-02T04:00:00.000000Z"


def test_a_further_attempt_that_waits_has_not_started():
    job = make_job(StatusCode.WAITING_ON_REBOOT, request=polled(), started_at=clock.now(), attempt=2)
    assert told(job.request)[0]["started_at"] is None


def test_jobs_are_told_in_the_order_of_their_creation():
    request = polled()
    names = [make_job(request=request, action=name).action for name in "cab"]
    assert [job["action"] for job in told(request)] == names


@pytest.mark.parametrize("code", [StatusCode.WAITING_ON_WORKERS, StatusCode.EXECUTING])
def test_an_active_job_is_as_fresh_as_the_runner_is_alive(code):
    long_ago = clock.now() - timedelta(hours=5)
    job = make_job(code, request=polled(), updated_at=long_ago)
    assert told(job.request)[0]["updated_at"] == wire.moment(long_ago)
    Heartbeat.beat("run")
    assert told(job.request)[0]["updated_at"] == wire.moment(Heartbeat.objects.get(name="run").at)


def test_only_the_runner_vouches_for_jobs_and_never_makes_them_older():
    job = make_job(StatusCode.EXECUTING, request=polled())
    Heartbeat.beat("sync")
    Heartbeat.objects.create(name="run", at=clock.now() - timedelta(days=1))
    assert told(job.request)[0]["updated_at"] == wire.moment(job.updated_at)


@pytest.mark.parametrize("code", [StatusCode.SUCCEEDED, StatusCode.CANCELLED_BY_USER])
def test_a_finished_job_stays_as_old_as_it_is(code):
    job = make_job(code, request=polled())
    Heartbeat.beat("run")
    assert told(job.request)[0]["updated_at"] == wire.moment(job.updated_at)


# Texts and times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It waits.", "It waits."),
        ("a\0b", "a\ufffdb"),
        ("a\ud800b", "a\ufffdb"),
        ("\x1b[31mred", "\ufffd[31mred"),
        ("one\n\ttwo\r\n", "one\n\ttwo\ufffd"),
        ("\u2028", "\ufffd"),
        ("  spaces  ", "spaces"),
        ("\N{OK HAND SIGN} é", "\N{OK HAND SIGN} é"),
        ("", ""),
        ("x" * 2000, "x" * 2000),
        ("x" * 2001, "x" * 1999 + "…"),
    ],
)
def test_a_text_is_cleaned_and_shortened(text, expected):
    assert wire.clean(text) == expected


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (None, None),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 678, timezone(timedelta(hours=2))), "2026-01-02T01:04:05.000678Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999999, UTC), "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_time_is_told_in_utc_with_microseconds(time, expected):
    assert wire.moment(time) == expected


any_text = st.text(st.characters(exclude_categories=())) | st.sampled_from(["", "\0", "\ud800", "x" * 11_000])


class AnyTextIsAcceptable(TestCase):
    @settings(max_examples=50, deadline=None)
    @given(st.sampled_from(list(StatusCode)), any_text, any_text, st.none() | st.dictionaries(st.text(), st.integers()))
    def test_every_era_accepts_whatever_a_study_says(self, code, message, command, metrics):
        request = JobRequest(identifier="abcdefgh2345wxyz", source=Source.POLLING)
        row = {
            "identifier": "x" * 16,
            "action": message[:255] or "a",
            "run_command": command,
            "state": state_of(code),
            "status_code": code.value,
            "status_message": message,
            "created_at": clock.now(),
            "updated_at": clock.now(),
            "started_at": clock.now(),
            "completed_at": clock.now() if state_of(code) in FINAL_STATES else None,
            "trace_context": None,
            "metrics": metrics,
            "requires_db": True,
        }
        jobs = [wire._remote(row, clock.now())]
        assert_acceptable(request, jobs)
        for outcome in (wire._refusal, wire._nothing_to_do):
            request.outcome_message, request.error_name = message, "Error"
            request.requested_actions = [wire.clean(command, 1000)]
            assert_acceptable(request, outcome(request))


# What is told instead of jobs


def test_a_request_that_waits_to_be_planned_tells_nothing():
    request = polled(Outcome.WAITING, outcome_at=None)
    assert told(request) == []


def test_a_refused_request_is_told_as_one_failed_job():
    request = polled(Outcome.REFUSED, error_name="ProjectError", outcome_message="No such action.")
    (remote,) = jobs = told(request)
    assert_acceptable(request, jobs)
    assert (remote["action"], remote["status"], remote["status_code"]) == ("__error__", "failed", "")
    assert remote["status_message"] == "ProjectError: No such action."
    assert remote["identifier"] == job_identifier(request.identifier, "__error__")
    assert (remote["started_at"], remote["completed_at"]) == (None, wire.moment(request.outcome_at))
    assert told(request) == jobs, "the same each time"


def test_nothing_to_do_is_told_as_one_job_that_succeeded():
    message = "All actions have already run."
    request = polled(Outcome.NOTHING_TO_DO, requested_actions=["b", "a"], outcome_message=message)
    (remote,) = jobs = told(request)
    assert_acceptable(request, jobs)
    assert (remote["action"], remote["status"], remote["status_code"]) == ("b", "succeeded", "succeeded")
    assert remote["status_message"] == message


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.NOTHING_TO_DO, Outcome.ALREADY_SCHEDULED])
def test_a_call_of_the_rap_api_never_gets_jobs_that_do_not_exist(outcome):
    """Its caller has had the outcome as an answer."""
    assert told(polled(outcome, source=Source.RAP_API, joined_jobs=[make_job().identifier])) == []


def test_an_action_may_be_called_as_the_sign_of_a_refused_request():
    """The job-server then calls the request invalid, which harms nobody else's; it is told as any other job."""
    job = make_job(StatusCode.SUCCEEDED, request=polled(), action="__error__", status_message="Completed.")
    (remote,) = jobs = told(job.request)
    assert_acceptable(job.request, jobs)
    assert (remote["action"], remote["status"], remote["status_message"]) == ("__error__", "succeeded", "Completed.")


# Jobs of other requests


def joining(*jobs: Job, **columns) -> JobRequest:
    return polled(Outcome.ALREADY_SCHEDULED, joined_jobs=[job.identifier for job in jobs], **columns)


@pytest.mark.parametrize("code", [*ACTIVE_CODES, StatusCode.SUCCEEDED, StatusCode.NONZERO_EXIT])
def test_the_job_of_another_request_is_mirrored(code):
    job = make_job(code, action="make_table", status_message="A sentence.", metrics={"a": 1})
    (remote,) = jobs = told(request := joining(job))
    assert_acceptable(request, jobs)
    assert remote["identifier"] == job_identifier(request.identifier, "make_table") != job.identifier
    assert (remote["status"], remote["status_code"]) == (state_of(code), code)
    assert remote["status_message"] == f"A sentence. (Job {job.identifier}, scheduled by another request.)"
    assert remote["metrics"] == {"a": 1}


def test_a_mirrored_job_shows_that_the_runner_lives():
    request = joining(make_job(StatusCode.EXECUTING, updated_at=clock.now() - timedelta(hours=1)))
    Heartbeat.beat("run")
    assert told(request)[0]["updated_at"] == wire.moment(Heartbeat.objects.get(name="run").at)


def test_nothing_more_is_told_of_a_request_once_a_job_that_it_mirrors_is_gone():
    """A list without it would delete there what was told of it, and any other word would contradict that."""
    kept, deleted = make_job(StatusCode.SUCCEEDED), make_job(StatusCode.SUCCEEDED)
    request = joining(kept, deleted)
    assert len(told(request)) == 2
    deleted.delete()
    assert told(request) == []


def statuses(request: JobRequest) -> dict[str, str]:
    return {job["action"]: job["status_code"] for job in told(request)}


def test_what_is_cancelled_for_one_request_goes_on_for_the_other():
    running = make_job(StatusCode.EXECUTING, action="a")
    request = joining(running)
    request.ask_to_cancel(["a"], by="job-server")
    jobs = told(request)
    assert_acceptable(request, jobs)
    assert (jobs[0]["status"], jobs[0]["status_code"]) == ("failed", "cancelled_by_user")
    running.refresh_from_db()
    assert not running.is_stop_requested


def test_a_cancelled_mirror_never_becomes_anything_else():
    running = make_job(StatusCode.FINALIZED, action="a")
    request = joining(running)
    request.ask_to_cancel(["a"], by="job-server")
    running.move_to(StatusCode.SUCCEEDED, "Completed.")
    assert statuses(request) == {"a": "cancelled_by_user"}


def test_cancel_all_leaves_a_mirror_that_has_finished_as_it_is():
    """Job-servers up to 2025-09 name the finished actions too (§1.5)."""
    done, failed = make_job(StatusCode.SUCCEEDED, action="a"), make_job(StatusCode.NONZERO_EXIT, action="b")
    request = joining(done, failed, make_job(StatusCode.CREATED, action="c"))
    for _ in range(2):
        request.ask_to_cancel(["a", "b", "c", "unknown"], by="job-server")
    assert statuses(request) == {"a": "succeeded", "b": "nonzero_exit", "c": "cancelled_by_user"}


def test_what_was_cancelled_before_it_was_planned_is_cancelled_for_this_request():
    running = make_job(StatusCode.EXECUTING, action="a")
    done = make_job(StatusCode.SUCCEEDED, action="b")
    request = polled(Outcome.WAITING, outcome_at=None)
    request.ask_to_cancel(["a", "b"], by="job-server")
    request.conclude(Outcome.ALREADY_SCHEDULED, "…", joined_jobs=[running.identifier, done.identifier])
    assert statuses(request) == {"a": "cancelled_by_user", "b": "succeeded"}


# Digests


def digest(request: JobRequest) -> str:
    return wire.digest(told(request))


@pytest.mark.parametrize(
    "columns",
    [
        {"status_message": "Another sentence."},
        {"updated_at": datetime(2030, 1, 1, tzinfo=UTC)},
        {"metrics": {"a": 2}},
        {"trace_context": {"a": "b"}},
    ],
    ids=lambda columns: next(iter(columns)),
)
def test_what_is_said_of_a_state_makes_no_new_one(columns):
    job = make_job(StatusCode.EXECUTING, request=polled())
    before = digest(job.request)
    Job.objects.filter(pk=job.pk).update(**columns)
    Heartbeat.beat("run")
    assert digest(job.request) == before


@pytest.mark.parametrize(
    "columns",
    [
        {"identifier": "another"},
        {"action": "another"},
        {"status_code": "executed"},
        {"state": "pending", "status_code": "created"},
        {"started_at": datetime(2030, 1, 1, tzinfo=UTC)},
        {"state": "failed", "status_code": "nonzero_exit", "completed_at": datetime(2030, 1, 1, tzinfo=UTC)},
    ],
    ids=lambda columns: next(iter(columns)),
)
def test_each_part_of_a_state_makes_a_new_one(columns):
    job = make_job(StatusCode.EXECUTING, request=polled())
    before = digest(job.request)
    Job.objects.filter(pk=job.pk).update(**columns)
    assert digest(job.request) != before


def test_one_more_job_makes_another_state():
    job = make_job(StatusCode.EXECUTING, request=polled())
    before = digest(job.request)
    make_job(StatusCode.EXECUTING, request=job.request)
    assert digest(job.request) != before


def test_another_end_makes_another_state_of_a_finished_job():
    job = make_job(StatusCode.SUCCEEDED, request=polled())
    before = digest(job.request)
    Job.objects.filter(pk=job.pk).update(completed_at=datetime(2030, 1, 1, tzinfo=UTC))
    assert digest(job.request) != before


# Many


def of_every_kind() -> list[JobRequest]:
    planned = polled()
    jobs = [make_job(code, request=planned) for code in (StatusCode.EXECUTING, StatusCode.SUCCEEDED)]
    return [planned, joining(*jobs), polled(Outcome.REFUSED), polled(Outcome.NOTHING_TO_DO), polled(Outcome.WAITING)]


@pytest.mark.parametrize("read", [wire.remote_jobs, wire.digests])
def test_a_hundred_requests_cost_as_many_queries_as_one_of_each_kind(read):
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            read(JobRequest.objects.told_from())
        return len(queries)

    of_every_kind()
    few = cost()
    for _ in range(20):
        of_every_kind()
    assert JobRequest.objects.count() == 105
    assert cost() == few <= 6


def test_a_digest_is_read_without_the_long_columns():
    make_job(request=polled())
    with CaptureQueriesContext(connection) as queries:
        wire.digests(JobRequest.objects.told_from())
    sent = " ".join(query["sql"] for query in queries)
    assert "status_code" in sent
    assert not [column for column in ("run_command", "metrics", "trace_context", "original") if column in sent]


def test_together_and_alone_a_request_is_told_the_same():
    requests = of_every_kind()
    together = wire.remote_jobs(JobRequest.objects.told_from())
    assert together == {request.pk: told(request) for request in requests}


# Sizes: one POST holds all jobs of a request, for a server deletes what is missing


def many(count: int, message: str, command: str) -> list[wire.RemoteJob]:
    return [
        wire._remote(
            {
                "identifier": f"{number:016}",
                "action": f"action_{number}",
                "run_command": command,
                "state": State.RUNNING.value,
                "status_code": StatusCode.EXECUTING.value,
                "status_message": message,
                "created_at": clock.now(),
                "updated_at": clock.now(),
                "started_at": clock.now(),
                "completed_at": None,
                "trace_context": None,
                "metrics": {},
                "requires_db": False,
            },
            None,
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("count", "message", "command"),
    [
        (2, "x" * 2000, "y" * 10_000),
        (2000, "", ""),
        (2000, "x" * 2000, "y" * 10_000),
        (2000, "\N{OK HAND SIGN}" * 2000, "é" * 10_000),
        (4000, "x" * 2000, "y" * 10_000),
    ],
    ids=["2", "2000 bare", "2000", "2000 wide", "4000"],
)
def test_a_body_is_short_enough_for_todays_servers(count, message, command):
    request = JobRequest(identifier="abcdefgh2345wxyz")
    jobs = many(count, message, command)
    sent = _to_remote(request, jobs)
    assert len(encode(sent)) <= MOST_BODY_BYTES
    assert [job["identifier"] for job in sent] == [job["identifier"] for job in jobs]
    assert wire.digest(sent) == wire.digest(jobs), "texts are shortened, never a state"
    if count == 2:
        assert sent[0]["status_message"] == message and sent[0]["run_command"] == command


def test_what_cannot_be_made_short_enough_is_still_told_in_one_piece():
    request = JobRequest(identifier="abcdefgh2345wxyz")
    sent = _to_remote(request, many(6000, "x" * 300, ""))
    assert len(sent) == 6000
    assert len(encode(sent)) > MOST_BODY_BYTES


def test_metrics_are_left_out_before_a_body_is_too_large():
    request = JobRequest(identifier="abcdefgh2345wxyz")
    jobs = [job | {"metrics": {"a": "x" * 2000}, "trace_context": {"b": "y" * 500}} for job in many(2000, "", "")]
    sent = _to_remote(request, jobs)
    assert len(encode(sent)) <= MOST_BODY_BYTES
    assert all(job["metrics"] == {} and job["trace_context"] is None for job in sent)


def test_a_sign_of_life_from_a_clock_that_was_ahead_counts_as_now():
    job = make_job(StatusCode.EXECUTING)
    Heartbeat.objects.create(name="run", at=clock.now() + timedelta(days=1))
    (remote,) = told(job.request)
    assert datetime.fromisoformat(remote["updated_at"]) <= clock.now()
