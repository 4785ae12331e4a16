"""`jobs`, `job`, `flags` and `status`: what they say is what the pages and the API say, and harmless on a terminal."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Heartbeat
from jobs.people.roles import OPERATOR
from jobs.states import StatusCode
from tests.api_calls import API, program
from tests.factories import make_flag, make_job, make_output, make_request

pytestmark = pytest.mark.django_db

HOSTILE = "evil\x1b]0;owned\x07\x1b[2J\u202e\nforged line"


def test_the_list_as_json_is_what_the_api_answers(manage):
    for number in range(5):
        make_job(action=f"extract{number}", status_code=StatusCode.NONZERO_EXIT if number % 2 else StatusCode.CREATED)
    for query, options in (("", ()), ("?state=failed&limit=1", ("--state", "failed", "--limit", "1"))):
        answer = program(OPERATOR).get(f"{API}/jobs{query or '?limit=30'}").json()
        assert json.loads(manage("jobs", "--json", *options).out) == answer
    assert answer["next"]


def test_the_list_says_state_time_and_why(manage):
    job = make_job(status_code=StatusCode.EXECUTING, action="extract", status_message="Running.")
    make_job(status_code=StatusCode.CANCELLED_BY_USER, action="count", status_message="Cancelled by olive: no disk")
    out = manage("jobs").out
    assert "▶ running" in out and job.identifier in out and "Running." in out
    assert "✗ cancelled by user" in out and "Cancelled by olive: no disk" in out


def test_the_list_can_be_narrowed_and_says_when_nothing_fits(manage):
    job = make_job(action="extract", workspace="asthma")
    make_job(action="count", workspace="other", requires_db=True)
    assert "count" not in manage("jobs", "--workspace", "asthma").out
    assert "extract" not in manage("jobs", "--needs-db").out
    assert "extract" in manage("jobs", "--request", job.request.identifier[:8]).out
    assert manage("jobs", "--workspace", "nobody").out == "No job fits.\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--limit", "0"), "--limit: Input should be greater than or equal to 1."),
        (("--after", "nothing"), "`after` is no job's identifier"),
        (("--request", "nothing"), "No request is called 'nothing' or begins so."),
    ],
)
def test_a_list_that_makes_no_sense_is_refused_in_one_sentence(manage, options, sentence):
    called = manage("jobs", *options)
    assert called.code == 1 and sentence in called.refusal


@pytest.mark.parametrize("command", ["jobs", "job"])
def test_the_number_of_queries_does_not_depend_on_the_number_of_jobs(manage, command):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert manage(command, *arguments).code == 0
        return len(captured)

    job = make_job(waits_for=[make_job()])
    arguments = [job.identifier] if command == "job" else []
    few = queries()
    for _ in range(20):
        make_output(make_job(waits_for=[job], request=job.request))
    assert queries() <= few < 25


@pytest.mark.parametrize("command", ["jobs", "job"])
def test_what_studies_write_cannot_change_a_terminal(manage, command):
    job = make_job(action=HOSTILE, status_message=HOSTILE, status_code=StatusCode.NONZERO_EXIT, run_command=HOSTILE)
    make_output(job, HOSTILE, excluded=True, message=HOSTILE)
    out = manage(command, *([job.identifier] if command == "job" else [])).out
    assert "evil\\x1b" in out
    assert not set(out) & {"\x1b", "\x07", "\u202e"}
    assert not any(line.startswith("forged line") for line in out.splitlines())


def test_one_job_as_json_is_what_the_api_answers_and_more(manage):
    first = make_job(action="extract", status_code=StatusCode.SUCCEEDED)
    job = make_job(action="count", status_code=StatusCode.NONZERO_EXIT, waits_for=[first], exit_code=1)
    make_output(job, "output/table.csv", row_count=3)
    told = json.loads(manage("job", job.identifier[:9], "--json").out)
    caller = program(OPERATOR)
    assert told.pop("outputs") == caller.get(f"{API}/jobs/{job.identifier}/outputs").json()["outputs"]
    assert told.pop("changes") == caller.get(f"{API}/jobs/{job.identifier}/changes").json()["changes"]
    assert told.pop("why") is None
    assert told == caller.get(f"{API}/jobs/{job.identifier}").json()


def test_a_job_that_waits_says_why_and_what_to_do(manage):
    first = make_job(action="extract", status_code=StatusCode.EXECUTING)
    job = make_job(action="count", status_code=StatusCode.WAITING_ON_DEPENDENCIES, waits_for=[first])
    called = manage("job", job.identifier)
    assert "✗ Needed jobs" in called.out and "✗ Runner: The runner was never heard" in called.out
    assert f"to end it: manage.py cancel_job {job.identifier}" in called.out
    why = json.loads(manage("job", job.identifier, "--json").out)["why"]
    assert why["sentence"] in called.out and why["position"] is None


def test_a_job_that_has_ended_says_how_and_what_to_do(manage):
    job = make_job(status_code=StatusCode.NONZERO_EXIT, exit_code=127, started_at=timezone.now())
    assert "exit code  127: the command, or a program that it calls, was not found" in manage("job", job.identifier).out
    cut_off = make_job(status_code=StatusCode.INTERNAL_ERROR)
    assert f"manage.py retry_job {cut_off.identifier}" in manage("job", cut_off.identifier).out


def test_the_beginning_of_an_identifier_is_enough(manage):
    make_job(identifier="abcd1111")
    make_job(identifier="abcd2222")
    assert "abcd1111" in manage("job", "abcd1").out
    assert "abcd1111" in manage("job", "ABCD1").out
    several = manage("job", "abcd")
    assert several.code == 1
    assert "Several jobs begin with abcd; give more letters:\n  abcd1111  study: " in several.refusal
    assert "No job is called 'x' or begins so." in manage("job", "x").refusal
    assert "No job is called '' or begins so." in manage("job", "").refusal


def test_a_whole_identifier_wins_over_longer_ones(manage):
    make_job(identifier="abcd")
    make_job(identifier="abcd2222")
    assert "job      abcd\n" in "\n".join(line.rstrip() for line in manage("job", "abcd").out.splitlines()) + "\n"


def test_a_person_is_asked_which_one(manage):
    make_job(identifier="abcd1111")
    make_job(identifier="abcd2222")
    called = manage("job", "abcd", typed="2\n")
    assert "abcd2222" in called.out and "abcd1111" not in called.out
    assert "  1  abcd1111  study: " in called.err
    for typed in ("", "3\n", "0\n", "x\n", "²\n"):
        assert manage("job", "abcd", typed=typed).refusal == "None was chosen."


def test_flags_are_told_as_the_api_tells_them(manage):
    make_flag(reason=HOSTILE)
    flags = program(OPERATOR).get(f"{API}/flags").json()
    assert json.loads(manage("flags", "--json").out) == flags
    history = json.loads(manage("flags", "--json", "--history").out)["history"]
    assert history == [flag for flag in flags["flags"] if flag["on"]]
    out = manage("flags").out
    assert "paused" in out and "by olive" in out and "\x1b" not in out


def test_the_status_says_what_is_wrong_and_its_exit_code_says_how_bad_it_is(manage):
    silent = manage("status")
    assert silent.code == 2
    assert silent.out.startswith(
        "✗ Not working: The runner was never heard, so no job goes on\n  start `manage.py run`"
    )
    Heartbeat.beat("run", pid=1, host="here")
    well = manage("status")
    assert well.code == 0 and well.out.startswith("✓ Working: ")
    make_flag()
    paused = manage("status")
    assert paused.code == 1 and "Paused, no new job starts. Set by olive" in paused.out


def test_the_status_as_json_holds_what_the_api_says(manage):
    called = manage("status", "--json")
    told = json.loads(called.out)
    answer = program(OPERATOR).get(f"{API}/system").json()
    assert called.code == 2 and told["verdict"]["state"] == "bad"
    assert {key: told[key] for key in answer} == answer
    assert {"Runner", "Database"} <= {check["name"] for check in told["checks"]}


def test_a_database_that_cannot_be_read_is_the_worst_status(manage, monkeypatch):
    from django.db import OperationalError

    from jobs.console import status

    def locked():
        raise OperationalError("database is locked")

    monkeypatch.setattr(status.Signs, "read", locked)
    called = manage("status")
    assert called.code == 2
    assert called.refusal == "The database cannot be used now: database is locked. See who holds it, then try again."


def test_no_command_lists_whose_job_it_is_to_anybody_else(manage):
    """Commands need a shell on the backend, and read nothing that the pages would not show to an operator."""
    request = make_request(original={"secret": "hunter2"})
    job = make_job(request=request)
    assert "hunter2" not in manage("job", job.identifier, "--json").out + manage("jobs", "--json").out
