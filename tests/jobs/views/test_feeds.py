"""Feeds, badges, the list for CCTray and the metrics: for programs that only read."""

import re
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Delivery, Heartbeat, JobRequest
from jobs.people.roles import VIEWER
from jobs.states import StatusCode
from tests.api_calls import program
from tests.factories import make_flag, make_job, make_request

pytestmark = pytest.mark.django_db
ATOM = "{http://www.w3.org/2005/Atom}"
HOSTILE = "<script>&\"' \u202e\x00\x1b[0m\ufffe\uffff ]]>"
ADDRESSES = ("/feeds/failures.atom", "/feeds/w/study.atom", "/badge/study.svg", "/cc.xml", "/metrics")


@pytest.fixture
def caller():
    return program(VIEWER)


def xml(caller, address: str) -> ElementTree.Element:
    response = caller.get(address)
    assert response.status_code == 200
    assert "xml" in response["Content-Type"]
    return ElementTree.fromstring(response.content)


def titles(caller, address: str) -> list[str]:
    return [entry.findtext(f"{ATOM}title") for entry in xml(caller, address).iter(f"{ATOM}entry")]


def test_the_feed_of_failures_has_what_failed_by_itself(caller):
    make_job(StatusCode.NONZERO_EXIT, action="broken")
    make_job(StatusCode.CANCELLED_BY_USER, action="cancelled")
    make_job(StatusCode.DEPENDENCY_FAILED, action="behind")
    make_job(StatusCode.SUCCEEDED, action="good")
    make_job(StatusCode.EXECUTING, action="running")
    assert titles(caller, "/feeds/failures.atom") == ["study: broken nonzero exit"]


def test_the_feed_of_a_workspace_has_what_ended_there_the_latest_first(caller):
    now = timezone.now()
    make_job(StatusCode.SUCCEEDED, action="good", completed_at=now)
    make_job(StatusCode.NONZERO_EXIT, action="broken", completed_at=now + timedelta(seconds=1))
    make_job(StatusCode.EXECUTING, action="running")
    make_job(StatusCode.SUCCEEDED, workspace="other")
    assert titles(caller, "/feeds/w/study.atom") == ["study: broken nonzero exit", "study: good succeeded"]


def test_there_is_no_feed_of_a_workspace_that_nobody_has_named(caller):
    assert caller.get("/feeds/w/none.atom").status_code == 404


def test_whatever_a_study_wrote_everything_stays_xml(caller):
    request = make_request(workspace="study", study_actions=[])
    make_job(StatusCode.NONZERO_EXIT, request=request, action=HOSTILE, status_message=HOSTILE)
    for address in ("/feeds/failures.atom", "/feeds/w/study.atom", "/cc.xml", "/badge/study.svg"):
        xml(caller, address)
        assert b"<script" not in caller.get(address).content
        assert "\u202e" not in caller.get(address).content.decode()


def test_an_empty_feed_is_one(caller):
    assert titles(caller, "/feeds/failures.atom") == []
    assert caller.get("/feeds/failures.atom")["ETag"] == caller.get("/feeds/failures.atom")["ETag"]


def badge(caller, name: str = "study") -> str:
    return xml(caller, f"/badge/{name}.svg").get("aria-label")


def test_a_badge_counts_the_latest_ended_run_of_each_action(caller):
    actions = {"study_actions": ["one", "two"]}
    make_job(StatusCode.NONZERO_EXIT, request=make_request(**actions), action="one")
    make_job(StatusCode.SUCCEEDED, request=make_request(**actions), action="one")
    make_job(StatusCode.SUCCEEDED, request=make_request(**actions), action="two")
    make_job(StatusCode.EXECUTING, request=make_request(**actions), action="two")
    assert badge(caller) == "study: passing 2/2"
    make_job(StatusCode.NONZERO_EXIT, request=make_request(**actions), action="two")
    assert badge(caller) == "study: failing 1/2"


def test_a_badge_forgets_actions_that_the_study_no_longer_has(caller):
    make_job(StatusCode.NONZERO_EXIT, request=make_request(study_actions=["old"]), action="old")
    make_job(StatusCode.SUCCEEDED, request=make_request(study_actions=["new"]), action="new")
    assert badge(caller) == "study: passing 1/1"


def test_a_badge_of_nothing_says_so(caller):
    assert badge(caller, "none") == "none: no run yet"


def test_a_badge_has_no_style_or_script(caller):
    make_job(StatusCode.SUCCEEDED)
    assert not re.search(rb"style|script|href|on\w+=", caller.get("/badge/study.svg").content)


