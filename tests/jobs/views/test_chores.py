"""Pages of chores: what each shows, who may ask for what, and what it costs."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs.chores import chores
from jobs.chores.queueing import keep_schedules
from jobs.health import health
from jobs.models import AuditEntry, ChoreRun, Heartbeat, StorageCheck
from jobs.people.roles import ADMINISTRATOR, OPERATOR, VIEWER
from tests.factories import make_request
from tests.web import client_of, poll

pytestmark = pytest.mark.django_db
NASTY = "<script>alert(1)</script>\x1b[31m\u202e"


@pytest.fixture(autouse=True)
def alive() -> None:
    Heartbeat.beat("run", chores={"on": True})


def ended(chore: str = "snapshot", outcome: str = "done", said: str = "3 snapshots there", **columns) -> ChoreRun:
    at = timezone.now() - timedelta(minutes=5)
    times = {"started_at": at, "ended_at": at + timedelta(seconds=3)}
    return ChoreRun.objects.create(**{"chore": chore, "outcome": outcome, "said": said} | times | columns)


def text(address: str, role: str = OPERATOR) -> str:
    answer = client_of(role).get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def chore_page(name: str) -> str:
    return reverse("chore", args=[name])


def ask_page(name: str) -> str:
    return reverse("ask-chore", args=[name])


def test_the_system_page_lists_each_chore_with_its_time_and_last_result():
    keep_schedules()
    ended()
    ended("storage", "failed", "Not as it was stored: study")
    shown = text("/system/")
    for chore in chores():
        assert chore.title in shown
    for expected in ("3 snapshots there", "each day", "next at", "Not as it was stored: study", "never yet"):
        assert expected in shown
    assert "nobody is named in NOTIFY_EMAILS or NOTIFY_WEBHOOK_URL" in shown


def test_what_somebody_has_asked_for_is_seen_to_wait():
    ended()
    ChoreRun.objects.ask("snapshot", "", by="olive", via="dashboard", reason="before the update")
    assert "waits for a worker" in text("/system/")
    assert "before the update" in text(chore_page("snapshot"))


def test_a_silent_runner_and_chores_that_are_off_are_told():
    Heartbeat.beat("run", chores={"on": False})
    assert "CHORES is off" in text("/system/") and "CHORES is off" in text(chore_page("snapshot"))
    Heartbeat.objects.update(at=timezone.now() - timedelta(minutes=5))
    assert "so no chore is done" in text("/system/") and "nothing is done until" in text(chore_page("snapshot"))


def test_a_failed_chore_and_faults_in_storage_are_checks_with_what_to_do():
    ended("snapshot", "failed", "The disk is full.")
    StorageCheck.objects.create(
        workspace="study", at=timezone.now(), is_sound=False, number=1, findings=[{"kind": "leak", "path": "x.csv"}]
    )
    found = {each.name: each for each in client_of(OPERATOR).get("/system/").context["checks"]}
    assert (found["Chores"].state, found["Chores"].value) == ("warn", "failed: snapshot")
    assert (found["What is stored"].state, found["What is stored"].value) == (
        "bad",
        "something may have leaked in study",
    )
    said = client_of(OPERATOR).get("/system/").context["verdict"]
    assert (said.state, said.word) == ("bad", "Needs attention") and "may lie in medium privacy storage" in said.text
    assert any("was not released" in each for each in health()["problems"])
    StorageCheck.objects.update(findings=[{"kind": "changed"}])
    assert not any("was not released" in each for each in health()["problems"])
    found = {each.name: each for each in client_of(OPERATOR).get("/system/").context["checks"]}
    assert (found["What is stored"].state, found["What is stored"].value) == ("warn", "not as it was stored: study")


def test_a_chore_that_is_not_done_any_more_is_a_check():
    ended("snapshot", started_at=timezone.now() - timedelta(days=3))
    found = {each.name: each for each in client_of(OPERATOR).get("/system/").context["checks"]}
    assert (found["Chores"].state, found["Chores"].value) == ("warn", "not done for long: snapshot")


def test_what_somebody_asked_for_and_failed_is_forgotten_after_a_day():
    ended("export", "failed", "no such workspace", argument="x", asked_by="olive", reason="x")
    checks = {each.name: each for each in client_of(OPERATOR).get("/system/").context["checks"]}
    assert checks["Chores"].value == "failed: export"
    ChoreRun.objects.update(ended_at=timezone.now() - timedelta(days=2))
    checks = {each.name: each for each in client_of(OPERATOR).get("/system/").context["checks"]}
    assert checks["Chores"].state == "ok"


def test_asking_takes_a_reason_and_is_done_once():
    client = client_of(OPERATOR)
    assert client.get(ask_page("snapshot")).status_code == 200
    refused = client.post(ask_page("snapshot"), {"reason": " "})
    assert refused.status_code == 400 and "Say why." in refused.content.decode()
    assert not ChoreRun.objects.exists()
    for said in ("Copy the database: asked for.", "Copy the database: it is under way already."):
        answer = client.post(ask_page("snapshot"), {"reason": "before the update"}, follow=True)
        assert answer.redirect_chain == [(chore_page("snapshot"), 302)] and said in answer.content.decode()
    run, entry = ChoreRun.objects.get(), AuditEntry.objects.get(verb="chore")
    assert (run.asked_by, run.via) == (client.person.username, "dashboard")
    assert (entry.actor, entry.reason) == (client.person.username, "before the update")


def test_what_takes_a_workspace_asks_for_it():
    client = client_of(OPERATOR)
    assert "Which workspace?" in client.get(ask_page("export")).content.decode()
    assert 'value="study"' in client.get(f"{ask_page('export')}?argument=study").content.decode()
    refused = client.post(ask_page("export"), {"reason": "x", "argument": ""})
    assert refused.status_code == 400 and "Name a workspace." in refused.content.decode()
    client.post(ask_page("export"), {"reason": "x", "argument": " study "})
    assert ChoreRun.objects.get().argument == "study"


@pytest.mark.parametrize("name", ["prune", "remove-leftovers"])
def test_what_removes_something_is_the_administrators(name):
    assert "Ask for it" not in text(chore_page(name), OPERATOR)
    assert client_of(OPERATOR).get(ask_page(name)).status_code == 403
    assert client_of(OPERATOR).post(ask_page(name), {"reason": "x", "argument": "study"}).status_code == 403
    assert not ChoreRun.objects.exists()
    assert "Ask for it" in text(chore_page(name), ADMINISTRATOR)
    answer = client_of(ADMINISTRATOR).post(ask_page(name), {"reason": "x", "argument": "study"})
    assert answer.status_code == 302 and ChoreRun.objects.exists()


def test_a_viewer_sees_and_asks_for_nothing():
    ended()
    assert "3 snapshots there" in text(chore_page("snapshot"), VIEWER)
    assert "Ask for it" not in text(chore_page("snapshot"), VIEWER)
    assert client_of(VIEWER).get(ask_page("snapshot")).status_code == 403


def test_there_is_no_page_of_a_chore_that_is_not():
    assert client_of(OPERATOR).get(chore_page("nothing")).status_code == 404
    assert client_of(OPERATOR).get(ask_page("nothing")).status_code == 404


def test_what_comes_from_outside_is_shown_and_never_obeyed():
    ended("storage", "failed", NASTY, argument=NASTY, asked_by=NASTY, reason=NASTY)
    for address in (chore_page("storage"), "/system/", f"{ask_page('export')}?argument={NASTY}"):
        shown = text(address)
        assert "<script>alert" not in shown and "\x1b" not in shown and "\u202e" not in shown


@pytest.mark.parametrize("address", ["/system/", chore_page("snapshot")])
def test_a_poll_hears_nothing_new_until_something_happens(address):
    client = client_of(OPERATOR)
    first = poll(client, address)
    tag = first["HX-PTag"]
    assert poll(client, address, tag).status_code == 304
    run, _ = ChoreRun.objects.ask("snapshot", "", by="olive", via="dashboard", reason="x")
    second = poll(client, address, tag)
    assert second.status_code == 200
    ChoreRun.objects.claim(run.pk, "worker").end("done", "fine")
    assert poll(client, address, second["HX-PTag"]).status_code == 200


@pytest.mark.parametrize("address", ["/system/", chore_page("snapshot")])
def test_it_costs_the_same_however_often_it_was_done(address):
    client = client_of(OPERATOR)
    client.get(address)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get(address)
        return len(captured)

    few = queries()
    for _ in range(50):
        ended()
        ended("storage", argument="study")
    assert queries() == few


def test_a_workspaces_page_says_whether_it_is_as_it_was_stored():
    make_request(workspace="study")
    page = reverse("workspace", args=["study"])
    assert "not looked at yet" in text(page)
    StorageCheck.objects.create(workspace="study", at=timezone.now(), read_at=timezone.now(), is_sound=True)
    assert "all files read" in text(page)
    StorageCheck.objects.update(
        is_sound=False, number=30, findings=[{"kind": "leak", "storage": "medium", "path": NASTY, "text": "is here"}]
    )
    shown = text(page)
    assert "30 faults" in shown and "The worst 1 of 30" in shown and "<script>alert" not in shown
    # Names of files are for whoever may read logs.
    assert "30 faults" in text(page, VIEWER) and "The worst 1 of 30" not in text(page, VIEWER)
    assert ask_page("prune") in text(page, ADMINISTRATOR) and ask_page("prune") not in text(page, OPERATOR)
