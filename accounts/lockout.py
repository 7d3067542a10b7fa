"""What happens after too many failed logins, and whose they are."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

DETAIL = "Too many failed logins for this user from this address: try again later."


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
    peer = str(request.META.get("REMOTE_ADDR") or "unix")
    chain = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    trusted = settings.PROXIES
    if trusted and len(chain) >= trusted and chain[-trusted]:
        return str(chain[-trusted])
    return peer
