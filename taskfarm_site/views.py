"""The front door, and the pages for errors that no other view answers."""

import sys

from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from runs.api.errors import RETRY_AFTER, will_pass
from taskfarm_site import __version__
from taskfarm_site.databases import no_table
from taskfarm_site.middleware import DOCS

STATUS_CODES = {400: "bad_request", 403: "forbidden", 404: "not_found", 500: "server_error"}


def index(request: HttpRequest) -> HttpResponseBase:
    """Say what this is and lead on: programs to the API, people to their runs."""
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        return JsonResponse(about(request))
    if request.user.is_authenticated:
        return redirect("run-list")
    return render(request, "index.html")


def about(request: HttpRequest) -> dict[str, str]:
    """What this server is, for a program."""
    return {
        "name": "taskfarm",
        "version": __version__,
        "description": "Hands numbered tasks to workers and keeps the state of every one of them.",
        "api": request.build_absolute_uri("/api/"),
        "documentation": request.build_absolute_uri(reverse("api-docs")),
        "schema": request.build_absolute_uri(reverse("api-schema")),
    }


def failure(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """An error as JSON under ``/api/``, as a page elsewhere."""
    if request.path.startswith("/api/"):
        return JsonResponse({"detail": detail, "code": STATUS_CODES[status]}, status=status)
    return render(request, f"{status}.html", {"detail": detail}, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: Django itself could not make sense of the request."""
    return failure(request, 400, "The request could not be understood.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403: not allowed."""
    return failure(request, 403, "You may not do this.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: no such address."""
    return failure(request, 404, "There is nothing at this address.")


AWAY = "The farm's database cannot be reached now, or takes no changes."


def server_error(request: HttpRequest) -> HttpResponse:
    """500: a bug; 503 where it is the database's trouble. So no query is made here."""
    detail = "The server failed. This is a bug; its log says more."
    if request.path.startswith("/api/") and request.path != DOCS:
        return JsonResponse({"detail": detail, "code": "server_error"}, status=500)
    if trouble := trouble_of_database(sys.exception()):
        return unavailable(request, trouble)
    return render(None, "500.html", {"detail": detail}, status=500)


def trouble_of_database(error: BaseException | None) -> str | None:
    """What is wrong with the database, for people; None where it is not the database."""
    if not isinstance(error, Error):
        return None
    if told := no_table(error):
        return told
    # SQLite's word for a statement that it does not understand: that is a bug.
    senseless = getattr(error.__cause__, "sqlite_errorname", None) == "SQLITE_ERROR"
    return AWAY if will_pass(error) and not senseless else None


def unavailable(request: HttpRequest, detail: str) -> HttpResponse:
    """503, with what to do."""
    context = {"detail": detail, "asked": request.method not in ("GET", "HEAD")}
    response = render(None, "503.html", context, status=503)
    response.headers["Retry-After"] = str(RETRY_AFTER)
    response.headers["Cache-Control"] = "no-store"
    return response
