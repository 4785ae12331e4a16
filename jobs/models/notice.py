"""What operators have to be told outside the pages, each thing once: a row for each, with what became of it.

What happens (a job failed) is told once for ever. What lasts (a disk is full) is told when it begins, and again only if
it begins anew after it was gone for a while, so that a disk at its limit does not write a letter a minute.
"""

from collections.abc import Iterable
from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone

# So long has a trouble to be away before its return is news.
GONE_AFTER = timedelta(minutes=30)
# What could not be told for so long is not told any more.
STALE_AFTER = timedelta(days=1)
CHANNELS = ("email", "webhook")


class NoticeQuerySet(models.QuerySet):
    def add(self, notices: "Iterable[Notice]") -> None:
        """Those that are not there yet; of something that lasts, also note that it was seen again."""
        notices = list(notices)
        lasting = [notice.key for notice in notices if notice.lasts]
        self.filter(key__in=lasting, gone_at=None).update(seen_at=timezone.now())
        self.bulk_create(notices, ignore_conflicts=True)

    def end_what_is_gone(self) -> None:
        now = timezone.now()
        self.filter(lasts=True, gone_at=None, seen_at__lt=now - GONE_AFTER).update(gone_at=now)

    def untold(self, channel: str) -> "NoticeQuerySet":
        """The oldest first."""
        told = {f"{channel}_at": None, f"wants_{channel}": True, "at__gt": timezone.now() - STALE_AFTER}
        return self.filter(**told).order_by("pk")

    def mark_told(self, channel: str) -> int:
        return self.update(**{f"{channel}_at": timezone.now()})


class Notice(models.Model):
    kind = models.CharField(max_length=16)
    key = models.CharField(max_length=255, help_text="what it is about")
    lasts = models.BooleanField(default=False)
    text = models.CharField(max_length=500)
    path = models.CharField(max_length=512, blank=True, help_text="the page about it, below the dashboard's address")
    at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)
    gone_at = models.DateTimeField(null=True, blank=True)
    wants_email = models.BooleanField(default=False)
    email_at = models.DateTimeField(null=True, blank=True)
    wants_webhook = models.BooleanField(default=False)
    webhook_at = models.DateTimeField(null=True, blank=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        indexes = (
            models.Index(fields=["id"], name="notice_email", condition=Q(wants_email=True, email_at=None)),
            models.Index(fields=["id"], name="notice_webhook", condition=Q(wants_webhook=True, webhook_at=None)),
            models.Index(fields=["at"], name="notice_by_time"),
        )
        constraints = (
            models.UniqueConstraint(fields=["key"], condition=Q(gone_at=None), name="notice_once"),
            models.CheckConstraint(condition=Q(lasts=True) | Q(gone_at=None), name="notice_only_what_lasts_is_gone"),
        )

    def __str__(self) -> str:
        return self.text
