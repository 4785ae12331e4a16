"""/healthz/: says what is wrong and what to do, to anybody, at any time, and nothing that is nobody's business."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from jobs import health
from jobs.health import MOST_TEXT, NO_DATABASE, SAID_BY_SYNC
from jobs.models import Heartbeat, JobRequest
from jobs.models.flag import FRESH
from jobs.wire import moment
from tests.factories import make_job, make_request

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def polling(settings) -> None:
    settings.JOB_SERVER_ENDPOINT, settings.RAP_API_TOKENS = "https://jobs.example.org/api/v2/", {}


def beat(name: str, age: timedelta = timedelta(0), **detail) -> None:
    Heartbeat.objects.update_or_create(name=name, defaults={"at": timezone.now() - age, "detail": detail})


def all_well() -> None:
    beat("run", tick_ms=3)
    beat("sync", last_poll_at=moment(timezone.now()))


def asked(client: Client | None = None, **options) -> tuple[int, dict]:
    answer = (client or Client()).get("/healthz/", **options)
    return answer.status_code, answer.json()


def problems() -> list[str]:
    status, found = asked()
    assert status == (503 if found["problems"] else 200)
    assert found["status"] == ("trouble" if found["problems"] else "ok")
    return found["problems"]


def test_all_is_well():
    all_well()
    status, found = asked()
    assert (status, found["status"], found["problems"]) == (200, "ok", [])
    assert found["run"]["age_seconds"] < 10 and found["run"]["at"].endswith("Z")


def test_nothing_was_ever_heard():
    assert [problem.partition(",")[0] for problem in problems()] == [
        "The runner was never heard",
        "The process that speaks with the job-server was never heard",
    ]


@pytest.mark.parametrize(("name", "command"), [("run", "manage.py run"), ("sync", "manage.py sync")])
def test_a_process_that_fell_silent_is_named_with_the_command_that_starts_it(name, command):
    all_well()
    beat(name, FRESH + timedelta(seconds=1), last_poll_at=moment(timezone.now()))
    (problem,) = problems()
    assert "was last heard at" in problem and command in problem


@pytest.mark.parametrize("name", ["run", "sync"])
def test_a_sign_of_life_that_lies_ahead_is_none(name):
    """The clock was ahead and was set right: who died before that must not pass for alive for days."""
    all_well()
    beat(name, -timedelta(days=1), last_poll_at=moment(timezone.now()))
    (problem,) = problems()
    assert "was last heard at" in problem
    beat(name, -timedelta(seconds=30), last_poll_at=moment(timezone.now()))  # clocks differ a little
    assert problems() == []


@pytest.mark.parametrize(
    ("endpoint", "tokens", "is_needed"),
    [("", {}, False), ("https://jobs.example.org/", {}, True), ("", {"token": frozenset({"test"})}, True)],
)
def test_sync_is_missed_only_where_it_has_something_to_do(settings, endpoint, tokens, is_needed):
    settings.JOB_SERVER_ENDPOINT, settings.RAP_API_TOKENS = endpoint, tokens
    beat("run")
    assert bool(problems()) == is_needed


@pytest.mark.parametrize(
    "last",
    [
        *(None, "", "yesterday", "2026-11-26T12:00:00", "2026-99-99T12:00:00Z", "0001-01-01T00:00:00+14:00", 5, ["x"]),
        *(timedelta(minutes=-5, seconds=-1), timedelta(days=1)),
    ],
)
def test_a_job_server_that_was_not_reached_for_minutes_is_a_problem_with_its_reason(last):
    all_well()
    is_a_time = isinstance(last, timedelta)
    last = moment(timezone.now() + last) if is_a_time else last
    beat("sync", last_poll_at=last, poll_failure="The job-server answers with 502.")
    (problem,) = problems()
    beginning = "has not been reached for 5 minutes" if is_a_time else "has never been reached yet"
    assert problem.startswith(f"The job-server {beginning} (The job-server answers with 502.):")


def test_sync_may_take_a_minute_to_its_first_poll():
    all_well()
    beat("sync", started_at=moment(timezone.now()), last_poll_at=None)
    assert problems() == []
    beat("sync", started_at=moment(timezone.now() - timedelta(seconds=61)), last_poll_at=None)
    (problem,) = problems()
    assert "has never been reached yet" in problem


def test_an_engine_that_is_silent_for_a_minute_is_a_problem():
    all_well()
    beat("run", engine_unavailable_since=(timezone.now() - timedelta(seconds=50)).timestamp())
    assert problems() == []
    beat("run", engine_unavailable_since=(timezone.now() - timedelta(seconds=70)).timestamp())
    (problem,) = problems()
    assert "The Docker engine has not answered since" in problem and "docker info" in problem


def test_a_request_that_waits_for_long_to_be_planned_is_a_problem():
    all_well()
    request = make_request(outcome="waiting")
    assert problems() == []
    JobRequest.objects.filter(pk=request.pk).update(received_at=timezone.now() - timedelta(minutes=16))
    (problem,) = problems()
    assert "waited to be planned since" in problem and "refuse the request there" in problem


@pytest.mark.parametrize("away", [timedelta(minutes=-10, seconds=-1), timedelta(days=1)], ids=["old", "ahead"])
def test_what_is_not_acknowledged_for_long_is_a_problem_with_its_reason(away):
    since = timezone.now() + away
    all_well()
    beat(
        "sync",
        last_poll_at=moment(timezone.now()),
        waiting_to_be_delivered=3,
        oldest_undelivered_since=moment(since),
        post_failure="The post of jobs was answered with 400.",
    )
    (problem,) = problems()
    assert problem.startswith(
        f"The job-server has not acknowledged the states of 3 request(s) since {since:%Y-%m-%d %H:%M:%S} UTC "
        "(The post of jobs was answered with 400.), so "
    )
    assert "system page" in problem


@pytest.mark.parametrize("since", [None, "", "long ago", timedelta(minutes=-9)])
def test_what_is_not_acknowledged_yet_is_no_problem(since):
    all_well()
    since = moment(timezone.now() + since) if isinstance(since, timedelta) else since
    beat("sync", last_poll_at=moment(timezone.now()), waiting_to_be_delivered=3, oldest_undelivered_since=since)
    assert problems() == []


def test_where_nobody_is_polled_no_poll_is_missed(settings):
    settings.JOB_SERVER_ENDPOINT, settings.RAP_API_TOKENS = "", {"token": frozenset({"test"})}
    beat("run")
    beat("sync")
    assert problems() == []


def test_what_sync_says_of_itself_is_passed_on_by_a_fixed_list():
    all_well()
    said = {key: number for number, key in enumerate(SAID_BY_SYNC)}
    beat("sync", **said | {"last_poll_at": moment(timezone.now()), "token": "secret"})
    _, found = asked()
    assert set(found["sync"]) == {"at", "age_seconds", *SAID_BY_SYNC}
    assert found["sync"]["waiting_to_be_delivered"] == said["waiting_to_be_delivered"]


def test_a_text_is_short_and_on_one_line_and_what_has_an_inside_is_left_out():
    all_well()
    beat("sync", last_poll_at=moment(timezone.now()), poll_failure="a\nb\x1b" + "x" * 900, post_failure={"a": 1})
    _, found = asked()
    assert found["sync"]["poll_failure"].startswith("a b x") and len(found["sync"]["poll_failure"]) == MOST_TEXT
    assert found["sync"]["post_failure"] is None


HOSTILE = {
    "markup": "<script>alert(1)</script>" * 1000,
    "controls": "a\r\n\x00\u202eb",
    "a body": {"detail": "job of secret-study"},
    "a list": ["secret-study"],
    "a truth": True,
    "less than nothing": -1,
    "a part": 1.5,
    "too many": 10**400,
    "words": "secret-study",
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_a_server_may_have_brought_into_what_sync_says_times_are_times_and_counts_are_counts(value):
    all_well()
    said = dict.fromkeys(set(SAID_BY_SYNC) - {"last_poll_at"}, value)
    Heartbeat.objects.filter(name="sync").update(
        detail=said | {"last_poll_at": moment(timezone.now()), "<b>secret</b>": value, "answer": value}
    )
    answer = Client().get("/healthz/")
    assert (answer.headers["Content-Type"], answer.headers["X-Content-Type-Options"]) == ("application/json", "nosniff")
    found = answer.json()
    assert set(found["sync"]) == {"at", "age_seconds", *SAID_BY_SYNC} and found["problems"] == []
    texts = {key: text for key, text in found["sync"].items() if isinstance(text, str)}
    assert set(texts) <= {"at", "last_poll_at", "poll_failure", "post_failure"}
    assert all(len(text) <= MOST_TEXT and text.isprintable() for text in texts.values())
    assert len(answer.content) < 2000


def test_what_sync_says_may_be_no_object_at_all():
    all_well()
    Heartbeat.objects.filter(name="sync").update(detail=["secret-study"])
    assert b"secret" not in Client().get("/healthz/").content


def test_it_takes_six_queries_however_many_wait(django_assert_num_queries):
    all_well()
    request = make_request()
    for _ in range(20):
        make_job(request=request)
    with django_assert_num_queries(6):
        asked()


def test_it_tells_the_figures_that_a_monitor_draws():
    disks = [
        {"name": "high privacy storage", "free": 50, "total": 100, "least": 10},
        {"name": "medium privacy storage", "free": 15, "total": 100, "least": 10},
        {"name": "the jobs' folders", "free": 5, "total": 100, "least": 10},
        {"name": "elsewhere", "error": "Stale file handle /srv/secret"},
    ]
    silent = timezone.now().timestamp() - 30
    answers = [{"at": moment(timezone.now()), "ms": 7.5}]
    beat("run", tick_ms=3.25, disks=disks, engine_answers=answers, engine_unavailable_since=silent)
    beat("sync", last_poll_at=moment(timezone.now()))
    make_job(created_at=timezone.now() - timedelta(minutes=10))
    make_job()
    found = asked()[1]
    assert found["run"]["turn_ms"] == 3.25
    assert found["docker"]["answer_ms"] == 7.5 and found["docker"]["silent_since"].endswith("Z")
    assert [disk["state"] for disk in found["disks"]] == ["ok", "nearly full", "full", "unknown"]
    assert found["disks"][0]["free_bytes"] == 50 and "secret" not in str(found["disks"])
    assert found["queue"]["waiting"] == 2 and 600 <= found["queue"]["oldest_seconds"] < 660
    assert found["database"]["kind"] == connection.vendor and found["database"]["ms"] >= 0


def test_where_nothing_was_heard_the_figures_are_empty():
    found = asked()[1]
    assert found["docker"] == {"silent_since": None, "answer_ms": None, "containers_in_quarantine": 0}
    assert (found["disks"], found["queue"]) == ([], {"waiting": 0, "oldest_seconds": 0})


# /livez


@pytest.mark.parametrize("address", ["/livez", "/livez/"])
def test_whether_the_web_is_alive_needs_no_database_no_host_and_no_person(settings, address):
    """Whatever restarts the web must not do so because the database is being maintained."""
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["dashboard.example"], True
    with connection.execute_wrapper(_no_query):
        answer = Client().get(address, headers={"Host": "10.0.0.7:8000"})
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
    assert answer["Cache-Control"] == "no-store"


def test_being_alive_can_only_be_read():
    assert Client().post("/livez").status_code == 405
    assert Client().head("/livez").status_code == 200


def _no_query(execute, sql, *rest):
    raise AssertionError(f"a query: {sql}")


@pytest.mark.parametrize("is_logged_in", [False, True])
def test_without_a_database_there_is_an_answer_and_no_traceback(monkeypatch, settings, caplog, is_logged_in):
    """A session is looked up in the database, so this must come before."""
    client = Client()
    if is_logged_in:
        client.force_login(User.objects.create_superuser("olive"))

    def fail(*arguments):
        raise OperationalError("no such table: jobs_heartbeat")

    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", fail)
    status, found = asked(client)
    assert (status, found) == (503, {"status": "trouble", "problems": [NO_DATABASE], "run": None, "sync": None})
    assert "no such table" in caplog.text


def test_it_is_answered_by_plain_http_and_under_any_name(settings):
    """A monitor on this machine asks 127.0.0.1."""
    settings.SECURE_SSL_REDIRECT, settings.ALLOWED_HOSTS, settings.DEBUG = True, ["jobs.example.org"], False
    all_well()
    assert asked(headers={"Host": "127.0.0.1:8000"})[0] == 200
    assert Client().get("/healthz", headers={"Host": "127.0.0.1:8000"}).status_code == 200


def test_it_makes_no_cookie_and_is_kept_by_nobody():
    answer = Client().get("/healthz/")
    assert not answer.cookies and answer.headers["Cache-Control"] == "no-store"


def test_django_logs_no_error_each_time_that_a_monitor_asks(caplog):
    assert asked()[0] == 503
    assert caplog.records == []


def test_it_can_only_be_looked_at():
    answer = Client().post("/healthz/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert Client().head("/healthz/").status_code == 503


def test_other_addresses_are_left_to_others():
    assert Client().get("/healthz/x").status_code == 404
    assert health.ADDRESSES == ("/healthz/", "/healthz")


def test_without_a_job_server_sync_is_missed_as_soon_as_a_request_waits_for_it(settings):
    settings.JOB_SERVER_ENDPOINT = ""
    beat("run")
    beat("sync", age=FRESH * 2)
    assert not problems()
    make_request(outcome=JobRequest.Outcome.WAITING)
    (sentence,) = problems()
    assert sentence.startswith("A request waits to be planned, and the process that plans was last heard at ")
    assert sentence.endswith("UTC: start `manage.py sync --plan-only`.")
    beat("sync")
    assert not problems()


def test_without_a_job_server_a_request_that_waits_too_long_is_a_problem_as_well(settings):
    settings.JOB_SERVER_ENDPOINT = ""
    all_well()
    make_request(outcome=JobRequest.Outcome.WAITING, received_at=timezone.now() - timedelta(minutes=20))
    (sentence,) = problems()
    assert sentence.startswith("A request has waited to be planned since ")
