"""Django's entry for this package. The only client of the job-server."""

from django.apps import AppConfig


class SyncConfig(AppConfig):
    name = "sync"
