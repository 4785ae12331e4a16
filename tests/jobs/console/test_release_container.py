"""`release_container`: by the container's name or its job's, told first, asked why; and `status` tells of them."""

import json

import pytest

from jobs.models import AuditEntry, Heartbeat, Quarantine
from tests.factories import make_job, make_quarantine

pytestmark = pytest.mark.django_db
REASON = "the folder is back"


@pytest.fixture(autouse=True)
def olive(monkeypatch):
    monkeypatch.setattr("os.getlogin", lambda: "olive")


@pytest.mark.parametrize("called_by", ["container", "job", "beginning", "capitals"])
def test_it_is_called_by_its_name_or_that_of_its_job(manage, called_by):
    row = make_quarantine()
    make_quarantine()
    identifier = row.job.identifier
    names = {
        "container": row.name,
        "job": identifier,
        "beginning": identifier[:10],
        "capitals": identifier[:10].upper(),
    }
    called = manage("release_container", names[called_by], "--reason", REASON)
    assert called.code == 0 and f"✓  {row.name}" in called.out
    assert f"{row.name} ({row.label}): in quarantine since" in called.err and row.last_error in called.err
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.via, entry.verb, entry.object_id) == ("olive", "command", "release", row.name)
    assert [each.pk for each in Quarantine.objects.exclude(release_requested_at=None)] == [row.pk]


def test_what_is_not_in_quarantine_is_refused_with_what_is(manage):
    job = make_job()
    nothing = manage("release_container", job.container_name, "--reason", REASON)
    assert nothing.code == 1 and nothing.refusal.endswith("In quarantine: none.")
    row = make_quarantine()
    for name in (job.identifier, "", "jobrunner"):
        called = manage("release_container", name, "--reason", REASON)
        assert called.code == 1 and called.refusal.endswith(f"In quarantine: {row.name}.")
    assert not AuditEntry.objects.exists()


def test_what_fits_several_is_refused_and_never_guessed(manage):
    rows = [make_quarantine(make_job(identifier=f"abcd{number}")) for number in (1, 2)]
    called = manage("release_container", "abcd", "--reason", REASON)
    assert called.refusal.startswith("Several fit abcd; give more letters:")
    assert all(row.name in called.refusal for row in rows)
    called = manage("release_container", "abcd", "--reason", REASON, "--yes", typed="2\n")
    assert called.code == 0 and "1  " in called.err and rows[1].name in called.out and rows[0].name not in called.out


def test_without_a_reason_or_with_a_dry_run_nothing_is_asked_for(manage):
    row = make_quarantine()
    assert "Say why" in manage("release_container", row.name).refusal
    assert "Say why" in manage("release_container", row.name, "--reason", " ").refusal
    assert manage("release_container", row.name, "--dry-run").code == 0
    assert manage("release_container", row.name, "--reason", REASON, typed="n\n").refusal == "Nothing was changed."
    assert not AuditEntry.objects.exists() and Quarantine.objects.get().release_requested_at is None


def test_a_second_release_gives_exit_code_1_and_says_who_was_faster(manage):
    row = make_quarantine()
    row.request_release("oscar", REASON)
    called = manage("release_container", row.name, "--reason", REASON)
    assert called.code == 1 and "was asked for already, by oscar" in called.out
    assert "released by oscar, not tried yet" in called.err


def test_the_results_as_json(manage):
    Heartbeat.beat("run")
    row = make_quarantine()
    called = manage("release_container", row.name, row.job.identifier, "--reason", REASON, "--json")
    result = {"identifier": row.name, "label": row.label, "was_done": True, "sentence": "release asked for"}
    assert json.loads(called.out) == {"results": [result]}


def test_a_silent_runner_is_told(manage):
    assert "Nothing happens yet" in manage("release_container", make_quarantine().name, "--reason", REASON).err


def test_status_names_each_with_its_job_and_the_last_error(manage, settings):
    settings.JOB_SERVER_ENDPOINT, settings.RAP_API_TOKENS = "", {}
    Heartbeat.beat("run")
    row = make_quarantine(last_error="no answer\x1b[2J")
    called = manage("status")
    assert called.code == 2 and "Needs attention: Docker has not answered about 1 container" in called.out
    assert f"! {row.name} ({row.label}): in quarantine since" in called.out
    assert "no answer\\x1b[2J" in called.out and "\x1b" not in called.out
    told = json.loads(manage("status", "--json").out)
    (held,) = told["quarantine"]
    assert (held["container"], held["job"], held["release_requested_by"]) == (row.name, row.job.identifier, "")
    assert told["docker"]["containers_in_quarantine"] == 1
