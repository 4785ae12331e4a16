"""Cancel, kill, retry, run again and the switches: told first, asked why, done through the same verbs, and audited."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from jobs.console import reboot, switches
from jobs.console.command import Refused
from jobs.console.switches import moment_of
from jobs.models import AuditEntry, Flag, Heartbeat, Job, JobRequest
from jobs.people.roles import VIEWER
from jobs.states import StatusCode
from tests.factories import make_flag, make_job, make_request
from tests.web import client_of

pytestmark = pytest.mark.django_db

REASON = "the disk is being replaced"
ENDED = StatusCode.NONZERO_EXIT
# Command -> a status that it can be asked in, what it leaves in the audit.
COMMANDS = {
    "cancel_job": (StatusCode.EXECUTING, "cancel"),
    "kill_job": (StatusCode.EXECUTING, "kill"),
    "retry_job": (StatusCode.INTERNAL_ERROR, "retry"),
    "rerun_job": (ENDED, "rerun"),
}


@pytest.fixture(autouse=True)
def olive(monkeypatch):
    monkeypatch.setattr("os.getlogin", lambda: "olive")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_is_asked_for_and_leaves_who_and_why_in_the_audit(manage, command):
    code, verb = COMMANDS[command]
    job = make_job(status_code=code)
    called = manage(command, job.identifier[:10], "--reason", REASON)
    assert called.code == 0 and f"✓  {job.identifier}" in called.out
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.via, entry.verb, entry.reason) == ("olive", AuditEntry.Via.COMMAND, verb, REASON)
    assert (entry.object_kind, entry.object_id) == ("job", job.identifier)


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_reason_nothing_is_asked_for(manage, command):
    job = make_job(status_code=COMMANDS[command][0])
    assert manage(command, job.identifier).refusal == "Say why: --reason '…'. It is kept in the audit."
    assert "Say why" in manage(command, job.identifier, "--reason", " \u2800 ").refusal
    assert not AuditEntry.objects.exists() and JobRequest.objects.count() == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_asked_for_says_why_and_gives_exit_code_1(manage, command):
    able, other = make_job(status_code=COMMANDS[command][0]), make_job(status_code=StatusCode.SUCCEEDED)
    if command == "rerun_job":
        other = make_job(status_code=StatusCode.EXECUTING)
    called = manage(command, able.identifier, other.identifier, "--reason", REASON)
    assert called.code == 1
    failed, done = called.out.splitlines()[:2]
    assert failed.startswith(f"✗  {other.identifier}") and done.startswith(f"✓  {able.identifier}")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_dry_run_does_nothing(manage, command):
    job = make_job(status_code=COMMANDS[command][0])
    called = manage(command, job.identifier, "--dry-run")
    assert called.code == 0 and job.identifier in called.err and called.out == ""
    assert not AuditEntry.objects.exists()


def test_what_a_cancel_brings_about_is_told_before(manage):
    first = make_job(status_code=StatusCode.EXECUTING)
    make_job(status_code=StatusCode.WAITING_ON_DEPENDENCIES, waits_for=[first], request=first.request)
    err = manage("cancel_job", first.identifier, "--dry-run").err
    assert "1 running will be stopped" in err
    assert "1 later job that needs them will not run either (dependency failed)." in err


@pytest.mark.parametrize("typed", ["", "\n", "n\n", "yess\n", "why not\n"])
def test_a_person_who_does_not_say_yes_changes_nothing(manage, typed):
    job = make_job(status_code=StatusCode.EXECUTING)
    called = manage("cancel_job", job.identifier, "--reason", REASON, typed=typed)
    assert (called.code, called.refusal) == (1, "Nothing was changed.")
    assert manage("pause", "on", "--reason", REASON, typed=typed).refusal == "Nothing was changed."
    assert not AuditEntry.objects.exists()


def test_a_person_is_asked_why(manage):
    job = make_job(status_code=StatusCode.EXECUTING)
    called = manage("cancel_job", job.identifier, typed=f"y\n{REASON}\n")
    assert "Cancel 1 job? [y/N] " in called.err and "Why? " in called.err
    assert AuditEntry.objects.get().reason == REASON
    assert "Say why" in manage("cancel_job", make_job().identifier, "--yes", typed="\n").refusal


def test_all_of_a_request_can_be_meant(manage):
    request = make_request()
    jobs = [make_job(request=request), make_job(request=request, status_code=StatusCode.EXECUTING)]
    make_job(request=request, status_code=StatusCode.SUCCEEDED)
    called = manage("cancel_job", "--request", request.identifier[:8], "--reason", REASON)
    assert called.code == 0
    assert set(Job.objects.exclude(stop_request="").values_list("pk", flat=True)) == {job.pk for job in jobs}
    assert "has no job to run again" in manage("rerun_job", "--request", request.identifier).refusal


@pytest.mark.parametrize("named", [(), ("x", "--request", "y")])
def test_either_jobs_or_a_request_are_named(manage, named):
    assert manage("cancel_job", *named, "--reason", REASON).refusal == "Name jobs, or a request by --request."


def test_a_new_request_is_named_and_who_has_to_plan_it_is_missed(manage):
    Heartbeat.beat("run")
    job = make_job(status_code=ENDED)
    called = manage("rerun_job", job.identifier, "--reason", REASON)
    new = JobRequest.objects.order_by("-pk").first()
    assert new.is_waiting and new.requested_actions == [job.action]
    assert f"manage.py watch {new.identifier}" in called.out
    assert "start `manage.py sync`" in called.err and "Nothing happens yet" not in called.err


def test_a_silent_runner_is_told(manage):
    called = manage("cancel_job", make_job().identifier, "--reason", REASON)
    assert "Nothing happens yet: the runner was never heard. Start `manage.py run`." in called.err
    Heartbeat.beat("run")
    assert "Nothing happens" not in manage("cancel_job", make_job().identifier, "--reason", REASON).err


def test_results_as_json_are_those_of_the_api(manage):
    job = make_job(status_code=StatusCode.EXECUTING)
    told = json.loads(manage("cancel_job", job.identifier, "--reason", REASON, "--json").out)
    label = f"study: {job.action}"
    result = {"identifier": job.identifier, "label": label, "was_done": True, "sentence": "cancel asked for"}
    assert told == {"results": [result], "requests": []}


def test_what_studies_write_cannot_change_a_terminal(manage):
    job = make_job(action="evil\x1b[2J\u202e", status_code=StatusCode.EXECUTING)
    called = manage("cancel_job", job.identifier, "--reason", "x\x1b[2J")
    assert "\x1b" not in called.out + called.err and "\u202e" not in called.out + called.err
    job.refresh_from_db()
    assert job.stop_reason == "x\\x1b[2J"


@pytest.mark.parametrize(
    ("command", "name"), [("pause", "paused"), ("db_maintenance", "db-maintenance"), ("prepare_for_reboot", "reboot")]
)
def test_each_switch_goes_on_and_off_with_who_and_why(manage, command, name):
    make_job(requires_db=True)
    on = manage(command, "on", "--reason", REASON, "--until", "2h")
    assert on.code == 0 and "1 waiting" in on.err and f"{name}  on  by olive at " in on.out
    flag = Flag.objects.current()[name]
    assert timedelta(minutes=119) < flag.expires_at - timezone.now() <= timedelta(hours=2)
    off = manage(command, "off", "--reason", "done")
    assert f"It is on, set by olive: {REASON}" in off.err
    assert not Flag.objects.current()[name].value
    entries = AuditEntry.objects.order_by("pk").values_list("actor", "via", "verb", "object_id", "reason")
    assert list(entries) == [("olive", "command", "switch", name, REASON), ("olive", "command", "switch", name, "done")]


def test_a_switch_tells_first_what_it_does(manage):
    make_job()
    called = manage("pause", "on", "--dry-run")
    assert "1 waiting job will not start until it is switched off." in called.err
    assert not Flag.objects.exists()


def test_what_somebody_else_has_switched_meanwhile_is_not_overridden(manage, monkeypatch):
    monkeypatch.setattr(switches, "confirm", lambda *_, **__: make_flag(set_by="bob"))
    assert "It has been switched meanwhile" in manage("pause", "on", "--reason", REASON).refusal
    assert Flag.objects.get().set_by == "bob"


def test_an_end_belongs_to_on_only(manage):
    assert manage("pause", "off", "--reason", REASON, "--until", "2h").refusal == "--until goes with `on` only."


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("90m", datetime(2026, 11, 26, 21, 30, tzinfo=UTC)),
        ("2h", datetime(2026, 11, 26, 22, 0, tzinfo=UTC)),
        ("1d", datetime(2026, 11, 27, 20, 0, tzinfo=UTC)),
        ("22:30", datetime(2026, 11, 26, 22, 30, tzinfo=UTC)),
        ("8:05", datetime(2026, 11, 27, 8, 5, tzinfo=UTC)),
        (" 2026-12-01 06:00 ", datetime(2026, 12, 1, 6, 0, tzinfo=UTC)),
        ("2026-12-01T06:00", datetime(2026, 12, 1, 6, 0, tzinfo=UTC)),
    ],
)
def test_an_end_is_said_in_the_ways_people_say_it(monkeypatch, text, end):
    monkeypatch.setattr(switches.timezone, "now", lambda: datetime(2026, 11, 26, 20, 0, tzinfo=UTC))
    assert moment_of(text) == end


@pytest.mark.parametrize(
    "text", ["", "soon", "2", "-2h", "²h", "25:00", "0m", "999999d", "2020-01-01 00:00", "2026-02-30 10:00"]
)
def test_an_end_that_is_none_is_refused(text):
    with pytest.raises(Refused, match=r"is no time|does not lie ahead"):
        moment_of(text)


def drained(flag: Flag) -> None:
    detail = {"reboot": {"flag": flag.pk, "running": 0, "containers": 0}}
    Heartbeat.objects.update_or_create(name="run", defaults={"at": timezone.now(), "detail": detail})


def test_whether_it_is_safe_to_reboot_is_told_with_an_exit_code(manage):
    asked = manage("prepare_for_reboot", "status")
    assert (asked.code, asked.out) == (1, "- No reboot is prepared: jobs run and start as ever.\n")
    flag = make_flag(Flag.Name.REBOOT)
    job = make_job(StatusCode.EXECUTING, action="evil\x1b[2J")
    drained(flag)
    asked = manage("prepare_for_reboot", "status")
    assert asked.code == 1 and "Not safe to reboot yet: 1 job is being stopped or saved." in asked.out
    assert job.identifier in asked.out and "evil\\x1b[2J" in asked.out
    job.delete()
    asked = manage("prepare_for_reboot", "status")
    assert asked.code == 0 and asked.out.startswith("✓ Safe to reboot: no job is at work")


def test_safety_in_json_is_what_the_api_answers(manage, db):
    drained(make_flag(Flag.Name.REBOOT))
    told = json.loads(manage("prepare_for_reboot", "status", "--json").out)
    assert told == client_of(VIEWER).get("/api/v1/reboot").json()
    assert (told["state"], told["is_safe"], told["running"], told["jobs"]) == ("safe", True, 0, [])


def test_preparing_can_wait_until_it_is_safe(manage, monkeypatch):
    make_job(StatusCode.EXECUTING)

    def runner_stops_it(seconds: float) -> None:
        Job.objects.all().delete()
        drained(Flag.objects.current()[Flag.Name.REBOOT])

    monkeypatch.setattr(reboot.time, "sleep", runner_stops_it)
    called = manage("prepare_for_reboot", "on", "--reason", REASON, "--wait")
    assert called.code == 0 and "Safe to reboot" in called.out
    assert "1 job is at work by the last that is known" in called.err


def test_a_wait_ends_when_somebody_switches_it_off(manage, monkeypatch):
    make_flag(Flag.Name.REBOOT)
    monkeypatch.setattr(reboot.time, "sleep", lambda seconds: make_flag(Flag.Name.REBOOT, value=""))
    called = manage("prepare_for_reboot", "status", "--wait")
    assert called.code == 1 and "No reboot is prepared" in called.out


@pytest.mark.parametrize("arguments", [("off",), ("on", "--dry-run")])
def test_waiting_belongs_to_preparing(manage, arguments):
    assert "--wait goes with `on` or `status`" in manage("prepare_for_reboot", *arguments, "--wait").refusal
    assert not Flag.objects.exists()


def test_a_reboot_can_be_planned(manage):
    called = manage("prepare_for_reboot", "on", "--at", "2h", "--until", "1d", "--reason", REASON)
    flag = Flag.objects.current()[Flag.Name.REBOOT]
    assert timedelta(minutes=119) < flag.due_at - timezone.now() <= timedelta(hours=2)
    assert "jobs start as ever, if they will by their past runs be done" in called.err and ", for 2" in called.out
    assert " at 2" in AuditEntry.objects.get().after
    assert manage("prepare_for_reboot", "status").code == 1
    assert "--until has to come after" in manage("prepare_for_reboot", "on", "--at", "2h", "--until", "1h").refusal
    assert (
        manage("prepare_for_reboot", "on", "--at", "", "--reason", REASON).code == 1
    )  # an empty variable is not "now"
    assert manage("pause", "on", "--until", "", "--reason", REASON).code == 1
    assert manage("prepare_for_reboot", "off", "--at", "2h").refusal == "--at goes with `on` only."


# Killing with all that is kept


def test_a_cleanup_kills_what_is_active_and_clears_what_was_cut_off(manage):
    active, kept = make_job(StatusCode.EXECUTING), make_job(StatusCode.INTERNAL_ERROR)
    ended = make_job(StatusCode.SUCCEEDED)
    called = manage("kill_job", "--cleanup", active.identifier, kept.identifier, ended.identifier, "--reason", REASON)
    assert called.code == 1 and f"✗  {ended.identifier}" in called.out
    assert "Of 1 the container and folder that were kept are removed for good" in called.err
    assert "1 running will be stopped" in called.err
    assert Job.objects.get(pk=active.pk).stop_request == "kill"
    asked = Job.objects.get(pk=kept.pk)
    assert asked.retry_clears and (asked.retry_requested_by, asked.retry_reason) == ("olive", REASON)
    verbs = dict(AuditEntry.objects.values_list("object_id", "verb"))
    assert verbs == {active.identifier: "kill", kept.identifier: "clear"}


def test_a_cleanup_of_a_request_means_its_active_and_its_cut_off_jobs(manage):
    request = make_request()
    codes = (StatusCode.CREATED, StatusCode.INTERNAL_ERROR, StatusCode.SUCCEEDED)
    active, kept, _ = (make_job(code, request=request) for code in codes)
    called = manage("kill_job", "--cleanup", "--request", request.identifier, "--reason", REASON)
    assert called.code == 0 and called.out.count("✓") == 2
    assert active.identifier in called.out and kept.identifier in called.out


def test_without_it_nothing_that_is_kept_is_touched(manage):
    kept = make_job(StatusCode.INTERNAL_ERROR)
    assert manage("kill_job", kept.identifier, "--reason", REASON).code == 1
    assert not Job.objects.get().retry_requested_at
