"""How much longer a request takes, and which chain of jobs decides it. Pure arithmetic over what others have read."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from jobs.models import Job


def seconds_left(jobs: Sequence[Job], needs: Mapping[int, Iterable[int]], typical: Mapping[int, float], now: datetime):
    """The longest chain of what is still to run, as if there were a worker for each; None if a duration is unknown."""
    active = {job.pk: job for job in jobs if job.is_active}
    if not active or any(pk not in typical for pk in active):
        return None
    left: dict[int, float] = {}
    for pk in _in_order(active, needs):
        job = active[pk]
        gone = (now - job.started_at).total_seconds() if job.started_at and job.has_begun else 0.0
        behind = max((left[need] for need in needs.get(pk, ()) if need in left), default=0.0)
        left[pk] = behind + max(0.0, typical[pk] - gone)
    return max(left.values(), default=None)


def deciding_chain(jobs: Sequence[Job], needs: Mapping[int, Iterable[int]], now: datetime) -> set[int]:
    """From the job that ended last back through the one that each waited for longest."""
    ends = {job.pk: job.completed_at or now for job in jobs if job.started_at}
    chain: set[int] = set()
    pk = max(ends, key=lambda each: (ends[each], each), default=None)
    while pk is not None and pk not in chain:
        chain.add(pk)
        pk = max(
            (need for need in needs.get(pk, ()) if need in ends), key=lambda each: (ends[each], each), default=None
        )
    return chain


def _in_order(active: Mapping[int, Job], needs: Mapping[int, Iterable[int]]) -> list[int]:
    """What is needed before what needs it; what waits in a circle, which no plan has, is left out."""
    missing = {pk: {need for need in needs.get(pk, ()) if need in active} for pk in active}
    later: dict[int, list[int]] = {}
    for pk, ends in missing.items():
        for need in ends:
            later.setdefault(need, []).append(pk)
    free = [pk for pk, ends in missing.items() if not ends]
    for pk in free:
        for after in later.get(pk, ()):
            missing[after].discard(pk)
            if not missing[after]:
                free.append(after)
    return free
