"""rap/status and backend/status: exactly what job-servers store, and never what would stop one."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Flag, Heartbeat, Job, JobRequest
from jobs.models.job import job_identifier
from jobs.states import StatusCode
from jobs.wire import SHARED_KEYS, moment
from tests.databases import SERVER
from tests.factories import make_flag, make_job, make_request
from tests.rap import OTHER_TOKEN, RAP_ID, Caller

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 26, 12, 0, 0, 250_000, tzinfo=UTC)


def rap_id(number: int) -> str:
    return f"rap{number:013}"


def make_rap(number: int, *actions: str, **columns) -> JobRequest:
    request = make_request(identifier=rap_id(number), **{"backend": "test"} | columns)
    for action in actions:
        make_job(request=request, action=action)
    return request


def ids_of(answer) -> list[str]:
    return [job["rap_id"] for job in answer.json()["jobs"]]


def test_a_job_is_told_with_every_key(caller):
    request = make_request(identifier=RAP_ID, backend="test")
    make_job(
        StatusCode.EXECUTING,
        request=request,
        action="extract",
        run_command="ehrql:v1 generate-dataset dataset.py",
        status_message="The command is running.",
        requires_db=True,
        created_at=NOON,
        updated_at=NOON,
        started_at=NOON,
        trace_context={"traceparent": "00-x-y-01"},
        metrics={"cpu": 1.5},
    )
    answer = caller.status(RAP_ID)
    assert answer.status_code == 200
    assert answer.json() == {
        "jobs": [
            {
                "identifier": job_identifier(RAP_ID, "extract"),
                "rap_id": RAP_ID,
                "backend": "test",
                "action": "extract",
                "run_command": "ehrql:v1 generate-dataset dataset.py",
                "status": "running",
                "status_code": "executing",
                "status_message": "The command is running.",
                "created_at": "2026-11-26T12:00:00.250000Z",
                "updated_at": "2026-11-26T12:00:00.250000Z",
                "started_at": "2026-11-26T12:00:00.250000Z",
                "completed_at": None,
                "trace_context": {"traceparent": "00-x-y-01"},
                "metrics": {"cpu": 1.5},
                "requires_db": True,
            }
        ],
        "unrecognised_rap_ids": [],
    }


@pytest.mark.parametrize("code", StatusCode)
def test_a_job_with_any_code_can_be_told(caller, code):
    make_job(code, request=make_request(identifier=RAP_ID, backend="test"))
    assert [job["status_code"] for job in caller.status(RAP_ID).json()["jobs"]] == [code]


def test_an_empty_question_has_an_empty_answer(caller):
    answer = caller.status()
    assert (answer.status_code, answer.json()) == (200, {"jobs": [], "unrecognised_rap_ids": []})


def test_the_answer_keeps_the_order_of_the_question_and_names_each_once(caller):
    make_rap(1, "b", "a")
    make_rap(2, "c")
    answer = caller.status(rap_id(2), rap_id(9), rap_id(1), rap_id(2), rap_id(8), rap_id(9))
    assert ids_of(answer) == [rap_id(2), rap_id(1), rap_id(1)]
    assert [job["action"] for job in answer.json()["jobs"]] == ["c", "b", "a"]
    assert answer.json()["unrecognised_rap_ids"] == [rap_id(9), rap_id(8)]


ENDED = [
    *(("rap_api", outcome) for outcome in ("refused", "nothing_to_do", "already_scheduled")),
    *(("polling", outcome) for outcome in ("refused", "nothing_to_do")),
]


@pytest.mark.parametrize(("source", "outcome"), ENDED)
def test_a_request_that_ended_without_jobs_is_unrecognised(caller, source, outcome):
    joined = [make_job(request=make_rap(2)).identifier] if outcome == "already_scheduled" else []
    make_rap(1, outcome=outcome, source=source, joined_jobs=joined)
    assert caller.status(rap_id(1)).json() == {"jobs": [], "unrecognised_rap_ids": [rap_id(1)]}


def make_mirror(number: int, *jobs: Job, **columns) -> JobRequest:
    """A polled request whose actions jobs of others do."""
    joined = [job.identifier for job in jobs]
    return make_rap(number, outcome="already_scheduled", **{"source": "polling", "joined_jobs": joined} | columns)


def test_the_jobs_of_others_that_do_a_polled_request_are_told_under_identifiers_of_its_own(caller):
    """As polling tells them: such a request may be asked for, too, where a job-server uses both protocols."""
    owner = make_rap(2, "extract")
    running = make_job(StatusCode.EXECUTING, request=owner, action="analyse", status_message="It runs.")
    make_mirror(1, owner.jobs.get(action="extract"), running)
    answer = caller.status(rap_id(2), rap_id(1)).json()
    assert answer["unrecognised_rap_ids"] == []
    extract, analyse = (job for job in answer["jobs"] if job["rap_id"] == rap_id(1))
    assert set(extract) == set(analyse) == {*SHARED_KEYS, "rap_id", "backend"}
    assert [extract["identifier"], analyse["identifier"]] == [
        job_identifier(rap_id(1), "extract"),
        job_identifier(rap_id(1), "analyse"),
    ]
    assert (analyse["status_code"], analyse["backend"]) == ("executing", "test")
    assert analyse["status_message"] == f"It runs. (Job {running.identifier}, scheduled by another request.)"


def test_a_polled_request_whose_joined_job_was_deleted_is_not_unrecognised(caller):
    """What a job-server knows of it stays true."""
    make_mirror(1, joined_jobs=["abcdefgh12345678"])
    assert caller.status(rap_id(1)).json() == {"jobs": [], "unrecognised_rap_ids": []}


def test_the_number_of_queries_does_not_grow_with_requests_that_jobs_of_others_do(caller):
    job = make_job(request=make_rap(1))
    make_mirror(2, job)
    with CaptureQueriesContext(connection) as of_one:
        caller.status(rap_id(2))
    for number in range(3, 40):
        make_mirror(number, job)
    with CaptureQueriesContext(connection) as of_many:
        assert len(caller.status(*map(rap_id, range(2, 40))).json()["jobs"]) == 38
    assert len(of_many) == len(of_one) <= 8


def test_a_request_that_waits_to_be_planned_is_in_neither_list(caller):
    make_rap(1, outcome="waiting")
    assert caller.status(rap_id(1)).json() == {"jobs": [], "unrecognised_rap_ids": []}


def test_what_the_token_may_not_see_is_unrecognised(caller):
    make_rap(1, "a")
    make_rap(2, backend="test", outcome="waiting")
    answer = Caller(OTHER_TOKEN).status(rap_id(1), rap_id(2))
    assert answer.json() == {"jobs": [], "unrecognised_rap_ids": [rap_id(1), rap_id(2)]}


ODD = [
    "NOT-VALID",
    "",
    "x" * 5000,
    "abcdefgh1234567",
    f"{RAP_ID}\n",
    "ключключключключ",
    "' OR 1=1 --",
    "١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦",
]


def test_an_odd_identifier_is_unrecognised_and_stops_nobody(caller):
    """Other controllers refuse the whole call, and one odd row at a job-server would stop all updates."""
    make_rap(1, "a")
    answer = caller.status(*ODD, rap_id(1))
    assert answer.status_code == 200
    assert ids_of(answer) == [rap_id(1)]
    assert answer.json()["unrecognised_rap_ids"] == ODD


def test_an_odd_identifier_is_unrecognised_even_if_a_request_has_it(caller):
    """Such as one that was polled: today's job-server has no such identifiers."""
    make_job(request=make_request(identifier="NOT-VALID", backend="test"))
    assert caller.status("NOT-VALID").json()["unrecognised_rap_ids"] == ["NOT-VALID"]


