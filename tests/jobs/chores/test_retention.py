"""Old rows go, a few at a time; jobs, outputs and the audit never do."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from jobs.chores.retention import delete_old_rows
from jobs.models import AuditEntry, ChoreRun, Job, JobOutput, Notice, ResourceSample, StatusChange, Who
from jobs.models import sample as samples
from jobs.states import StatusCode
from tests.factories import make_job, make_output

pytestmark = pytest.mark.django_db


def days_ago(number: float):
    return timezone.now() - timedelta(days=number)


def ended(days: float, status_code: StatusCode = StatusCode.SUCCEEDED) -> Job:
    job = make_job(status_code, completed_at=days_ago(days))
    StatusChange.objects.create(job=job, to_code=status_code, actor="runner", at=days_ago(days))
    ResourceSample.objects.create(job=job, at=days_ago(days), cpu_percent=1, memory_bytes=1)
    return job


def done():
    return delete_old_rows(ChoreRun(chore="old-rows"))


def test_samples_and_timelines_go_when_they_are_as_old_as_the_settings_say(settings):
    settings.SAMPLES_KEPT_DAYS, settings.EVENTS_KEPT_DAYS = 10, 100
    old, middle, new = ended(101), ended(99), ended(1)
    assert done().said == "deleted 2 samples and 1 events"
    assert list(ResourceSample.objects.values_list("job", flat=True)) == [new.pk]
    assert list(StatusChange.objects.order_by("pk").values_list("job", flat=True)) == [middle.pk, new.pk]
    assert Job.objects.filter(pk=old.pk).exists()
    assert done().said == "nothing was old enough"


def test_the_timeline_of_a_job_that_still_waits_stays_however_old_it_is(settings):
    settings.EVENTS_KEPT_DAYS = 1
    waits, over = make_job(created_at=days_ago(50)), ended(49)
    StatusChange.objects.create(job=waits, to_code="created", actor="runner", at=days_ago(50))
    StatusChange.objects.filter(job=over).update(at=days_ago(49))
    done()
    assert list(StatusChange.objects.values_list("job", flat=True)) == [waits.pk]


def test_it_takes_small_steps_to_the_end(monkeypatch, settings):
    settings.SAMPLES_KEPT_DAYS = settings.EVENTS_KEPT_DAYS = 1
    for _ in range(7):
        ended(3)
    keeps = ended(0.5)
    chunks = [chunk.count() for chunk in StatusChange.objects.of_jobs_ended_before(days_ago(1), at_once=3)]
    assert chunks == [3, 3, 1]
    assert len(list(_deleted(ResourceSample.objects.before(days_ago(1), at_once=3)))) == 3
    done()
    assert list(StatusChange.objects.values_list("job", flat=True)) == [keeps.pk]
    assert samples.ResourceSample.objects.count() == 1


def _deleted(chunks):
    for chunk in chunks:
        yield chunk.delete()


def test_jobs_outputs_and_the_audit_stay_for_ever(settings):
    settings.SAMPLES_KEPT_DAYS = settings.EVENTS_KEPT_DAYS = 1
    make_output(ended(5000))
    AuditEntry.note(Who("olive", "command"), "cancel")
    AuditEntry.objects.update(at=days_ago(5000))
    done()
    assert Job.objects.count() == JobOutput.objects.count() == AuditEntry.objects.count() == 1


def test_results_of_chores_notices_and_sessions_go(settings):
    def run(days: float, **columns) -> ChoreRun:
        at = days_ago(days)
        return ChoreRun.objects.create(
            **{"chore": "notify", "started_at": at, "ended_at": at, "outcome": "done"} | columns
        )

    run(8), run(91, outcome="failed"), run(91, asked_by="olive", reason="x")
    kept = [
        run(6),
        run(8, outcome="failed"),
        run(8, asked_by="olive", reason="x"),
        ChoreRun.objects.create(chore="snapshot"),
    ]
    Notice.objects.create(kind="failed", key="old", text="x", at=days_ago(91))
    Notice.objects.create(kind="failed", key="new", text="x", at=days_ago(1))
    Session.objects.create(session_key="old", session_data="", expire_date=days_ago(1))
    Session.objects.create(session_key="new", session_data="", expire_date=days_ago(-1))
    done()
    assert set(ChoreRun.objects.values_list("pk", flat=True)) == {each.pk for each in kept}
    assert Notice.objects.get().key == "new" and Session.objects.get().session_key == "new"
