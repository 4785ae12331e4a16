"""A JobRequest: somebody asked for some actions of one study at one commit."""

import base64
import secrets

from django.db import models
from django.utils import timezone


def new_identifier() -> str:
    """16 characters of a-z2-7, the form that today's job-server gives its own requests."""
    return base64.b32encode(secrets.token_bytes(10)).decode("ascii").lower()


class JobRequest(models.Model):
    """Everything that either protocol carries (wire contract §1.2, §2.3); `original` keeps what came in, for audit."""

    class Source(models.TextChoices):
        LOCAL = "local", "manage.py add_job"
        POLLING = "polling", "polled from the job-server"
        RAP_API = "rap_api", "sent by the job-server"

    identifier = models.CharField(max_length=64, unique=True, default=new_identifier)
    source = models.CharField(max_length=16, choices=Source, default=Source.LOCAL)
    backend = models.CharField(max_length=64)
    workspace = models.CharField(max_length=128)
    repo_url = models.CharField(max_length=1024)
    branch = models.CharField(max_length=255, blank=True)
    commit = models.CharField(max_length=40)
    requested_actions = models.JSONField(default=list)
    cancelled_actions = models.JSONField(default=list, blank=True)
    # Every action of the study at the commit, so that the manifest can tell which outputs no action makes any more.
    study_actions = models.JSONField(default=list, blank=True)
    database_name = models.CharField(max_length=64, default="default")
    force_run_dependencies = models.BooleanField(default=False)
    codelists_ok = models.BooleanField(default=True)
    created_by = models.CharField(max_length=255, blank=True)
    project = models.CharField(max_length=255, blank=True)
    orgs = models.JSONField(default=list, blank=True)
    analysis_scope = models.JSONField(default=dict, blank=True)
    original = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    received_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.identifier} ({self.workspace}: {', '.join(map(str, self.requested_actions))})"
