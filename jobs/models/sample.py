"""How much processor and memory a job's container used, sampled while it ran, for the job's page."""

from django.db import models


class ResourceSample(models.Model):
    """Rows are added by the runner, which also thins them out: of a long run there are some hundred, evenly spread."""

    job = models.ForeignKey("jobs.Job", on_delete=models.CASCADE, related_name="samples")
    attempt = models.PositiveIntegerField(default=1)
    at = models.DateTimeField()
    cpu_percent = models.FloatField(help_text="of one processor; 200 is two whole ones")
    memory_bytes = models.BigIntegerField(help_text="without the page cache")

    class Meta:
        ordering = ("pk",)
        indexes = (models.Index(fields=["job", "attempt", "id"], name="sample_of_attempt"),)

    def __str__(self) -> str:
        return f"{self.cpu_percent:.0f} %, {self.memory_bytes} bytes at {self.at:%Y-%m-%d %H:%M:%S}"
