"""The system page: what it says of each part, that it tells no secret, and what it costs."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings as site
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs.models import AuditEntry, Delivery, Heartbeat, Job
from jobs.people.roles import ADMINISTRATOR, OPERATOR, VIEWER
from jobs.states import StatusCode
from jobs.system import checks as checks_module
from jobs.system.check import BAD, OFF, OK, WARN
from jobs.wire import moment
from tests.factories import make_flag, make_job, make_request
from tests.web import client_of, poll

pytestmark = pytest.mark.django_db
ADDRESS = "/system/"
SERVER = "https://jobs.example.org/api/v2/"
GIB = 1024**3
DISK = {"name": "high privacy storage", "free": 50 * GIB, "total": 100 * GIB, "least": 2 * GIB}


@pytest.fixture(autouse=True)
def polling(settings) -> None:
    settings.JOB_SERVER_ENDPOINT, settings.RAP_API_TOKENS = SERVER, {}


def beat(name: str, age: timedelta = timedelta(0), **detail) -> None:
    Heartbeat.objects.update_or_create(name=name, defaults={"at": timezone.now() - age, "detail": detail})


def all_well(**more) -> None:
    run = {"pid": 4711, "host": "runner", "tick_ms": 3, "engine": "Docker 28", "disks": [DISK]}
    beat("run", slots={"workers": {"used": 2, "limit": 4}}, **run | more)
    beat("sync", last_poll_at=moment(timezone.now()))


def page(role: str = OPERATOR, address: str = ADDRESS):
    return client_of(role).get(address)


def verdict(**more):
    all_well(**more)
    return page().context["verdict"]


def check(name: str):
    (found,) = [each for each in page().context["checks"] if each.name == name]
    return found


def ago(**since) -> datetime:
    return timezone.now() - timedelta(**since)


# --- the verdict


def test_all_is_well():
    found = verdict()
    assert (found.state, found.word, found.text) == (OK, "Working", "2 of 4 workers busy, 0 waiting")
    assert {each.state for each in page().context["checks"]} <= {OK, OFF}


def test_paused_says_who_and_why():
    make_flag(reason="the disk is being replaced")
    make_job(StatusCode.EXECUTING)
    make_job(StatusCode.PAUSED)
    found = verdict()
    assert (found.state, found.word) == (WARN, "Paused")
    assert "1 running job goes on, 1 waiting" in found.text
    assert "by olive: the disk is being replaced" in page().content.decode()


@pytest.mark.parametrize(
    ("name", "age", "word"), [("run", 60, "Not working"), ("sync", 60, "Not working")], ids=["runner", "sync"]
)
def test_a_silent_process_is_the_verdict_with_what_to_do(name, age, word):
    all_well()
    beat(name, timedelta(seconds=age))
    found = page().context["verdict"]
    assert (found.state, found.word) == (BAD, word)
    assert f"manage.py {name}" in found.what


def test_where_jobs_go_on_the_verdict_does_not_say_that_nothing_works():
    all_well()
    beat("sync", last_poll_at=moment(ago(minutes=6)))
    assert page().context["verdict"].word == "Needs attention"


# --- the checks


def test_a_disk_is_looked_at_before_it_is_full():
    all_well(disks=[DISK | {"free": 3 * GIB}])
    assert check("Disk: high privacy storage").state == WARN
    all_well(disks=[DISK | {"free": GIB}])
    found = check("Disk: high privacy storage")
    assert (found.state, found.value, found.limit) == (BAD, "1.0 GiB free of 100.0 GiB", "at least 2.0 GiB free")
    all_well(disks=[{"name": "high privacy storage", "error": "Stale file handle"}])
    assert check("Disk: high privacy storage").state == BAD


@pytest.mark.parametrize(
    ("then", "hours", "words"),
    [
        (30 * GIB, 24, "; 10.0 GiB more used than 1d ago, full in about 43 hours"),
        (20 * GIB + GIB, 24, "; 1.0 GiB more used than 1d ago"),
        (15 * GIB, 6, "; 5.0 GiB less used than 6h ago"),
        (20 * GIB, 3, "; as 3h ago"),
    ],
)
def test_a_disk_says_how_it_has_changed_and_when_it_will_be_full(then, hours, words):
    now = timezone.now()
    grown = {"at": moment(now), "free": 20 * GIB, "total": 100 * GIB, "least": 2 * GIB}
    all_well(disks=[DISK | grown | {"then_at": moment(now - timedelta(hours=hours)), "then_free": then}])
    assert check("Disk: high privacy storage").value == f"20.0 GiB free of 100.0 GiB{words}"


def test_the_room_that_copies_of_repositories_take_is_told():
    all_well(git_copies={"at": moment(timezone.now()), "copies": 12, "bytes": 3 * GIB})
    assert check("Copies of repositories").value == "12 in 3.0 GiB"


def test_the_engine_is_wrong_when_it_is_silent_for_a_minute():
    all_well(engine_unavailable_since=ago(seconds=20).timestamp())
    assert check("Docker engine").state == WARN
    answers = [{"at": moment(timezone.now()), "ms": 4.5}, {"at": moment(timezone.now()), "error": "It hangs."}]
    all_well(engine_unavailable_since=ago(seconds=70).timestamp(), engine_answers=answers)
    found = check("Docker engine")
    assert (found.state, found.value) == (BAD, "It hangs.")
    assert "1 of the last 2 were answered" in page().content.decode()


def test_a_failing_poll_is_told_with_its_reason_and_a_long_one_is_wrong():
    all_well()
    beat("sync", last_poll_at=moment(ago(seconds=20)), poll_failure="It answered with 502.")
    assert (check("Job-server polls").state, check("Job-server polls").value) == (WARN, "It answered with 502.")
    beat("sync", last_poll_at=moment(ago(minutes=6)), poll_failure="It answered with 502.")
    assert check("Job-server polls").state == BAD


def test_without_a_job_server_nothing_is_missed(settings):
    settings.JOB_SERVER_ENDPOINT = ""
    beat("run")
    assert check("Job-server").state == OFF
    settings.RAP_API_TOKENS = {"token": frozenset({"test"})}
    beat("sync")
    assert (check("Job-server polls").state, check("RAP API").state) == (OFF, OK)


def test_a_slow_turn_an_old_queue_and_a_long_journal_are_looked_at(monkeypatch, settings):
    all_well(tick_ms=1500)
    make_job(created_at=ago(hours=5))
    monkeypatch.setattr(checks_module, "_size", lambda path: 600 * 1024**2)
    found = {each.name: each.state for each in page().context["checks"]}
    assert (found["A turn of the runner"], found["Waiting jobs"]) == (WARN, WARN)
    assert found["Database"] == (WARN if connection.vendor == "sqlite" else OK)  # PostgreSQL's journal is not ours


def test_processes_of_another_version_are_named():
    all_well(version="0123456789ab")
    assert check("Version").state == WARN and "0123456789ab" in check("Version").value


def test_a_clock_that_is_ahead_is_told():
    all_well()
    beat("run", -timedelta(seconds=30))
    assert check("Clock").state == WARN
    beat("run", -timedelta(hours=1))
    assert check("Clock").state == BAD


def test_in_production_the_static_files_and_debug_count(settings, tmp_path):
    all_well()
    settings.PRODUCTION, settings.DEBUG, settings.STATIC_ROOT = True, True, str(tmp_path)
    assert (check("Static files").state, check("DEBUG").state) == (BAD, BAD)
    (tmp_path / "staticfiles.json").touch()
    settings.DEBUG = False
    assert (check("Static files").state, check("DEBUG").state) == (OK, OK)


def test_what_to_do_is_said_where_something_is_to_be_done_and_only_there():
    all_well(disks=[DISK | {"free": GIB}])
    for each in page().context["checks"]:
        assert bool(each.what) == (each.state in (WARN, BAD)), each.name


def test_every_check_has_an_entry_in_the_docs(settings):
    all_well()
    settings.RAP_API_TOKENS = {"token": frozenset({"test"})}
    known = Path(site.BASE_DIR, "docs", "troubles.md").read_text()
    names = {each.name for each in page().context["checks"]}
    assert not [name for name in names if f"| {name.partition(':')[0]}" not in known]


HOSTILE = ["<script>alert(1)</script>", {"a": 1}, [1], None, True, -1, 10**400, "\u202e\x00"]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: type(value).__name__)
def test_a_sign_of_life_that_makes_no_sense_breaks_nothing(value):
    keys = (
        "pid",
        "host",
        "tick_ms",
        "engine",
        "engine_answers",
        "engine_unavailable_since",
        "slots",
        "disks",
    )
    more = (
        "git_copies",
        "version",
        "why_held",
        "started_at",
        "last_poll_at",
        "polls",
        "poll_failure",
        "waiting_to_be_planned",
    )
    said = dict.fromkeys((*keys, *more), value)
    beat("run", **said)
    beat("sync", **said)
    assert page().status_code == 200
    beat("run", disks=[dict.fromkeys(DISK, value), value], engine_answers=[value, {"ms": value, "error": value}])
    text = page().content.decode()
    assert "<script>alert" not in text and "\u202e" not in text


# --- workers and queue


def test_each_worker_tells_what_it_runs_and_how_long_that_usually_takes():
    all_well()
    ended = {"workspace": "study", "action": "extract"}
    make_job(StatusCode.SUCCEEDED, started_at=ago(hours=3), completed_at=ago(hours=2, minutes=55), **ended)
    make_job(StatusCode.NONZERO_EXIT, started_at=ago(hours=2), completed_at=ago(hours=1), **ended)
    job = make_job(StatusCode.EXECUTING, **ended)
    text = page().content.decode()
    assert reverse("job", args=[job.identifier]) in text and "5 min" in text


def test_the_queue_is_told_by_workspace_and_pool():
    all_well()
    oldest = make_job(workspace="first", created_at=ago(hours=3))
    for _ in range(3):
        make_job(workspace="second", requires_db=True, created_at=ago(minutes=5))
    found = page().context["queue"]
    assert (found.waiting, found.oldest_at) == (4, oldest.created_at)
    assert [(each.workspace, each.requires_db, each.waiting) for each in found.groups] == [
        ("second", True, 3), ("first", False, 1),
    ]  # fmt: skip


def test_the_chart_tells_the_longest_wait_at_each_time_of_the_day():
    all_well()
    began = ago(hours=5)
    make_job(StatusCode.SUCCEEDED, created_at=ago(hours=7), started_at=began, completed_at=ago(hours=1))
    make_job(StatusCode.SUCCEEDED, created_at=ago(days=3), started_at=ago(days=3), completed_at=ago(days=2))
    found = page().context["chart"]
    assert timedelta(minutes=119) < found.longest <= timedelta(hours=2)
    assert not [bar for bar in found.bars if bar.wait and bar.at > began]


# --- what is stuck


def test_what_does_not_go_on_by_itself_is_listed_with_what_can_be_done():
    all_well()
    waiting = make_request(outcome="waiting", outcome_message="github.com does not answer")
    untold = make_request()
    Delivery.objects.create(request=untold, failures=3, failure="It answered with 400.", failing_since=ago(hours=1))
    broken = make_job(StatusCode.INTERNAL_ERROR)
    stopping = make_job(StatusCode.EXECUTING)
    stopping.request_cancel("olive", "not wanted")
    Job.objects.filter(pk=stopping.pk).update(stop_requested_at=ago(minutes=2), updated_at=ago(minutes=10))
    text = page().content.decode()
    for expected in (
        waiting.identifier, "github.com does not answer", "It answered with 400.",
        reverse("tell-again", args=[untold.identifier]), f"/jobs/retry/?job={broken.identifier}",
        "Asked to stop, and still there", "Executing without a sign of life",
    ):  # fmt: skip
        assert expected in text
    seen = page(VIEWER).content.decode()
    assert "/jobs/retry/" not in seen and "Tell it again" not in seen


def test_what_only_waits_its_turn_is_not_stuck():
    all_well()
    make_job(StatusCode.EXECUTING).request_cancel("olive", "not wanted")
    make_job(StatusCode.WAITING_ON_WORKERS)
    assert "all that waits, waits its turn" in page().content.decode()


def test_a_job_server_is_told_again_for_a_reason_that_the_audit_keeps():
    request = make_request()
    Delivery.objects.create(request=request, settled=True, acknowledged="0" * 64, failure="It answered with 400.")
    address, client = reverse("tell-again", args=[request.identifier]), client_of(OPERATOR)
    assert client.get(address).status_code == 200
    assert client.post(address, {"reason": " "}).status_code == 400
    assert Delivery.objects.get().settled
    assert client.post(address, {"reason": "it lost them"}).url == ADDRESS
    delivery, entry = Delivery.objects.get(), AuditEntry.objects.get()
    assert (delivery.settled, delivery.acknowledged) == (False, "")
    assert (entry.verb, entry.object_id, entry.reason) == ("tell again", request.identifier, "it lost them")
    assert client_of(VIEWER).post(address, {"reason": "because"}).status_code == 403


# --- secrets, costs, the wall


def test_no_secret_setting_is_ever_shown(settings):
    all_well()
    source = Path(site.BASE_DIR, "jobrunner_site", "settings.py").read_text()
    named = re.findall(r'^([A-Z_]+) = secret\("\1"', source, re.MULTILINE)
    assert {"SECRET_KEY", "DATABASE_URL", "JOB_SERVER_TOKEN", "PRIVATE_REPO_ACCESS_TOKEN", "STATA_LICENSE"} <= set(
        named
    )
    for name in (*named, "JOB_SERVER_PROXY", "GIT_PROXY", "EMIS_ORGANISATION_HASH"):
        setattr(settings, name, "tell-nobody")
    settings.DATABASE_URLS = {"default": "mssql://user:tell-nobody@db/patients"}
    settings.RAP_API_TOKENS = {"tell-nobody": frozenset({"test"})}
    settings.GIT_ENVIRONMENT = {"https_proxy": "http://user:tell-nobody@proxy"}
    settings.JOB_SERVER_ENDPOINT = settings.ACTIONS_ORG_URL = "https://user:tell-nobody@jobs.example.org/"
    answer = page(ADMINISTRATOR)
    text = answer.content.decode()
    assert "tell-nobody" not in text
    assert "MAX_WORKERS" in text and "***@jobs.example.org" in text
    assert page(VIEWER).context["settings"] == []


def test_the_page_costs_the_same_whatever_there_is(django_assert_num_queries):
    all_well()
    client, costs = client_of(OPERATOR), []
    for _ in range(2):
        for _ in range(12):
            make_job(StatusCode.EXECUTING)
            make_job(StatusCode.INTERNAL_ERROR)
            make_job(StatusCode.WAITING_ON_WORKERS, workspace=f"w{Job.objects.count()}")
            make_request(outcome="waiting")
            Delivery.objects.create(request=make_request(), failures=1, failing_since=timezone.now())
            make_flag(value="")
        with CaptureQueriesContext(connection) as queries:
            assert client.get(ADDRESS).status_code == 200
        costs.append(len(queries))
    assert costs[0] == costs[1] < 34


def test_a_poll_hears_304_until_somebody_gives_a_sign_of_life():
    all_well()
    client = client_of(VIEWER)
    tag = client.get(ADDRESS)["HX-PTag"]
    assert poll(client, ADDRESS, tag).status_code == 304
    all_well()
    assert poll(client, ADDRESS, tag).status_code == 200


def test_a_screen_on_the_wall_shows_a_viewer_verdict_tiles_and_problems():
    all_well(disks=[DISK | {"free": GIB}])
    answer = page(VIEWER, f"{ADDRESS}?kiosk=1")
    text = answer.content.decode()
    assert 'class="wall"' in text and "Working" in text and "No new job starts" in text
    assert 'http-equiv="refresh"' in text, "without JavaScript, too"
    assert "Switch on" not in text and 'id="flags"' not in text


def test_before_anything_was_ever_heard_the_page_says_so():
    text = page().content.decode()
    assert "Not working" in text and "was never heard" in text and "nobody knows what its workers do" in text


def test_what_studies_and_servers_have_written_is_shown_harmlessly():
    all_well()
    beat("run", tick_ms=3)
    evil = "\u202e<img src=x>\x1b[31m"
    make_request(outcome="waiting", outcome_message=evil)
    Delivery.objects.create(request=make_request(), failures=1, failure=evil, failing_since=ago(hours=1))
    make_flag(reason=evil, set_by=evil)
    make_job(StatusCode.EXECUTING, status_message=evil, action=evil).request_kill(evil, evil)
    Job.objects.update(stop_requested_at=ago(minutes=5))
    for address in (ADDRESS, f"{ADDRESS}?kiosk=1", "/system/flags/paused/"):
        text = page(OPERATOR, address).content.decode()
        assert "<img src=x" not in text and "\u202e" not in text and "\x1b" not in text
        assert "&lt;img" in text


def test_without_a_job_server_the_page_says_whether_anybody_plans(settings):
    settings.JOB_SERVER_ENDPOINT, settings.RAP_API_TOKENS = "", {}
    client = client_of(VIEWER)
    assert "only needed to run jobs again" in client.get(reverse("system")).content.decode()
    Heartbeat.beat("sync")
    assert "plans what is asked for here" in client.get(reverse("system")).content.decode()


def test_a_switch_that_goes_off_by_itself_is_not_to_be_switched_off():
    all_well()
    make_flag("db-maintenance", value="scheduled", set_by="runner")
    make_flag("reboot", due_at=ago(minutes=1))
    shown = page().content.decode()
    assert "it ends by itself when the database says that it is over" in shown.lower()
    assert "it goes off by itself after the reboot" in shown