def test_cctray_has_a_project_for_each_action(caller):
    make_job(StatusCode.NONZERO_EXIT, action="one")
    make_job(StatusCode.EXECUTING, action="one")
    make_job(StatusCode.SUCCEEDED, action="two")
    make_job(StatusCode.CREATED, action="three", workspace="other")
    found = {each.get("name"): each for each in xml(caller, "/cc.xml")}
    assert list(found) == ["other: three", "study: one", "study: two"]
    told = {name: (each.get("activity"), each.get("lastBuildStatus")) for name, each in found.items()}
    assert told == {
        "other: three": ("Building", "Unknown"),
        "study: one": ("Building", "Failure"),
        "study: two": ("Sleeping", "Success"),
    }
    assert [each.get("name") for each in xml(caller, "/cc.xml?workspace=other")] == ["other: three"]
    assert caller.get("/cc.xml?workspace=none").status_code == 404


def metrics(caller) -> dict[str, float]:
    lines = caller.get("/metrics").content.decode().splitlines()
    samples = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in samples}


def test_metrics_count_what_there_is(caller):
    make_job(StatusCode.EXECUTING)
    make_job(StatusCode.CREATED, created_at=timezone.now() - timedelta(minutes=10))
    make_job(StatusCode.NONZERO_EXIT)
    make_job(StatusCode.NONZERO_EXIT, completed_at=timezone.now() - timedelta(hours=25))
    make_request(outcome=JobRequest.Outcome.WAITING)
    Delivery.objects.create(request=make_request())
    Heartbeat.beat("run")
    make_flag("paused")
    found = metrics(caller)
    assert found['jobrunner_jobs_active{state="running",code="executing"}'] == 1
    assert found['jobrunner_jobs_active{state="pending",code="created"}'] == 1
    assert found['jobrunner_jobs_active{state="pending",code="paused"}'] == 0
    assert found['jobrunner_jobs_ended_24h{state="failed",code="nonzero_exit"}'] == 1
    assert 600 <= found["jobrunner_oldest_waiting_seconds"] < 660
    assert found["jobrunner_requests_unplanned"] == 1
    assert found["jobrunner_requests_undelivered"] == 1
    assert found['jobrunner_flag_on{flag="paused"}'] == 1
    assert found['jobrunner_flag_on{flag="reboot"}'] == 0
    assert 0 <= found['jobrunner_heartbeat_age_seconds{part="run"}'] < 60


def test_metrics_tell_what_the_processes_said(caller):
    disk = {"name": "high privacy storage", "free": 50, "total": 100, "least": 10}
    Heartbeat.beat(
        "run", tick_ms=12, list_ms=8, engine_answers=[{"ms": 500}, {"ms": 7}],
        disks=[disk, {"name": "x", "error": "y"}], slots={"workers": {"used": 1.5, "limit": 4}},
    )  # fmt: skip
    Heartbeat.beat("sync", polls=[{"ms": 90}, {"error": "refused"}])
    make_job(StatusCode.EXECUTING, status_changed_at=timezone.now() - timedelta(minutes=10))
    found = metrics(caller)
    assert found["jobrunner_runner_turn_seconds"] == 0.012
    assert (found["jobrunner_docker_list_seconds"], found["jobrunner_docker_answer_seconds"]) == (0.008, 0.007)
    assert found["jobrunner_docker_up"] == 1 and "jobrunner_sync_poll_seconds" not in found
    assert found['jobrunner_disk_free_bytes{disk="high privacy storage"}'] == 50
    assert found['jobrunner_disk_least_bytes{disk="high privacy storage"}'] == 10
    assert found['jobrunner_workers_used{pool="workers"}'] == 1.5
    assert found['jobrunner_workers_limit{pool="workers"}'] == 4
    assert 600 <= found['jobrunner_longest_in_status_seconds{code="executing"}'] < 660
    assert found['jobrunner_longest_in_status_seconds{code="created"}'] == 0
    Heartbeat.beat("run", engine_unavailable_since=timezone.now().timestamp())
    assert metrics(caller)["jobrunner_docker_up"] == 0


def test_metrics_of_nothing_are_metrics(caller):
    assert metrics(caller)["jobrunner_oldest_waiting_seconds"] == 0


def test_metrics_are_text_in_which_no_name_breaks_a_line(caller):
    Heartbeat.beat('a"b\nc\\')
    text = caller.get("/metrics").content.decode()
    assert r'part="a\"b\nc\\"' in text
    assert re.fullmatch(r"(#.*\n|jobrunner_\w+(\{[^\n]*\})? -?[0-9.e+-]+\n)*", text)


@pytest.mark.parametrize("address", ADDRESSES)
def test_they_take_as_many_queries_with_many_jobs_as_with_few(caller, address):
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert caller.get(address).status_code == 200
        return len(seen)

    make_job(StatusCode.NONZERO_EXIT)
    queries()
    few = queries()
    for _ in range(20):
        make_job(StatusCode.NONZERO_EXIT)
    assert queries() == few <= 15


@pytest.mark.parametrize("address", ADDRESSES[:-1])
def test_whoever_has_it_hears_304(caller, address):
    make_job(StatusCode.NONZERO_EXIT)
    first = caller.get(address)
    again = caller.get(address, headers={"If-None-Match": f'"other", W/{first["ETag"]}'})
    assert again.status_code == 304
    assert again.content == b""
    assert caller.head(address).content == b""
