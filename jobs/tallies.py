"""How far requests are: of each, how many jobs of which kind, for bars of progress. One query for all of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Count

from jobs.models import Job
from jobs.models.job_list import ACTIVE_KINDS, KIND_OF
from jobs.models.request_history import URGENCY
from jobs.states import StatusCode

# In a bar from left to right.
_ORDER = ("succeeded", "failed", "stopped", "running", "waiting")
_WORDS = {"stopped": "cancelled or not run"}


@dataclass
class Tally:
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_ORDER, 0))

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        return sum(number for kind, number in self.counts.items() if kind not in ACTIVE_KINDS)

    @property
    def is_active(self) -> bool:
        return self.done < self.total

    @property
    def worst(self) -> str:
        """The kind that the whole request looks like; of a request without jobs nothing is decided."""
        return next((kind for kind in URGENCY if self.counts[kind]), "waiting")

    @property
    def parts(self) -> list[tuple[str, float, float]]:
        """Kind, where it begins and how wide it is, in hundredths of the bar."""
        found, start = [], 0.0
        for kind in _ORDER:
            if width := 100 * self.counts[kind] / (self.total or 1):
                found.append((kind, round(start, 2), round(width, 2)))
                start += width
        return found

    @property
    def in_words(self) -> str:
        """ "1 failed, 2 running, 3 succeeded" """
        said = (f"{self.counts[kind]} {_WORDS.get(kind, kind)}" for kind in URGENCY if self.counts[kind])
        return ", ".join(said) or "no jobs"


def tallies(request_pks: Iterable[int]) -> dict[int, Tally]:
    found = {pk: Tally() for pk in request_pks}
    jobs = Job.objects.filter(request__in=list(found)).order_by()
    for pk, code, number in jobs.values_list("request_id", "status_code").annotate(number=Count("pk")):
        found[pk].counts[KIND_OF[StatusCode(code)]] += number
    return found
