"""The farm's health, for staff."""

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from runs import health
from runs.pages.page import farm_page, page

LONG = 300
"""Seconds after which a snapshot that somebody holds is worth a word: vacuum waits for it."""
SWEPT = 600
"""Seconds without a sweep after which that is worth a word, where workers are about."""
SLOW = 5
"""Seconds that no sweep should take: the next one is due then."""


@farm_page
@require_safe
def show_health(request: HttpRequest) -> HttpResponse:
    """Sizes, dead rows, snapshots, sweeps, stuck runs, versions."""
    if not request.user.is_staff:
        raise Http404("There is nothing at this address.")
    found = health.look()
    sweeps = found.sweeps
    quiet = (timezone.now() - sweeps.began).total_seconds() if sweeps else None
    context = {
        "health": found,
        "held_up": found.oldest is not None and found.oldest > LONG,
        "unswept": quiet is not None and quiet > SWEPT,
        "slow_sweep": sweeps is not None and (sweeps.last_seconds or 0) > SLOW,
    }
    return page(request, "runs/health.html", context)
