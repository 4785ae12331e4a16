"""How long an action usually takes: what pages hold a job's own time against.

Typical is the median of the last successes of the same action in the same workspace. Nothing is kept for it: an index
leads to those few rows, however many jobs have ended, and all jobs of a page are answered at once.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from statistics import median

from django.db.models import DurationField, ExpressionWrapper, F, Subquery

from jobs.models import Job

LAST_SUCCESSES = 5
_MOST_AT_ONCE = 500
_LASTED = ExpressionWrapper(F("completed_at") - F("started_at"), output_field=DurationField())


def typical_seconds(jobs: Iterable[Job]) -> dict[int, float]:
    """Primary key -> typical duration; jobs whose action has not succeeded yet are left out.

    One query, or one for every 500 different actions.
    """
    jobs = list(jobs)
    standing_for = {(job.workspace, job.action): job.pk for job in jobs}
    pks = list(standing_for.values())
    found: dict[tuple[str, str], float] = {}
    for start in range(0, len(pks), _MOST_AT_ONCE):
        lasted = _last_successes(pks[start : start + _MOST_AT_ONCE])
        found |= {action: median(seconds) for action, seconds in lasted.items()}
    typical = {job.pk: found.get((job.workspace, job.action)) for job in jobs}
    return {pk: seconds for pk, seconds in typical.items() if seconds is not None}


def longest_seconds(standing_for: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], float]:
    """Workspace and action -> the longest of its last successes; actions that have not succeeded yet are left out.

    `standing_for`: the primary key of any job of each. One query for every 500.
    """
    pks, found = list(standing_for.values()), {}
    for start in range(0, len(pks), _MOST_AT_ONCE):
        lasted = _last_successes(pks[start : start + _MOST_AT_ONCE])
        found |= {action: max(seconds) for action, seconds in lasted.items()}
    return found


def _last_successes(pks: list[int]) -> dict[tuple[str, str], list[float]]:
    lasted = Job.objects.successes_of_outer_action().annotate(lasted=_LASTED).values("lasted")
    columns = {f"success_{place}": Subquery(lasted[place : place + 1]) for place in range(LAST_SUCCESSES)}
    rows = Job.objects.filter(pk__in=pks).order_by().annotate(**columns)
    found = {}
    for workspace, action, *durations in rows.values_list("workspace", "action", *columns):
        seconds = [max(each, timedelta()).total_seconds() for each in durations if each is not None]
        if seconds:
            found[workspace, action] = seconds
    return found
