"""The project as an application: it brings the system checks."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    """Registers the system checks."""

    name = "taskfarm_site"
    verbose_name = "Taskfarm"

    def ready(self) -> None:
        """Register the checks."""
        from taskfarm_site import checks  # noqa: F401
