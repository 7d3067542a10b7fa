"""The edge where errors become HTTP: one shape, one table of statuses.

Every refusal under ``/api/`` is ``{"detail": "…", "code": "…"}``; bad input adds
``"errors": {field: [reasons]}``.
"""

import logging
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DatabaseError, Error, InterfaceError, OperationalError, connection
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from runs import errors

log = logging.getLogger(__name__)

STATUS: dict[type[errors.FarmError], int] = {
    errors.InvalidInput: 400,
    errors.TooLarge: 413,
    errors.NotFound: 404,
    errors.Conflict: 409,
}
RETRY_AFTER = 5
"""Seconds after which a client may ask again when the database is away."""
READ_ONLY = "25006"
"""PostgreSQL's read_only_sql_transaction."""
COMPACT = {"separators": (",", ":")}
"""How DRF writes JSON."""
UNAVAILABLE = "The database is not available now. Try again"
CUT_SHORT = {"restart": "a restart", "destroy": "a deletion", "cancel": "a cancellation"}
"""The calls that are more than one transaction: they may get half-way, and go on when repeated."""


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: the response to an error, or None for a bug (a 500)."""
    set_rollback()
    if isinstance(error, errors.FarmError):
        fields = error.fields if isinstance(error, errors.InvalidInput) else None
        return respond(status_of(error), error.detail, error.code, fields)
    if isinstance(error, Error) and will_pass(error):
        return unavailable(error, getattr(context.get("view"), "action", None))
    if isinstance(error, Http404):
        return respond(404, "There is nothing at this address.", "not_found")
    if isinstance(error, RequestDataTooBig):
        return respond(413, too_large(), "too_large")
    if isinstance(error, PermissionDenied):
        return respond(403, "You may not do this.", "permission_denied")
    if isinstance(error, exceptions.APIException):
        return refused(error)
    return None


def status_of(error: errors.FarmError) -> int:
    """The status of an error's class, or of the nearest class above it."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def respond(
    status: int, detail: str, code: str, fields: dict[str, list[str]] | None = None
) -> Response:
    """A refusal in the one shape."""
    body: dict[str, object] = {"detail": detail, "code": code}
    if fields:
        body["errors"] = fields
    return Response(body, status=status)


def will_pass(error: Error) -> bool:
    """Whether it is the database's trouble, not the statement's: it did nothing, and may later.

    PostgreSQL counts a statement that came while it takes no writes (a standby, or a farm that is
    being moved) among the internal errors. One whose server has died under it has no code at all.
    """
    code = getattr(error.__cause__, "pgcode", None)
    died = type(error) is DatabaseError and connection.vendor == "postgresql" and code is None
    return code == READ_ONLY or died or isinstance(error, OperationalError | InterfaceError)


def unavailable(error: Exception, call: str | None) -> Response:
    """The database is away, full, locked or read-only: the call may be sent again."""
    note_refusal(error)
    what = CUT_SHORT.get(call or "")
    goes_on = f"; {what} that was cut short then goes on where it stopped" if what else ""
    response = respond(503, f"{UNAVAILABLE}{goes_on}.", "unavailable")
    response["Retry-After"] = str(RETRY_AFTER)
    return response


def note_refusal(error: Exception) -> None:
    """Log what the database refused, and leave a connection that is broken."""
    log.error("The database refused: %s", error)
    connection.close_if_unusable_or_obsolete()


def plainly_unavailable(error: Exception) -> JsonResponse:
    """The same answer outside of DRF's views."""
    note_refusal(error)
    response = answer(503, f"{UNAVAILABLE}.", "unavailable")
    response["Retry-After"] = str(RETRY_AFTER)
    return response


def refused(error: exceptions.APIException) -> Response:
    """What the framework refuses: bad input, wrong credentials, methods, media types."""
    if isinstance(error, exceptions.ValidationError):
        fields = flatten(error.detail)
        return respond(error.status_code, in_words(fields), "invalid", fields)
    code = error.get_codes()
    response = respond(
        error.status_code, str(error.detail), code if isinstance(code, str) else error.default_code
    )
    if header := getattr(error, "auth_header", None):
        response["WWW-Authenticate"] = header
    if wait := getattr(error, "wait", None):
        response["Retry-After"] = str(int(wait))
    return response


def in_words(fields: dict[str, list[str]]) -> str:
    """The reasons by field as one sentence for people."""
    return "; ".join(f"{name}: {' '.join(reasons)}" for name, reasons in fields.items())


def too_large() -> str:
    """The sentence for a body above the limit; it was not read."""
    return f"The body is too large: this farm takes {settings.TASKFARM_MAX_BODY} bytes at most."


def flatten(detail: Any) -> dict[str, list[str]]:
    """DRF's nested reasons as field → list of sentences."""
    if not isinstance(detail, dict):
        return {"body": sentences(detail)}
    return {str(name): sentences(reasons) for name, reasons in detail.items()}


def sentences(reasons: Any) -> list[str]:
    """The reasons for one field; those within it name their place: ``item 2: Must be …``."""
    if isinstance(reasons, dict):
        return [
            f"{place(name)}: {sentence}"
            for name, inner in reasons.items()
            for sentence in sentences(inner)
        ]
    if isinstance(reasons, list | tuple):
        return [sentence for inner in reasons for sentence in sentences(inner)]
    return [str(reasons)]


def place(name: Any) -> str:
    """Where in a field: the items of a list are counted from 1."""
    return f"item {name + 1}" if isinstance(name, int) else str(name)


def answer(status: int, detail: str, code: str) -> JsonResponse:
    """The one shape outside of DRF's views: unknown addresses, failures of the server."""
    body = {"detail": detail, "code": code}
    return JsonResponse(body, status=status, json_dumps_params=COMPACT)


def unknown_address(request: HttpRequest, path: str = "") -> JsonResponse:
    """Answer for every address under ``/api/`` that is no call."""
    detail = f"There is no call {request.path[:200]!r}; GET /api/docs/ lists them."
    return answer(404, detail, "not_found")
