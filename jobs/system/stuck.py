"""What does not go on by itself, or has not for too long, and what an operator can do about it: short lists."""

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from jobs.models import Delivery, Job, JobRequest

MOST = 10
LONGEST_UNANSWERED = timedelta(minutes=1)
# The runner touches running jobs each minute.
LONGEST_UNTOUCHED = timedelta(minutes=5)


@dataclass(frozen=True)
class Stuck:
    """Rows of each kind, MOST at most."""

    requests: list[JobRequest]
    deliveries: list[Delivery]
    unanswered: list[Job]
    untouched: list[Job]
    retriable: list[Job]

    def __bool__(self) -> bool:
        return any((self.requests, self.deliveries, self.unanswered, self.untouched, self.retriable))


def stuck() -> Stuck:
    """Five queries, each answered by an index."""
    now = timezone.now()
    return Stuck(
        list(JobRequest.objects.waiting()[:MOST]),
        list(Delivery.objects.failing().select_related("request").order_by("failing_since")[:MOST]),
        list(Job.objects.stop_requested_before(now - LONGEST_UNANSWERED).order_by("pk")[:MOST]),
        list(Job.objects.executing().untouched_since(now - LONGEST_UNTOUCHED).order_by("pk")[:MOST]),
        list(Job.objects.retriable().order_by("-pk")[:MOST]),
    )
