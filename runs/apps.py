"""The application that keeps the farm."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    """Runs, tasks, workers."""

    name = "runs"
    verbose_name = "Task farm"