@pytest.mark.parametrize("value", [None, 7, {}, ["abc"], True])
def test_an_identifier_that_is_no_text_is_refused(caller, value):
    answer = caller.post("/rap/status/", {"rap_ids": [RAP_ID, value]})
    assert answer.status_code == 400 and "$.rap_ids[1]" in answer.json()["details"]


def test_ten_thousand_identifiers_may_be_asked_for_and_no_more(caller):
    many = [rap_id(number) for number in range(10_000)]
    assert caller.status(*many).json()["unrecognised_rap_ids"] == many
    assert caller.status(*many, RAP_ID).status_code == 400


def test_the_number_of_queries_does_not_grow_with_requests_and_jobs(caller):
    make_rap(1, "a")
    with CaptureQueriesContext(connection) as of_one:
        caller.status(rap_id(1))
    for number in range(2, 40):
        make_rap(number, "a", "b", "c")
    with CaptureQueriesContext(connection) as of_many:
        assert len(caller.status(*map(rap_id, range(1, 60))).json()["jobs"]) == 115
    assert len(of_many) == len(of_one) <= 4


POISON = {
    **({} if SERVER else {"NUL in the metrics": {"metrics": {"note": "a\x00b"}}}),  # which PostgreSQL never stores
    "a list as metrics": {"metrics": [1]},
    "a text as trace": {"trace_context": "00-x-y-01"},
    "an identifier of another kind": {"identifier": "UPPER"},
    "an action without a name": {"action": ""},
}


