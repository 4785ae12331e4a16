"""What the system page asks of all jobs at once: who waits, and who has waited.

Each is answered by the indexes on active jobs and on ends, however many finished jobs there are.
"""

from datetime import datetime

from django.db.models import Count, Min, QuerySet

from jobs.models.job import Job
from jobs.states import FINAL_STATES

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
