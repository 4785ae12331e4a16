"""A file that a succeeded job left in the workspace's storage."""

from django.db import models
from django.db.models import Q

from jobs.levels import PRIVACY_LEVELS


class JobOutputQuerySet(models.QuerySet):
    def current(self) -> "JobOutputQuerySet":
        """Rows whose file is the one in storage now."""
        return self.filter(is_current=True)

    def inputs_for(self, workspace: str, actions) -> "JobOutputQuerySet":
        """The outputs that a job needing these actions is given."""
        return self.current().filter(job__workspace=workspace, job__action__in=actions)

    def replaced_by(self, job, paths, *, same_action: bool = True) -> int:
        """Take currency from what stood at the paths and, with `same_action`, from the other outputs of the action."""
        others = self.current().filter(job__workspace=job.workspace).exclude(job=job)
        earlier = others.filter(job__action=job.action).update(is_current=False) if same_action else 0
        chunks = [paths[start : start + 500] for start in range(0, len(paths), 500)]
        return earlier + sum(others.filter(path__in=chunk).update(is_current=False) for chunk in chunks)


class JobOutput(models.Model):
    """`path` is relative to the workspace, with bytes that no text can hold written as escapes (`runner.outputs`)."""

    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="outputs")
    path = models.CharField(max_length=4096)
    level = models.CharField(max_length=32, choices=[(level, level) for level in PRIVACY_LEVELS])
    size = models.BigIntegerField(help_text="bytes")
    modified_ns = models.BigIntegerField(help_text="mtime of the stored file, nanoseconds since 1970")
    content_hash = models.CharField(max_length=64, help_text="sha256, hexadecimal")
    row_count = models.BigIntegerField(null=True, blank=True)
    col_count = models.BigIntegerField(null=True, blank=True)
    # The disclosure check's word on a moderately sensitive output: which rule decided, and why it was excluded.
    rule = models.CharField(max_length=32, blank=True)
    excluded = models.BooleanField(default=False)
    message = models.TextField(blank=True)
    # False once another job has replaced the file, or the action no longer makes it (the file itself stays).
    is_current = models.BooleanField(default=True)

    objects = JobOutputQuerySet.as_manager()

    class Meta:
        ordering = ("job", "path")
        # What is in storage now is little beside what ever was.
        indexes = (models.Index(fields=["job", "path"], name="output_in_storage", condition=Q(is_current=True)),)
        constraints = (
            models.UniqueConstraint(fields=["job", "path"], name="output_once_per_job"),
            models.CheckConstraint(condition=Q(level__in=PRIVACY_LEVELS), name="output_level_is_known"),
            models.CheckConstraint(condition=Q(size__gte=0), name="output_size_not_negative"),
        )

    def __str__(self) -> str:
        return f"{self.path} ({self.level})"
