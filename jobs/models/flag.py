"""What operators have switched (paused, database maintenance, reboot) and what the processes say of themselves."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone

# Three times as long as a runner takes from one sign of life to the next.
FRESH = timedelta(seconds=15)
# Clocks of machines that share a database may differ so much.
MOST_AHEAD = timedelta(minutes=1)


def is_recent(at: datetime, most_age: timedelta) -> bool:
    """Whether it was so long ago at most.

    A time that lies ahead was written before somebody set the clock back. Nobody knows its age, so it counts as old:
    otherwise what died at that time would pass for alive until the clock has caught up.
    """
    return -MOST_AHEAD <= timezone.now() - at <= most_age


class FlagQuerySet(models.QuerySet):
    def counting(self) -> "FlagQuerySet":
        """The rows that count now: of each name the newest, be it on or off. One that has expired is off: no row."""
        newest = self.order_by().values("name").annotate(newest=models.Max("pk")).values("newest")
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), pk__in=newest)

    def current(self) -> dict[str, "Flag"]:
        """Name -> the row that counts now, for every name that was ever set and has not expired. One query."""
        return {flag.name: flag for flag in self.counting()}


class Flag(models.Model):
    """One setting of one switch. Rows are only ever added: the newest one counts, the older ones are the history."""

    class Name(models.TextChoices):
        PAUSED = "paused"
        DB_MAINTENANCE = "db-maintenance"
        REBOOT = "reboot"

    # The value of what was switched by what the database itself says, as a job-server knows it; else a value is "on".
    SCHEDULED = "scheduled"

    name = models.CharField(max_length=32, choices=Name)
    value = models.CharField(max_length=255, blank=True, help_text="empty means off")
    set_by = models.CharField(max_length=255)
    reason = models.TextField()
    set_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True, help_text="of a reboot: when running jobs are stopped")

    objects = FlagQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        indexes = (models.Index(fields=["name", "-id"], name="flag_newest"),)
        constraints = (
            models.CheckConstraint(condition=~Q(set_by="") & ~Q(reason=""), name="flag_says_who_and_why"),
            models.CheckConstraint(
                condition=Q(due_at=None) | Q(name="reboot") & ~Q(value=""), name="flag_due_is_a_planned_reboot"
            ),
        )

    def __str__(self) -> str:
        return f"{self.name}={self.value or 'off'}"

    @property
    def has_come(self) -> bool:
        """False while a reboot is only planned for later."""
        return self.due_at is None or self.due_at <= timezone.now()

    @classmethod
    def switch(
        cls,
        name: str,
        value: str,
        *,
        by: str,
        reason: str,
        until: datetime | None = None,
        due: datetime | None = None,
    ) -> "Flag":
        """Set a flag (an empty value switches it off); `until` is an aware time at which it lapses by itself.

        A reboot may be `due` later; after it the runner switches such a flag off by itself.
        """
        return cls.objects.create(
            name=cls.Name(name), value=value, set_by=by, reason=reason, expires_at=until, due_at=due
        )


class Heartbeat(models.Model):
    """When a long-running part was last alive, and what it has to say; one row a part, overwritten."""

    name = models.CharField(max_length=64, primary_key=True)
    at = models.DateTimeField()
    detail = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.name} at {self.at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    def is_fresh(cls, name: str) -> bool:
        """Whether the part has shown a moment ago that it lives."""
        beat = cls.objects.filter(name=name).first()
        return beat is not None and is_recent(beat.at, FRESH)

    @classmethod
    def beat(cls, name: str, **detail) -> None:
        cls.objects.update_or_create(name=name, defaults={"at": timezone.now(), "detail": detail})