@pytest.mark.parametrize("columns", POISON.values(), ids=POISON.keys())
def test_a_job_that_would_stop_a_job_server_is_left_out_and_the_others_are_told(caller, caplog, columns):
    request = make_rap(1, "a")
    poison = make_job(request=request, **{"action": "b"} | columns)
    make_rap(2, "c")
    answer = caller.status(rap_id(1), rap_id(2))
    assert [job["action"] for job in answer.json()["jobs"]] == ["a", "c"]
    assert f"job {poison.identifier} is left out of rap/status" in caplog.text


def test_a_request_whose_jobs_are_all_left_out_is_not_unrecognised(caller):
    """A job-server would fail it for good, and it runs."""
    make_job(request=make_rap(1), metrics=[1])
    assert caller.status(rap_id(1)).json() == {"jobs": [], "unrecognised_rap_ids": []}


def test_texts_are_made_harmless_instead_of_being_left_out(caller):
    make_job(request=make_rap(1), status_message="a\x00b" + "x" * 5000, run_command="y" * 20_000)
    (job,) = caller.status(rap_id(1)).json()["jobs"]
    assert "\x00" not in job["status_message"] and len(job["status_message"]) == 2000


# backend/status -----------------------------------------------------------------------------------------------------

OFF = {"status": "off", "since": None}


def backends(caller: Caller) -> list[dict]:
    answer = caller.get("/backend/status/")
    assert answer.status_code == 200
    return answer.json()["backends"]


def test_only_the_backend_of_this_site_is_told_though_the_token_has_others(caller):
    """A name that a job-server does not know stops its whole update."""
    assert backends(caller) == [
        {"slug": "test", "last_seen": None, "paused": OFF, "db_maintenance": OFF | {"type": None}}
    ]


def test_a_token_of_other_backends_is_told_nothing():
    assert backends(Caller(OTHER_TOKEN)) == []


@pytest.mark.parametrize(("newer", "older"), [("run", "sync"), ("sync", "run")])
def test_the_agent_was_last_seen_when_the_first_of_its_processes_fell_silent(caller, newer, older):
    now = timezone.now()
    Heartbeat.objects.create(name=newer, at=now)
    assert backends(caller)[0]["last_seen"] is None
    Heartbeat.objects.create(name=older, at=now - timedelta(minutes=1))
    Heartbeat.objects.create(name="something else", at=now - timedelta(days=1))
    assert backends(caller)[0]["last_seen"] == moment(now - timedelta(minutes=1))


@pytest.mark.parametrize("silent", ["run", "sync"])
def test_an_agent_that_was_heard_at_a_time_that_lies_ahead_was_not_heard(caller, silent):
    """The clock was set back; a job-server would take it for alive until the clock has caught up."""
    for name in ("run", "sync"):
        Heartbeat.objects.create(name=name, at=timezone.now() + timedelta(days=1 if name == silent else 0))
    assert backends(caller)[0]["last_seen"] is None


def test_switches_are_told_with_the_time_at_which_they_were_set(caller):
    make_flag(Flag.Name.PAUSED, set_at=NOON)
    make_flag(Flag.Name.DB_MAINTENANCE, set_at=NOON)
    (backend,) = backends(caller)
    assert backend["paused"] == {"status": "on", "since": "2026-11-26T12:00:00.250000Z"}
    assert backend["db_maintenance"] == {"status": "on", "since": "2026-11-26T12:00:00.250000Z", "type": "manual"}

    make_flag(Flag.Name.PAUSED, value="")
    make_flag(Flag.Name.DB_MAINTENANCE, value="scheduled")
    (backend,) = backends(caller)
    assert backend["paused"] == OFF and backend["db_maintenance"]["type"] == "scheduled"


def test_a_switch_that_has_expired_counts_no_more(caller):
    make_flag(Flag.Name.DB_MAINTENANCE, expires_at=timezone.now() - timedelta(seconds=1))
    assert backends(caller)[0]["db_maintenance"] == OFF | {"type": None}


def test_the_backend_takes_two_queries(caller, django_assert_num_queries):
    with django_assert_num_queries(2):
        backends(caller)
    assert not Job.objects.exists()
