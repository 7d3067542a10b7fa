"""What every template knows of the farm."""

from django.conf import settings
from django.http import HttpRequest

from taskfarm_site import __version__


def farm(request: HttpRequest) -> dict[str, str]:
    """The farm's version, for the foot of pages, and the time zone in which they tell times."""
    return {"farm_version": __version__, "farm_zone": settings.TIME_ZONE}
