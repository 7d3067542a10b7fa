"""What every template knows of the farm."""

from django.conf import settings
from django.http import HttpRequest

from taskfarm_site import __version__


def farm(request: HttpRequest) -> dict[str, str | None]:
    """What every page tells beside its content.

    The farm's version, for its foot; the time zone in which it tells times; and whose it is, for
    its script, to which ``middleware.Authentication`` tells by a cookie who is logged in.
    """
    user = getattr(request, "user", None)
    whose = str(user.pk or "") if user else None
    request.shown_to = whose  # type: ignore[attr-defined]
    return {"farm_version": __version__, "farm_zone": settings.TIME_ZONE, "farm_whose": whose}
