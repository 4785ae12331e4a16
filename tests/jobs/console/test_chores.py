"""`manage.py chores`: its table, JSON and exit codes; asking, waiting, and refusing."""

import json
import threading

import pytest
from django.utils import timezone

from jobs.chores import chores, work
from jobs.chores.queueing import keep_schedules
from jobs.console import chores as module
from jobs.models import AuditEntry, ChoreRun, Heartbeat

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def olive(monkeypatch) -> None:
    monkeypatch.setattr("os.getlogin", lambda: "olive")
    Heartbeat.beat("run", chores={"on": True})


def ended(chore: str = "snapshot", outcome: str = "done", said: str = "3 snapshots there") -> None:
    now = timezone.now()
    ChoreRun.objects.create(chore=chore, started_at=now, ended_at=now, outcome=outcome, said=said)


def test_the_table_tells_each_chore_and_what_came_of_it(manage):
    keep_schedules()
    ended()
    called = manage("chores")
    assert called.code == 0 and called.err == ""
    lines = {line.split()[0]: line for line in called.out.splitlines()}
    assert set(lines) >= {each.name for each in chores()}
    assert "each day" in lines["snapshot"] and "done" in lines["snapshot"] and "3 snapshots there" in called.out
    assert "off: nobody is named" in lines["notify"] and "never yet" in lines["notify"]


def test_one_that_failed_gives_exit_code_1(manage):
    ended(outcome="failed", said="The disk\x1b[2J is full.")
    called = manage("chores")
    assert called.code == 1 and r"The disk\x1b[2J is full." in called.out and "\x1b[2J" not in called.out


def test_as_json(manage):
    keep_schedules()
    ended()
    said = json.loads(manage("chores", "--json").out)
    assert said["are_done"] is True
    found = {each["name"]: each for each in said["chores"]}
    assert found["snapshot"]["last"]["state"] == "done" and found["snapshot"]["every_seconds"] == 86400
    assert found["snapshot"]["next_at"].endswith("Z") and found["export"]["next_at"] is None
    assert found["export"]["takes"] == "workspace" and found["notify"]["why_off"].startswith("nobody")


@pytest.mark.parametrize(("chores_on", "why"), [(False, "CHORES is off"), (None, "the runner is silent")])
def test_where_nobody_does_them_it_says_so(manage, chores_on, why):
    Heartbeat.objects.all().delete()
    if chores_on is not None:
        Heartbeat.beat("run", chores={"on": chores_on})
    assert f"Nothing of this is done now: {why}." in manage("chores").err
    called = manage("chores", "snapshot", "--reason", "x")
    assert called.code == 0 and "It waits:" in called.err


def test_asking_leaves_who_and_why(manage):
    called = manage("chores", "storage", "study", "--reason", "a disk was replaced")
    assert called.code == 0 and called.out.startswith("waits for a worker study")
    run, entry = ChoreRun.objects.get(), AuditEntry.objects.get()
    assert (run.chore, run.argument, run.asked_by, run.via) == ("storage", "study", "olive", "command")
    assert (entry.actor, entry.verb, entry.reason) == ("olive", "chore", "a disk was replaced")
    said = json.loads(manage("chores", "storage", "study", "--reason", "again", "--json").out)
    assert said["is_new"] is False and said["state"] == "waiting"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("nothing", "--reason", "x"), "There is no such chore. There are: notify, snapshot, "),
        (("export", "--reason", "x"), "Name a workspace."),
        (("snapshot", "study", "--reason", "x"), "takes nothing more."),
        (("snapshot",), "Say why: --reason"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(manage, arguments, why):
    called = manage("chores", *arguments)
    assert called.code == 1 and why in called.refusal and not ChoreRun.objects.exists()


def test_what_removes_something_is_asked_about_at_a_terminal(manage):
    called = manage("chores", "prune", "study", typed="n\n")
    assert called.code == 1 and not ChoreRun.objects.exists()
    called = manage("chores", "prune", "study", "--reason", "disk is full", typed="y\n")
    assert called.code == 0 and ChoreRun.objects.get().argument == "study"


def test_waiting_ends_when_the_runner_does(manage, monkeypatch):
    monkeypatch.setattr(module.time, "sleep", lambda seconds: Heartbeat.objects.all().delete())
    called = manage("chores", "snapshot", "--wait", "--reason", "x")
    assert called.code == 1 and "Nobody does it now: the runner was never heard" in called.refusal
    assert ChoreRun.objects.open().exists()


@pytest.mark.parametrize(("outcome", "code"), [("done", 0), ("failed", 1)])
@pytest.mark.django_db(transaction=True)
def test_waiting_ends_with_the_result(manage, monkeypatch, outcome, code):
    def look(seconds: float) -> None:
        run = ChoreRun.objects.claim(ChoreRun.objects.get().pk, work.this_process())
        run.end(outcome, "as it went")

    monkeypatch.setattr(module.time, "sleep", look)
    called = manage("chores", "snapshot", "--wait", "--reason", "x")
    assert called.code == code and "as it went" in called.out
    assert threading.active_count() >= 1
