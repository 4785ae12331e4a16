"""What the job-server has been told of each request that it was polled for, and what it has not heard yet.

Written by sync only, but for `reopen` and `tell_again`, which ask it to go on telling. Kept in the database, because a
final state that was not acknowledged must survive any restart, and so that pages can show what waits to be delivered.
"""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

if TYPE_CHECKING:
    from jobs.models.job import Job


class DeliveryQuerySet(models.QuerySet):
    def unsettled(self) -> "DeliveryQuerySet":
        """Planned requests whose final state the job-server has not acknowledged."""
        return self.filter(settled=False).exclude(request__outcome="waiting")

    def to_look_at(self) -> "DeliveryQuerySet":
        """Those that may have something to tell: unsettled, or still listed by the server although settled."""
        return self.filter(Q(settled=False) | Q(is_listed=True)).exclude(request__outcome="waiting")

    def mirroring(self) -> "DeliveryQuerySet":
        """Unsettled ones of requests whose actions other requests' jobs do: those jobs' changes are theirs as well."""
        return self.filter(settled=False, request__outcome="already_scheduled")

    def listed(self) -> "DeliveryQuerySet":
        return self.filter(is_listed=True)

    def begin(self, request_pks: list[int]) -> None:
        """These requests are listed for the first time."""
        self.bulk_create([Delivery(request_id=pk) for pk in request_pks], ignore_conflicts=True, batch_size=500)

    def revive(self, request_pks: list[int]) -> None:
        """These are listed again: whatever the server had acknowledged, it seems to have lost, so it is told again."""
        for chunk in _chunks(request_pks):
            self.filter(pk__in=chunk).update(is_listed=True, is_unknown=False, acknowledged="", settled=False)

    def unlist(self, request_pks: list[int]) -> None:
        for chunk in _chunks(request_pks):
            self.filter(pk__in=chunk).update(is_listed=False)

    def failing(self) -> "DeliveryQuerySet":
        return self.filter(settled=False, failures__gt=0)

    def acknowledge(self, request_pk: int, *, digest: str, is_final: bool, reopened: int, is_sure: bool = True) -> None:
        """The server has answered 200 to a state with this digest, as it was when `reopened` had that value.

        `is_sure`: no other copy of the post can still be on its way.
        """
        told_again = Case(When(acknowledged=digest, then=F("repeats") + 1), default=Value(0))
        # After an answer that got lost the server may still apply that older post: it is told once more, later.
        settles = Case(
            When(reopened=reopened, is_doubtful=False, then=Value(is_final and is_sure)), default=Value(False)
        )
        self.filter(pk=request_pk).update(
            repeats=told_again,
            settled=settles,
            acknowledged=digest,
            acknowledged_at=timezone.now(),
            is_doubtful=False,
            is_unknown=False,
            failures=0,
            failure="",
            failing_since=None,
        )

    def fail(self, request_pk: int, failure: str, *, is_doubtful: bool) -> None:
        """A post was not acknowledged; doubtful if the server may have taken it all the same."""
        doubt = {"is_doubtful": True} if is_doubtful else {}
        self.filter(pk=request_pk).update(
            failures=F("failures") + 1,
            failure=failure,
            failing_since=Coalesce("failing_since", Value(timezone.now(), output_field=models.DateTimeField())),
            **doubt,
        )

    def forget(self, request_pk: int, *, digest: str, is_final: bool) -> bool:
        """The server does not know the request: this state is not sent again, a new one is. False if it is listed."""
        columns = {"failures": 0, "failure": "", "failing_since": None}
        unlisted = self.filter(pk=request_pk, is_listed=False)
        return bool(unlisted.update(acknowledged=digest, is_unknown=True, settled=is_final, **columns))

    def tell_again(self) -> int:
        """Tell these as if the server had never acknowledged anything, for one that lost it. Returns how many."""
        return self.update(acknowledged="", settled=False, is_unknown=False, reopened=F("reopened") + 1)

    def reopen(self, request_pk: int) -> None:
        """A job of the request lives again."""
        self._reopen([request_pk])

    def reopen_for(self, job: "Job") -> None:
        """The job lives again: its request and those that have joined it have something new to tell."""
        place = {"request__backend": job.backend, "request__workspace": job.workspace}
        joining = self.filter(request__outcome="already_scheduled", **place).values_list("pk", "request__joined_jobs")
        self._reopen([job.request_id, *(pk for pk, joined in joining if job.identifier in joined)])

    def _reopen(self, request_pks: list[int]) -> None:
        for chunk in _chunks(request_pks):
            self.filter(pk__in=chunk).update(settled=False, reopened=F("reopened") + 1)


def _chunks(pks: list[int], size: int = 500) -> list[list[int]]:
    return [pks[start : start + size] for start in range(0, len(pks), size)]


class Delivery(models.Model):
    """One row for each request that a job-server has listed."""

    request = models.OneToOneField(
        "jobs.JobRequest", on_delete=models.CASCADE, primary_key=True, related_name="delivery"
    )
    is_listed = models.BooleanField(default=True)
    acknowledged = models.CharField(max_length=64, blank=True, help_text="digest of the state that it has acknowledged")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    settled = models.BooleanField(default=False, help_text="it has acknowledged the final state of every job")
    is_doubtful = models.BooleanField(default=False, help_text="an earlier post may still be on its way")
    is_unknown = models.BooleanField(default=False, help_text="it says that it does not know the request")
    reopened = models.PositiveIntegerField(default=0)
    repeats = models.PositiveIntegerField(default=0, help_text="how often the same state was acknowledged again")
    failures = models.PositiveIntegerField(default=0, help_text="in a row")
    failure = models.TextField(blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = (
            models.Index(fields=["request"], name="delivery_unsettled", condition=Q(settled=False)),
            models.Index(fields=["request"], name="delivery_listed", condition=Q(is_listed=True)),
        )

    def __str__(self) -> str:
        return f"{self.request_id}: {'settled' if self.settled else 'not settled'}"

    @property
    def is_told(self) -> bool:
        """Whether there is certainly nothing that the server has not acknowledged."""
        return self.settled and bool(self.acknowledged)
