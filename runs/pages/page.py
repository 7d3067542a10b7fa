"""What all pages share: who may see them, and one template for the page and its live regions."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.cache import patch_cache_control, patch_vary_headers

from runs import reports
from runs.errors import NotFound
from runs.models import Run

View = Callable[..., HttpResponseBase]
LIVE = "live"
"""The script that renews a page's live regions says so in ``X-Requested-With``."""


def farm_page(view: View) -> View:
    """A page for people who are logged in; what is not theirs to see is 404."""

    @login_required
    @wraps(view)
    def respond(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except NotFound as error:
            raise Http404(error.detail) from error

    return respond


def run_of(request: HttpRequest, uuid: str) -> Run:
    """The run of the address with its owner and group.

    Raises:
        RunNotFound: there is none that the user may see.
    """
    return reports.find_run(request.user, uuid)


def page(
    request: HttpRequest, template: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """Render a page; for the script that renews live regions without what surrounds them."""
    live = request.headers.get("X-Requested-With") == LIVE
    context = {"layout": "live.html" if live else "base.html", **context}
    response = render(request, template, context, status=status)
    patch_vary_headers(response, ["X-Requested-With"])
    patch_cache_control(response, private=True, no_cache=True)
    return response


def number(text: str | None, default: int) -> int:
    """A whole number from an address; ``default`` for what is none that a task could have."""
    if text and text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    return default
