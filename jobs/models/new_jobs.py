"""New jobs into the database, in as short a transaction as can be.

SQLite has one writer: whoever stores the jobs of a large study holds up everybody else's writes meanwhile. Most of what
`bulk_create` does, turning values into what the database takes, needs no database, so it is done before (`Draft`), and
the rows then go in by `executemany`: ten thousand jobs in a fifth of the time. What only the moment of storing can tell
(the request's key, how each job begins, the clock) is added then.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from django.db import connection, models
from django.utils import timezone

from jobs.models.job import Job
from jobs.models.request import JobRequest
from jobs.models.status_change import InvalidTransition, StatusChange
from jobs.states import FINAL_STATES, FIRST_CODES, state_of

_AT_LAST = (
    *("request", "status_code", "status_message", "state", "completed_at"),
    *("created_at", "updated_at", "status_changed_at"),
)
_BEFORE = [field for field in Job._meta.concrete_fields if not field.primary_key and field.name not in _AT_LAST]


class Beginning(NamedTuple):
    """How a new job's timeline begins: one of FIRST_CODES, with a sentence for the study's author."""

    code: str
    message: str


class Draft:
    """A job that is not stored yet, ready for the database but for what `_AT_LAST` names. Made outside transactions."""

    def __init__(self, job: Job):
        self.action: str = job.action
        self.needs: list[str] = job.needs
        self.requires_db: bool = job.requires_db
        self.values = [field.get_db_prep_save(getattr(job, field.attname), connection) for field in _BEFORE]


def store(
    request: JobRequest,
    new: Sequence[tuple[Draft, Beginning]],
    existing: Mapping[str, int],
    *,
    by: str,
) -> None:
    """Store the new jobs of a saved request in this order, what each waits for, and the first line of each timeline.

    `existing` are the primary keys of older jobs, by action, that new ones wait for. `by` is who asked. Call inside a
    transaction. Raises InvalidTransition for a job that would begin in the middle.
    """
    for draft, beginning in new:
        if beginning.code not in FIRST_CODES:
            raise InvalidTransition(f"job for action {draft.action}: a job cannot begin as {beginning.code}")
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    rows = ((*draft.values, request.pk, *beginning, *_state(beginning, now), now, now, now) for draft, beginning in new)
    _insert(Job, [*(field.name for field in _BEFORE), *_AT_LAST], rows)
    stored = dict(Job.objects.filter(request=request).values_list("action", "pk"))
    lines = ((stored[draft.action], "", *beginning, by, now, 1) for draft, beginning in new)
    _insert(StatusChange, ("job", "from_code", "to_code", "message", "actor", "at", "attempt"), lines)
    awaited = {**existing, **stored}
    links = ((stored[draft.action], awaited[needed]) for draft, _ in new for needed in draft.needs)
    _insert(Job.waits_for.through, ("from_job", "to_job"), links)


def _state(beginning: Beginning, now: object) -> tuple[str, object]:
    """The state that the code belongs to, and when the job was over if it was from the start."""
    state = state_of(beginning.code)
    return state.value, now if state in FINAL_STATES else None


def _insert(model: type[models.Model], names: Sequence[str], rows: Iterable[Sequence]) -> None:
    columns = ", ".join(connection.ops.quote_name(model._meta.get_field(name).column) for name in names)
    places = ", ".join(["%s"] * len(names))
    table = connection.ops.quote_name(model._meta.db_table)
    # Only names of our own tables and columns are put together here; every value is a parameter.
    statement = f"INSERT INTO {table} ({columns}) VALUES ({places})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.executemany(statement, list(rows))
