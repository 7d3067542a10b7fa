"""Lists in pages: ``after`` the last row of the page before, at most ``limit`` rows."""

import re
from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from runs.errors import InvalidInput

FARTHEST = 2**63 - 1
NUMBER = re.compile(r"-?[0-9]{1,19}")


def parameters(*, most: int, default: int) -> list[OpenApiParameter]:
    """The query parameters of a list in pages, for the schema."""
    after = {"type": "integer", "format": "int64", "minimum": -1, "maximum": FARTHEST}
    limit = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return [
        OpenApiParameter("after", after, description="Where the page before ended."),
        OpenApiParameter("limit", limit, description="Rows at most."),
    ]


def position(request: Request, *, most: int, default: int, start: int = -1) -> tuple[int, int]:
    """The page that is asked for: ``after`` and ``limit``.

    Raises:
        InvalidInput: one of them is no number, or out of range.
    """
    after = number(request, "after", default=start, least=start, most=FARTHEST)
    return after, number(request, "limit", default=default, least=1, most=most)


def number(request: Request, name: str, *, default: int, least: int, most: int) -> int:
    """A whole number from the query."""
    text = request.query_params.get(name)
    if text is None:
        return default
    value = int(text) if NUMBER.fullmatch(text) else None
    if value is None or not least <= value <= most:
        reason = f"Must be a whole number from {least} to {most}, not {text[:40]!r}."
        raise InvalidInput(f"{name}: {reason}", {name: [reason]})
    return value


def page(request: Request, rows: list[dict[str, Any]], limit: int, *, key: str) -> dict[str, Any]:
    """A page of rows with the address of the next.

    Args:
        request: the call.
        rows: one more than ``limit`` where there are more.
        limit: rows on this page.
        key: which of a row's values ``after`` counts by.
    """
    following = None
    if len(rows) > limit:
        rows = rows[:limit]
        following = address(request, rows[-1][key])
    return {"data": rows, "next": following}


def address(request: Request, after: object) -> str:
    """The address of the page that comes after a row."""
    query = request.query_params.copy()
    query["after"] = str(after)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
