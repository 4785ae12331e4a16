"""Django's entry for this package. What a job is: models, project files, planning, git."""

from django.apps import AppConfig
from django.core.checks import Tags, register

from jobs.checks import addresses_are_told_apart, database_is_not_lost, static_files_are_collected


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        register(static_files_are_collected, deploy=True)
        register(addresses_are_told_apart, deploy=True)
        register(database_is_not_lost, Tags.database)
