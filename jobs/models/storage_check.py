"""What the last look at a workspace's storage has found: one row a workspace, written by the runner's side."""

from collections.abc import Iterable
from datetime import timedelta

from django.db import models
from django.utils import timezone

MOST_FINDINGS = 20


class StorageCheckQuerySet(models.QuerySet):
    def due(self, names: Iterable[str], *, quick: timedelta, full: timedelta) -> list[tuple[str, bool]]:
        """Which workspaces to look at now, the longest unseen first, and whether to read their files. One query."""
        now, seen = timezone.now(), {check.workspace: check for check in self.all()}
        waiting = []
        for name in names:
            check = seen.get(name)
            if check is None or check.read_at is None or now - check.read_at > full:
                waiting.append((check.read_at.timestamp() if check and check.read_at else 0.0, name, True))
            elif now - check.at > quick:
                waiting.append((check.at.timestamp(), name, False))
        return [(name, reads) for _, name, reads in sorted(waiting)]

    def with_faults(self) -> "StorageCheckQuerySet":
        return self.filter(is_sound=False)

    def with_leaks(self) -> "StorageCheckQuerySet":
        """Leaks come first among the findings that are kept."""
        return self.filter(is_sound=False, findings__0__kind="leak")


class StorageCheck(models.Model):
    workspace = models.CharField(max_length=128, primary_key=True)
    at = models.DateTimeField(help_text="of the last look")
    read_at = models.DateTimeField(null=True, blank=True, help_text="when all files were last read")
    is_sound = models.BooleanField()
    files = models.PositiveBigIntegerField(default=0)
    number = models.PositiveIntegerField(default=0, help_text="of faults")
    findings = models.JSONField(default=list, blank=True, help_text="the worst of them: kind, storage, path, text")

    objects = StorageCheckQuerySet.as_manager()

    class Meta:
        ordering = ("workspace",)

    def __str__(self) -> str:
        return f"{self.workspace}: {'sound' if self.is_sound else f'{self.number} faults'}"

    @property
    def may_be_a_leak(self) -> bool:
        """Leaks come first among the findings that are kept."""
        return any(finding.get("kind") == "leak" for finding in self.findings)
