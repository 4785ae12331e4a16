"""Django's entry for this package. The only client of the job-server."""

from django.apps import AppConfig


class SyncConfig(AppConfig):
    name = "sync"

    def ready(self) -> None:
        from jobs import doctor  # it needs models

        doctor.register("job-server", "sync.examining.examine_job_server")
