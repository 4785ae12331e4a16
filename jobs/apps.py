"""Django's entry for this package. What a job is: models, project files, planning, git."""

from django.apps import AppConfig
from django.core.checks import Tags, register

from jobs.checks import (
    addresses_are_told_apart,
    database_is_not_lost,
    secrets_are_nobody_elses,
    settings_are_spelt_right,
    static_files_are_collected,
)


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        from jobs import chores, doctor, notices  # they need models
        from jobs.chores.table import CHORES
        from jobs.notices.email import is_set_up

        register(static_files_are_collected, deploy=True)
        register(addresses_are_told_apart, deploy=True)
        register(secrets_are_nobody_elses, deploy=True)
        register(settings_are_spelt_right, deploy=True)
        register(database_is_not_lost, Tags.database)
        doctor.register("database", "jobs.doctor.database.examine_database")
        doctor.register("places", "jobs.doctor.places.examine_places")
        doctor.register("git", "jobs.doctor.sources.examine_sources")
        doctor.register("chores", "jobs.doctor.beside.examine_chores")
        doctor.register("notices", "jobs.doctor.beside.examine_notices")
        chores.register(*CHORES)
        notices.register(notices.Channel("email", is_set_up, "jobs.notices.email.tell"))
