"""Containers that the engine does not answer about, so that the runner asks nothing more about them."""

from django.db import models
from django.db.models import Q
from django.utils import timezone


class Quarantine(models.Model):
    """One container. The runner makes the row and removes it; people ask for the release by the last columns."""

    name = models.CharField(max_length=128, unique=True, help_text="of the container")
    job = models.ForeignKey("jobs.Job", null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    since = models.DateTimeField(help_text="since when nothing could be learnt about it")
    last_error = models.TextField()
    # What people ask for
    release_requested_by = models.CharField(max_length=255, blank=True)
    release_requested_at = models.DateTimeField(null=True, blank=True)
    release_reason = models.TextField(blank=True)

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.CheckConstraint(
                condition=Q(release_requested_at=None) | (~Q(release_requested_by="") & ~Q(release_reason="")),
                name="quarantine_release_says_who_and_why",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def label(self) -> str:
        """What people call it: whose container it is."""
        return f"{self.job.workspace}: {self.job.action}" if self.job else ""

    @property
    def why_not_released(self) -> str:
        """Where `request_release` has asked for nothing."""
        by = self.release_requested_by
        return f"was asked for already, by {by}" if by else "is not in quarantine"

    def request_release(self, by: str, reason: str) -> bool:
        """Ask the runner to try the container again. False if somebody has, or if it has been let go meanwhile."""
        unasked = Quarantine.objects.filter(pk=self.pk, release_requested_at=None)
        asked = {"release_requested_by": by, "release_requested_at": timezone.now(), "release_reason": reason}
        return bool(unasked.update(**asked))
