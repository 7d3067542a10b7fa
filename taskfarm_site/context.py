"""What every template knows of the farm."""

from django.http import HttpRequest

from taskfarm_site import __version__


def farm(request: HttpRequest) -> dict[str, str]:
    """The farm's version, for the foot of the page."""
    return {"farm_version": __version__}
