"""Django's entry for this package. The loop that drives jobs through their containers."""

from django.apps import AppConfig


class RunnerConfig(AppConfig):
    name = "runner"
