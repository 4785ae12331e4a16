"""Jobs of a state or code for lists that people look at: cheap with any number of jobs, whatever it costs to write."""

from django.db.models import F, QuerySet, Value
from django.db.models.functions import Concat

from jobs.models.job import Job
from jobs.states import CODES_OF, State, StatusCode, state_of

ENDED = (State.SUCCEEDED, State.FAILED)
# Of the jobs that have ended a list by state shows so many.
MOST_ENDED = 1000


def with_code(jobs: QuerySet, code: StatusCode) -> QuerySet:
    """By state and code, which have an index together; the code alone has none."""
    return jobs.filter(state=state_of(code), status_code=code)


def with_state(jobs: QuerySet, state: State) -> QuerySet:
    """All jobs of the state, or the newest MOST_ENDED of those that have ended: too many to be sorted.

    The newest are found code by code, in the order of an index.
    """
    if state not in ENDED:
        return jobs.filter(state=state)
    of_codes = [with_code(Job.objects.all(), code) for code in CODES_OF[state]]
    newest = [pk for each in of_codes for pk in each.order_by("-pk").values_list("pk", flat=True)[:MOST_ENDED]]
    return jobs.filter(pk__in=sorted(newest)[-MOST_ENDED:])


def few_with_state(jobs: QuerySet, state: State) -> QuerySet:
    """Of few jobs those in the state: not through the index of states, which could lead to a million others."""
    return jobs.annotate(state_without_index=Concat(F("state"), Value(""))).filter(state_without_index=state.value)
