"""How often somebody failed to sign in: what lock-outs are counted from (`jobs.people.lock_out`)."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q


class LogInCountQuerySet(models.QuerySet):
    def of(self, keys: list[tuple[str, str]]) -> dict[tuple[str, str], "LogInCount"]:
        """(name, address) -> its row, where there is one. One query."""
        wanted = Q()
        for name, address in keys:
            wanted |= Q(name=name, address=address)
        return {(row.name, row.address): row for row in self.filter(wanted)}

    def forget(self, now: datetime, *, failures_for: timedelta, successes_for: timedelta, most: int) -> None:
        """Remove what counts no more; and of strangers' rows, whose names anybody can make up, all but the newest."""
        strangers = self.filter(Q(succeeded_at=None) | Q(succeeded_at__lt=now - successes_for))
        strangers.filter(last_at__lt=now - failures_for).delete()
        if strangers.count() > most:
            too_old = strangers.order_by("-last_at").values_list("last_at", flat=True)[most // 2]
            strangers.filter(last_at__lt=too_old).delete()

    def lift(self, name: str) -> int:
        """Forget the failures of a name, wherever they came from. Returns how many rows counted any."""
        return self.filter(name=name, failures__gt=0).update(failures=0)


class LogInCount(models.Model):
    """Of a name at an address; with an empty address: of the name anywhere; with an empty name: of the address."""

    name = models.CharField(max_length=150, blank=True)
    address = models.CharField(max_length=64, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="in a row, or in all for a whole name or address")
    last_at = models.DateTimeField(db_index=True)
    succeeded_at = models.DateTimeField(null=True, blank=True)

    objects = LogInCountQuerySet.as_manager()

    class Meta:
        ordering = ("-last_at",)
        verbose_name = "count of log-ins"
        verbose_name_plural = "counts of log-ins"
        constraints = (models.UniqueConstraint(fields=["name", "address"], name="log_in_count_once"),)

    def __str__(self) -> str:
        return f"{self.name or 'any name'} from {self.address or 'anywhere'}: {self.failures}"
