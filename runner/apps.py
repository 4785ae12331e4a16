"""Django's entry for this package. The loop that drives jobs through their containers."""

from django.apps import AppConfig


class RunnerConfig(AppConfig):
    name = "runner"

    def ready(self) -> None:
        from jobs import chores, doctor  # they need models
        from runner.chores.table import CHORES

        doctor.register("docker", "runner.examining.examine_engine")
        doctor.register("runner", "runner.examining.examine_runner")
        chores.register(*CHORES)
