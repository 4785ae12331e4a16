"""Containers in quarantine: who may let them go, how often, and that all who look hear of them."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from jobs import asking
from jobs.models import AuditEntry, Heartbeat, Quarantine, Who
from jobs.problems import problems
from jobs.reasons import NoReason
from jobs.signs import Signs
from jobs.system.checks import checks
from jobs.system.queue import queue
from jobs.system.reboot import readiness
from jobs.system.verdict import verdict
from tests.factories import make_quarantine

pytestmark = pytest.mark.django_db
OLIVE = Who("olive", "dashboard", "192.0.2.1")


def test_a_release_is_asked_for_once_with_who_and_why_in_row_and_audit():
    row = make_quarantine()
    told = [asking.release_containers([row.name], OLIVE, "the folder is back") for _ in range(2)]
    assert [(each.was_done, each.sentence) for (each,) in told] == [
        (True, "release asked for"),
        (False, "was asked for already, by olive"),
    ]
    row.refresh_from_db()
    assert (row.release_requested_by, row.release_reason) == ("olive", "the folder is back")
    assert timezone.now() - row.release_requested_at < timedelta(minutes=1)
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.verb, entry.object_kind, entry.object_id) == ("olive", "release", "container", row.name)
    assert (entry.before, entry.after, entry.reason) == ("in quarantine", "release asked for", "the folder is back")
    assert entry.label == f"{row.job.workspace}: {row.job.action}"


def test_what_is_not_in_quarantine_cannot_be_released():
    row = make_quarantine()
    first, second = asking.release_containers(["jobrunner-x-1", row.name], OLIVE, "why")
    assert (first.was_done, first.sentence) == (False, "is not in quarantine")
    assert second.was_done and AuditEntry.objects.count() == 1


def test_a_wish_for_a_quarantine_that_has_ended_is_never_taken_for_the_next_one_of_that_container():
    row = make_quarantine()
    Quarantine.objects.all().delete()
    make_quarantine(row.job)
    assert row.request_release("olive", "why") is False
    assert Quarantine.objects.get().release_requested_at is None


@pytest.mark.parametrize("reason", ["", "  ", "\u200b"])
def test_a_release_says_why(reason):
    row = make_quarantine()
    with pytest.raises(NoReason):
        asking.release_containers([row.name], OLIVE, reason)
    assert not AuditEntry.objects.exists()
    with pytest.raises(IntegrityError), transaction.atomic():
        Quarantine.objects.update(release_requested_at=timezone.now())


def test_verbs_and_kinds_of_the_audit_know_it():
    assert "release" in AuditEntry.VERBS and "container" in AuditEntry.KINDS


def quarantine_problems() -> list[str]:
    return [each.text for each in problems(Signs.read()) if each.kind == "quarantine"]


def test_one_or_several_are_a_problem_that_names_nobody():
    Heartbeat.beat("run")
    assert quarantine_problems() == []
    row = make_quarantine()
    since = f"{row.since:%Y-%m-%d %H:%M:%S} UTC"
    assert quarantine_problems() == [
        f"Docker has not answered about 1 container since {since}, so its job does not go on; the others do"
    ]
    make_quarantine(since=row.since + timedelta(hours=1))
    (text,) = quarantine_problems()
    assert f"2 containers since {since}, so their jobs do not go on" in text
    assert row.name not in text and row.job.workspace not in text


def test_a_monitor_hears_of_it_with_503_and_the_number():
    Heartbeat.beat("run")
    make_quarantine()
    answer = Client().get("/healthz/")
    assert answer.status_code == 503
    found = answer.json()
    assert any("Docker has not answered about 1 container" in sentence for sentence in found["problems"])
    assert found["docker"]["containers_in_quarantine"] == 1


def test_the_verdict_does_not_say_that_nothing_works(settings):
    settings.JOB_SERVER_ENDPOINT, settings.RAP_API_TOKENS = "", {}
    Heartbeat.beat("run")
    make_quarantine()
    signs = Signs.read()
    found = problems(signs)
    assert verdict(signs, found, [], 1, 0, readiness({}, signs)).word == "Needs attention"
    (row,) = [each for each in checks(signs, found, queue()) if each.name == "Containers"]
    assert (row.state, row.since) == ("bad", Quarantine.objects.get().since)
    assert "manage.py release_container" in row.what


def test_a_job_that_goes_takes_its_quarantine_along():
    row = make_quarantine()
    row.job.delete()
    assert not Quarantine.objects.exists()
