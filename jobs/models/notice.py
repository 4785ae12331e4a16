"""What operators have to be told outside the pages, each thing once: a row for each, with what became of it.

What happens (a job failed) is told once for ever. What lasts (a disk is full) is told when it begins, and again only if
it begins anew after it was gone for a while, so that a disk at its limit does not write a letter a minute.
"""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

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
        notices, batch = list(notices), secrets.token_hex(8)
        for notice in notices:
            notice.batch = batch
        lasting = [notice.key for notice in notices if notice.lasts]
        self.filter(key__in=lasting, gone_at=None).update(seen_at=timezone.now())
        self.bulk_create(notices, ignore_conflicts=True)

    def end_what_is_gone(self) -> None:
        now = timezone.now()
        self.filter(lasts=True, gone_at=None, seen_at__lt=now - GONE_AFTER).update(gone_at=now)

    def untold(self, channel: str) -> "NoticeQuerySet":
        """The oldest first. What is old news is left out, unless it lasts."""
        is_news = Q(at__gt=timezone.now() - STALE_AFTER) | Q(lasts=True, gone_at=None)
        return self.filter(is_news, **{f"{channel}_at": None, f"wants_{channel}": True}).order_by("pk")

    def first_batch(self, most: int) -> "list[Notice]":
        """What was found together with the first of them: the same again, should telling it be cut off."""
        first = self.first()
        return list(self.filter(batch=first.batch)[:most]) if first else []

    def old(self, moment: datetime) -> "NoticeQuerySet":
        """What lasts is kept, or it would be news again."""
        return self.filter(at__lt=moment).exclude(lasts=True, gone_at=None)

    def mark_told(self, channel: str) -> int:
        return self.update(**{f"{channel}_at": timezone.now()})


class Notice(models.Model):
    kind = models.CharField(max_length=16)
    key = models.CharField(max_length=255, help_text="what it is about")
    lasts = models.BooleanField(default=False)
    text = models.CharField(max_length=500)
    path = models.CharField(max_length=512, blank=True, help_text="the page about it, below the dashboard's address")
    batch = models.CharField(max_length=32, blank=True, help_text="what was found together is told together")
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

    @property
    def words(self) -> str:
        return f"{self.text} (over by now)" if self.gone_at else self.text
