"""The short way of a worker's most frequent call: plain progress of a computing task.

Of the twelve calls that the published client makes for a task in the paper's pattern, ten are
``PUT …/tasks/ID`` with a percentage and nothing else. They need nothing of what Django's middleware
and DRF do for a call, and that is most of what they cost. Whatever is out of the ordinary, wrong
input included, is left to the ordinary way, which does the same and tells what is wrong.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db import Error
from django.http import HttpRequest, HttpResponse

from accounts import verdicts
from runs import queue, reports
from runs.api.base import no_content
from runs.api.errors import plainly_unavailable, will_pass
from runs.errors import RunNotFound

Handler = Callable[[HttpRequest], HttpResponse]

ANY = "*/*"
LONGEST = 200
"""Bytes of a body that can be plain progress."""
TASK = re.compile(r"/api/runs/([0-9A-Fa-f-]{32,36})/tasks/([0-9]{1,9})", re.ASCII)


def short_way(get_response: Handler) -> Handler:
    """Middleware before all other: plain progress ends here, whatever else goes on."""

    def respond(request: HttpRequest) -> HttpResponse:
        try:
            done = request.method == "PUT" and noted(request)
        except Error as error:
            if will_pass(error):  # it need not be waited for once more
                return plainly_unavailable(error)
            done = False
        return no_content() if done else get_response(request)

    return respond


def noted(request: HttpRequest) -> bool:
    """Note plain progress of somebody who was let in lately; False changes nothing.

    Most errors are met again on the ordinary way, which has an answer to them.

    Raises:
        Error: the database's.
    """
    address = TASK.fullmatch(request.path_info)
    if address is None:
        return False
    try:
        request.get_host()  # raises what it would raise in Django's own middleware
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            return False
        percent = plain_progress(request)
        if percent is None:
            return False
        user = verdicts.recall(request.META.get("HTTP_AUTHORIZATION", ""))
        if user is None:
            return False
        key, number = reports.parse_uuid(address[1]), int(address[2])
        return queue.note_progress(user=user, run_uuid=key, number=number, percent=percent)
    except (RunNotFound, SuspiciousOperation, OSError, ValueError, RecursionError):
        return False


def plain_progress(request: HttpRequest) -> float | None:
    """The percentage, if there is nothing else in the body and it is one.

    Raises:
        ValueError: the body is no JSON.
        OSError: it did not come.
    """
    meta = request.META
    if meta.get("HTTP_ACCEPT", ANY) not in (ANY, "application/json"):
        return None
    if meta.get("CONTENT_TYPE") != "application/json":
        return None
    if not 0 < int(meta.get("CONTENT_LENGTH") or 0) <= LONGEST:
        return None
    body = json.loads(request.body.decode())
    percent: Any = (
        body.get("percentCompleted") if isinstance(body, dict) and len(body) == 1 else None
    )
    if type(percent) not in (int, float) or not 0 <= percent <= 100:
        return None
    return float(percent)
