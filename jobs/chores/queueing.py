"""The queue's own rows: schedules, made anew whenever they are not as they should be, and entries for what was asked.

The only module of this room that knows django-q2. Called by the runner's side alone.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.tasks import async_task

from jobs.chores import Chore, chores
from jobs.models import ChoreRun

ASKED, SCHEDULED, PING = "jobs.chores.work.asked", "jobs.chores.work.scheduled", "jobs.chores.work.answer_ping"
# What nobody has begun is put into the queue again after so long.
MOST_QUEUED = 50
AGAIN_AFTER = timedelta(seconds=20)
_DAY = timedelta(days=1)


def keep_schedules() -> int:
    """One row for each chore that the schedule does, and no other row. Returns how many were changed."""
    changed = 0
    wanted = {each.name: each for each in chores() if each.is_scheduled}
    there: dict[str, Schedule] = {}
    for row in Schedule.objects.order_by("pk"):
        chore = wanted.get(row.name or "")
        if chore and row.name not in there and _is_as_wanted(row, chore):
            there[row.name] = row
        else:
            changed += bool(Schedule.objects.filter(pk=row.pk).delete()[0])
    for name, chore in wanted.items():
        if name not in there:
            Schedule.objects.create(name=name, next_run=next_run(chore), **_columns(chore))
            changed += 1
    return changed


def next_runs() -> dict[str, datetime]:
    return dict(Schedule.objects.values_list("name", "next_run"))


def queue_what_was_asked() -> int:
    """Entries for rows that wait. One query if there is nothing. Returns how many."""
    waiting = list(ChoreRun.objects.to_be_queued(AGAIN_AFTER).order_by("pk")[:MOST_QUEUED])
    if waiting and OrmQ.objects.count() >= MOST_QUEUED:
        return 0  # nobody takes anything out: more of it would help nobody
    for run in waiting:
        async_task(ASKED, run.pk, task_name=f"{run.chore}-{run.pk}")
        ChoreRun.objects.open().filter(pk=run.pk).update(queued_at=timezone.now())
    return len(waiting)


def queue_ping() -> None:
    """A worker that gets it shows that the whole way through the queue works (`jobs.chores.work.last_answer`)."""
    async_task(PING, task_name="ping")


def next_run(chore: Chore) -> datetime:
    """When it is due first: daily ones at the site's hour, others, and those that were missed, soon."""
    now = timezone.now()
    last = ChoreRun.objects.filter(chore=chore.name, asked_by="").order_by("-pk").first()
    if chore.every < _DAY or last is None or now - last.asked_at > chore.every:
        return now
    today = now.replace(hour=settings.CHORES_HOUR, minute=0, second=0, microsecond=0)
    return today if today > now else today + _DAY


def _columns(chore: Chore) -> dict:
    columns = {"func": SCHEDULED, "args": f"({chore.name!r},)", "repeats": -1, "hook": None, "kwargs": None}
    columns |= {"cluster": None, "cron": None, "intended_date_kwarg": None}
    if chore.every == _DAY:
        return columns | {"schedule_type": Schedule.DAILY, "minutes": None}
    minutes = int(chore.every.total_seconds()) // 60
    return columns | {"schedule_type": Schedule.MINUTES, "minutes": minutes}


def _is_as_wanted(row: Schedule, chore: Chore) -> bool:
    now = timezone.now()
    if row.next_run is None or row.next_run > now + 2 * chore.every:
        return False
    if chore.every == _DAY and row.next_run > now and row.next_run.hour != settings.CHORES_HOUR:
        return False  # it was caught up with at another hour, or the site has another hour now
    return all(getattr(row, column) == value for column, value in _columns(chore).items())
