"""Django's entry for this package. What a job is: models, project files, planning, git."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"
