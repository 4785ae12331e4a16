"""Who did what to what, when, from where and why. Rows are only ever added: the database refuses the rest."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db import models
from django.utils import timezone


@dataclass(frozen=True)
class Who:
    """A person, or a process, and the way that it came: `via` is one of AuditEntry.Via, `address` an IP or empty."""

    name: str
    via: str
    address: str = ""


class AuditEntryQuerySet(models.QuerySet):
    def about(self, kind: str, identifier: str) -> "AuditEntryQuerySet":
        return self.filter(object_kind=kind, object_id=identifier)

    def narrowed(
        self,
        *,
        actor: str = "",
        verb: str = "",
        kind: str = "",
        object: str = "",
        since: date | None = None,
        until: date | None = None,
    ) -> "AuditEntryQuerySet":
        """Those that fit all that is named; the days are whole days in UTC, both included."""
        named = {"actor": actor, "verb": verb, "object_kind": kind, "object_id": object}
        found = self.filter(**{column: value for column, value in named.items() if value})
        # Rows are found in the order of their keys, so a time is turned into a key first: the index of times would
        # have to be sorted. (A clock that was set back can move a row to the other side of midnight.)
        if since:
            first = AuditEntry.objects.filter(at__gte=_midnight(since)).order_by("at", "pk")
            found = found.filter(pk__gte=first.values_list("pk", flat=True).first() or _BEYOND)
        if until and until < date.max:
            last = AuditEntry.objects.filter(at__lt=_midnight(until + timedelta(days=1))).order_by("-at", "-pk")
            found = found.filter(pk__lte=last.values_list("pk", flat=True).first() or 0)
        return found

    def older_than(self, pk: int | None) -> "AuditEntryQuerySet":
        """The newest first; a page begins where the one before has ended."""
        return self.order_by("-pk") if pk is None else self.filter(pk__lt=pk).order_by("-pk")


_BEYOND = 2**62


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)


class AuditEntry(models.Model):
    """One act of one person on one thing. `before` and `after` are short texts, as people read them."""

    # For people who look for something: what there mostly is.
    VERBS = (
        *("cancel", "kill", "clear", "retry", "rerun", "refuse", "tell again", "switch", "export", "view log"),
        *("log in", "log out", "lock out", "lift", "new password", "add", "change", "delete", "make token", "revoke"),
        *("download", "remove", "release", "snapshot", "update", "chore"),
    )
    KINDS = (
        *("job", "request", "delivery", "flag", "user", "token", "view", "audit", "log-in count"),
        *("container", "folder", "staged outputs", "outputs", "database", "image", "chore"),
    )

    class Via(models.TextChoices):
        DASHBOARD = "dashboard"
        ADMIN = "admin"
        API = "api"
        COMMAND = "command"
        RUNNER = "runner"

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.CharField(max_length=255)
    address = models.CharField(max_length=64, blank=True)
    via = models.CharField(max_length=16, choices=Via)
    verb = models.CharField(max_length=32, help_text="cancel, kill, retry, rerun, switch, refuse, log in, …")
    object_kind = models.CharField(max_length=32, blank=True, help_text="job, request, flag, user, token, …")
    object_id = models.CharField(max_length=255, blank=True)
    label = models.CharField(max_length=512, blank=True, help_text="what people call the object")
    before = models.TextField(blank=True)
    after = models.TextField(blank=True)
    reason = models.TextField(blank=True)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        verbose_name_plural = "audit entries"
        indexes = (
            models.Index(fields=["actor", "-id"], name="audit_by_actor"),
            models.Index(fields=["object_kind", "object_id", "-id"], name="audit_by_object"),
            models.Index(fields=["verb", "-id"], name="audit_by_verb"),
            models.Index(fields=["object_kind", "-id"], name="audit_by_kind"),
        )
        constraints = (
            models.CheckConstraint(condition=~models.Q(actor="") & ~models.Q(verb=""), name="audit_says_who_and_what"),
        )

    def __str__(self) -> str:
        return f"{self.actor}: {self.verb} {self.object_kind} {self.object_id}"

    @classmethod
    def entry(cls, who: Who, verb: str, **columns: str) -> "AuditEntry":
        """A row that is not stored yet, for many at once."""
        return cls(actor=who.name, via=cls.Via(who.via), address=who.address, verb=verb, **columns)

    @classmethod
    def note(cls, who: Who, verb: str, **columns: str) -> None:
        cls.entry(who, verb, **columns).save(force_insert=True)

    @classmethod
    def note_many(cls, entries: Iterable["AuditEntry"]) -> None:
        cls.objects.bulk_create(entries, batch_size=500)
