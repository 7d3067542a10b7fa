"""What happens after too many failed logins, and whose they are."""

from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

DETAIL = "Too many failed logins for this user from this address: try again later."
LOCAL = "127.0.0.1"
"""Whose requests come through a Unix socket: they have no address, but are of this machine."""


def respond(
    request: HttpRequest,
    original: HttpResponse | None = None,
    credentials: dict[str, Any] | None = None,
) -> HttpResponse:
    """Answer a locked-out caller: JSON for the API, a page for a person; 429 for both."""
    minutes = int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)
    headers = {"Retry-After": str(minutes * 60)}
    if request.path.startswith("/api/"):
        body = {"detail": DETAIL, "code": "locked_out"}
        return JsonResponse(body, status=429, headers=headers)
    response = render(request, "accounts/locked.html", {"minutes": minutes}, status=429)
    response["Retry-After"] = headers["Retry-After"]
    return response


def client_address(request: HttpRequest) -> str:
    """The client's address: the peer's, or what the trusted proxies in front say.

    Each proxy appends the address that it was called from, so with ``TASKFARM_PROXIES=n`` the n-th
    from the right was written by a proxy of ours; anything left of it may be made up.
    """
    peer = address(request.META.get("REMOTE_ADDR", "")) or LOCAL
    chain = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    trusted = settings.PROXIES
    told = address(chain[-trusted]) if 0 < trusted <= len(chain) else None
    return told or peer


def address(text: str) -> str | None:
    """The IP address in this text, without the zone of a link-local one; None if it is none."""
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None
