"""The error codes: the farm's from ``runs/errors.py``, the edge's from a table here."""

from runs import errors
from runs.api.errors import status_of

from .text import code, first_line, paragraphs, table

# What only the edge refuses: HTTP, credentials, the framework. The tests see that none is missing.
EDGE = (
    ("parse_error", 400, "The body is not JSON, holds NaN, or is no JSON object."),
    ("bad_request", 400, "Django could not make sense of the request, its host for example."),
    ("not_authenticated", 401, "The request carries no credentials."),
    ("unknown_scheme", 401, "The `Authorization` header is neither Basic nor Bearer."),
    ("malformed", 401, "The Basic credentials are not the base64 of `user:password`."),
    ("wrong_password", 401, "Wrong user or password, or the account is not active."),
    ("token_invalid", 401, "The token is forged, damaged or expired."),
    ("token_ended", 401, "The token's account was deactivated, or its password has changed."),
    ("permission_denied", 403, "The account may not do this."),
    ("forbidden", 403, "The same, said by Django outside of the API's calls."),
    ("not_found", 404, "There is no call at this address."),
    ("method_not_allowed", 405, "The address exists, but not with this method."),
    ("not_acceptable", 406, "The `Accept` header refuses JSON; the API speaks nothing else."),
    ("too_large", 413, "The body is larger than `TASKFARM_MAX_BODY`."),
    ("unsupported_media_type", 415, "The body is not `application/json`."),
    ("locked_out", 429, "Too many wrong passwords; `Retry-After` says when to come back."),
    ("server_error", 500, "A bug. The server's log says more."),
    ("unavailable", 503, "The database is away. Send the call again after `Retry-After` seconds."),
)  # fmt: skip


def farm_errors() -> list[type[errors.FarmError]]:
    """All classes of the farm's tree that have a code of their own."""
    found: list[type[errors.FarmError]] = []
    stack = [errors.FarmError]
    while stack:
        kind = stack.pop(0)
        stack += kind.__subclasses__()
        if kind is not errors.FarmError and "code" in vars(kind):
            found.append(kind)
    return found


def render() -> str:
    """Both tables."""
    ours = [
        (code(kind.code), status_of_class(kind), first_line(kind.__doc__)) for kind in farm_errors()
    ]
    edge = [(code(name), status, text) for name, status, text in EDGE]
    head = ("code", "status", "meaning")
    return paragraphs(
        "## What the farm refuses",
        table(head, sorted(ours, key=lambda row: row[1])),
        "## What the edge refuses",
        "Before a call reaches the farm: its credentials, its form, its address.",
        table(head, edge),
    )


def status_of_class(kind: type[errors.FarmError]) -> int:
    """The HTTP status of a class."""
    return status_of(kind.__new__(kind))
