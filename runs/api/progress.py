"""The short way of a worker's most frequent call: plain progress of a computing task.

Of the twelve calls that the published client makes for a task in the paper's pattern, ten are
``PUT …/tasks/ID`` with a percentage and nothing else. They need nothing of what DRF does for a call
but its outcome, and it is most of what they cost. Whatever is out of the ordinary, wrong input
included, is left to the ordinary way, which does the same and tells what is wrong.
"""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import Error
from django.http import HttpRequest, HttpResponse

from accounts import verdicts
from runs import queue, reports
from runs.api.base import no_content
from runs.errors import RunNotFound

LONGEST = 200
"""Bytes of a body that can be plain progress."""


def short_way(ordinary: Callable[..., Any]) -> Callable[..., Any]:
    """The calls on one task, plain progress by the short way."""

    @wraps(ordinary)  # with all that makes it a view of DRF, for the schema
    def view(request: HttpRequest, uuid: str, number: str) -> HttpResponse:
        if request.method == "PUT" and noted(request, uuid, number):
            return no_content()
        answer: HttpResponse = ordinary(request, uuid=uuid, number=number)
        return answer

    return view


def noted(request: HttpRequest, uuid: str, number: str) -> bool:
    """Note plain progress of somebody who was let in lately; False changes nothing.

    An error is met again on the ordinary way, which has an answer to it.
    """
    if not number.isdecimal() or len(number) > 9:
        return False
    try:
        percent = plain_progress(request)
        if percent is None:
            return False
        user = verdicts.recall(request.META.get("HTTP_AUTHORIZATION", ""))
        if user is None:
            return False
        key = reports.parse_uuid(uuid)
        return queue.note_progress(user=user, run_uuid=key, number=int(number), percent=percent)
    except (RunNotFound, Error, OSError, ValueError, RecursionError):
        return False


def plain_progress(request: HttpRequest) -> float | None:
    """The percentage, if there is nothing else in the body and it is one.

    Raises:
        ValueError: the body is no JSON.
        OSError: it did not come.
    """
    meta = request.META
    if meta.get("CONTENT_TYPE") != "application/json":
        return None
    if not 0 < int(meta.get("CONTENT_LENGTH") or 0) <= LONGEST:
        return None
    body = json.loads(request.body)
    percent: Any = (
        body.get("percentCompleted") if isinstance(body, dict) and len(body) == 1 else None
    )
    if type(percent) not in (int, float) or not 0 <= percent <= 100:
        return None
    return float(percent)
