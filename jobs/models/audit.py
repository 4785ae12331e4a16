"""Who did what to what, when, from where and why. Rows are only ever added: the database refuses the rest."""

from collections.abc import Iterable
from dataclasses import dataclass

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


class AuditEntry(models.Model):
    """One act of one person on one thing. `before` and `after` are short texts, as people read them."""

    class Via(models.TextChoices):
        DASHBOARD = "dashboard"
        ADMIN = "admin"
        API = "api"
        COMMAND = "command"

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
