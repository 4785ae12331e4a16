"""Rows that nobody needs any more are deleted, a few at a time, so that no other writer waits for long.

Never a job, a request, an output or the audit: figures of resources (their peaks stay with the job), timelines of jobs
that ended long ago, results of chores, notices, sessions that have run out, and what the queue has left.
"""

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.utils import timezone
from django_q.models import Task

from jobs.chores import Done
from jobs.models import ChoreRun, Notice, ResourceSample, StatusChange
from jobs.text import listed

AT_ONCE = 500
# A site that has never done it has years of rows: the rest is for the next days.
MOST = 200_000
KEPT_BESIDE = timedelta(days=90)  # results of chores and notices
# Of what the schedule does, some of it each minute, and what went well.
KEPT_OF_SCHEDULE = timedelta(days=7)


def delete_old_rows(run: ChoreRun) -> Done:
    now = timezone.now()
    samples = ResourceSample.objects.before(now - timedelta(days=settings.SAMPLES_KEPT_DAYS))
    changes = StatusChange.objects.of_jobs_ended_before(now - timedelta(days=settings.EVENTS_KEPT_DAYS))
    old = now - KEPT_BESIDE
    usual = ChoreRun.objects.filter(asked_by="", outcome="done", ended_at__lt=now - KEPT_OF_SCHEDULE)
    gone = {
        "samples": _delete(samples),
        "events": _delete(changes),
        "results of chores": _delete_all(ChoreRun.objects.filter(ended_at__lt=old)) + _delete_all(usual),
        "notices": _delete_all(Notice.objects.old(old)),
        "sessions": _delete_all(Session.objects.filter(expire_date__lt=now)),
        "entries of the queue": _delete_all(Task.objects.filter(stopped__lt=old)),
    }
    deleted = [f"{number:,} {what}" for what, number in gone.items() if number]
    return Done(f"deleted {listed(deleted)}" if deleted else "nothing was old enough", gone)


def _delete(chunks: Iterable[QuerySet]) -> int:
    """Each chunk is a queryset of AT_ONCE rows at most."""
    number = 0
    for chunk in chunks:
        number += chunk.delete()[0]
        if number >= MOST:
            break
    return number


def _delete_all(rows: QuerySet) -> int:
    number = 0
    while pks := list(rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]):
        number += rows.model._base_manager.filter(pk__in=pks).delete()[0]
        if number >= MOST:
            break
    return number
