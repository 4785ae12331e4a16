"""What the system page asks of all jobs at once: who waits, who has waited, what the workers run.

Each is answered by the indexes on active jobs and on ends, however many finished jobs there are.
"""

from datetime import datetime

from django.db.models import Count, Min, OuterRef, QuerySet, Subquery

from jobs.models.job import Job
from jobs.states import FINAL_STATES, State

Wait = tuple[datetime, datetime]


def waiting_by_workspace() -> QuerySet:
    """(workspace, requires_db, how many wait, since when the oldest does) of pending jobs, the most first."""
    rows = Job.objects.pending().order_by().values_list("workspace", "requires_db")
    found = rows.annotate(waiting=Count("pk"), oldest_at=Min("created_at"))
    return found.order_by("-waiting", "workspace", "requires_db")


def active_by_pool() -> dict[tuple[str, bool], int]:
    """(state, requires_db) -> how many active jobs are not asked to stop."""
    rows = Job.objects.active().filter(stop_request="").order_by().values_list("state", "requires_db")
    return {(state, requires_db): count for state, requires_db, count in rows.annotate(count=Count("pk"))}


def waits_until(moment: datetime, most: int) -> list[Wait]:
    """From creation to the start, or to the end without one: of running jobs, and of `most` that ended after it."""
    columns = ("created_at", "started_at", "completed_at")
    ended = Job.objects.filter(state__in=FINAL_STATES, completed_at__gte=moment).order_by("-completed_at")
    rows = [*Job.objects.running().values_list(*columns), *ended.values_list(*columns)[:most]]
    return [(created, started or completed) for created, started, completed in rows if started or completed]


def running_with_last_run() -> QuerySet:
    """Running jobs, each with `last_began` and `last_ended` of the newest success of its action in the workspace."""
    same = Job.objects.filter(workspace=OuterRef("workspace"), action=OuterRef("action"))
    newest = same.filter(state=State.SUCCEEDED).order_by("-pk")
    return (
        Job.objects.running()
        .annotate(
            last_began=Subquery(newest.values("started_at")[:1]),
            last_ended=Subquery(newest.values("completed_at")[:1]),
        )
        .order_by("pk")
    )
