"""Django's entry for this package. The only client of the job-server."""

from django.apps import AppConfig
from django.conf import settings


class SyncConfig(AppConfig):
    name = "sync"

    def ready(self) -> None:
        from jobs import doctor, notices  # they need models

        doctor.register("job-server", "sync.examining.examine_job_server")
        notices.register(notices.Channel("webhook", lambda: bool(settings.NOTIFY_WEBHOOK_URL), "sync.webhook.tell"))
