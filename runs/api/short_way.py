"""The short way of a worker's most frequent calls: plain progress of a task, and a plain claim.

Of the twelve calls that the published client makes for a task in the paper's pattern, ten are
``PUT …/tasks/ID`` with a percentage and nothing else, one is ``POST …/task``. They need nothing of
what Django's middleware and DRF do for a call, and that is most of what they cost. Whatever is out
of the ordinary, wrong input included, is left to the ordinary way, which does the same and tells
what is wrong.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse

from accounts import verdicts
from runs import queue, reports
from runs.api.base import no_content
from runs.api.errors import COMPACT, plainly_unavailable, will_pass
from runs.api.tasks import hand_out
from runs.errors import FarmError

Handler = Callable[[HttpRequest], HttpResponse]

ANY = "*/*"
LONGEST = 200
"""Bytes of a body that can be plain."""
CALL = re.compile(r"/api/runs/([0-9A-Fa-f-]{32,36})/task(?:s/([0-9]{1,9}))?", re.ASCII)


def short_way(get_response: Handler) -> Handler:
    """Middleware before all other: plain calls end here, whatever else goes on."""

    def respond(request: HttpRequest) -> HttpResponse:
        if request.method not in ("PUT", "POST"):
            return get_response(request)
        try:
            answered = answer(request)
        except Error as error:
            if not will_pass(error):
                raise
            answered = plainly_unavailable(error)  # it need not be waited for once more
        if answered is None:
            return get_response(request)
        if answered.content:  # as CommonMiddleware does: else HTTP/1.0 has to hang up
            answered.headers["Content-Length"] = str(len(answered.content))
        return answered

    return respond


def answer(request: HttpRequest) -> HttpResponse | None:
    """The answer to a plain call of somebody who was let in lately; None: nothing was changed.

    What is refused is refused again on the ordinary way, in words.

    Raises:
        Error: the database's.
    """
    address = CALL.fullmatch(request.path_info)
    if address is None or (address[2] is None) != (request.method == "POST"):
        return None
    try:
        request.get_host()  # raises what it would raise in Django's own middleware
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            return None
        body = plain_body(request)
    except (SuspiciousOperation, OSError, ValueError, RecursionError):
        return None
    user = verdicts.recall(request.META.get("HTTP_AUTHORIZATION", "")) if body else None
    if body is None or user is None:
        return None
    try:
        if request.method == "POST":
            return claim(user, address[1], body)
        return note(user, address[1], int(address[2]), body)
    except FarmError:  # only what changes nothing: a claim that was made must not be made again
        return None


def note(user: Any, uuid: str, number: int, body: dict[str, Any]) -> HttpResponse | None:
    """Note plain progress."""
    percent: Any = body.get("percentCompleted")
    if type(percent) not in (int, float) or not 0 <= percent <= 100:
        return None
    noted = queue.note_progress(
        user=user, run_uuid=reports.parse_uuid(uuid), number=number, percent=float(percent)
    )
    return no_content() if noted else None


def claim(user: Any, uuid: str, body: dict[str, Any]) -> HttpResponse | None:
    """Hand out a task."""
    worker = body.get("worker_uuid")
    if not isinstance(worker, str) or len(worker) != 32:
        return None
    handed = hand_out(user, uuid, worker)
    return JsonResponse(handed, status=201, json_dumps_params=COMPACT) if handed else no_content()


def plain_body(request: HttpRequest) -> dict[str, Any] | None:
    """The one field of a small body in JSON, from somebody who takes an answer in JSON.

    Raises:
        ValueError: the body is no JSON.
        OSError: it did not come.
    """
    meta = request.META
    if meta.get("HTTP_ACCEPT", ANY) not in (ANY, "application/json"):
        return None
    if meta.get("CONTENT_TYPE") != "application/json" or meta.get("QUERY_STRING"):
        return None
    if not 0 < int(meta.get("CONTENT_LENGTH") or 0) <= LONGEST:
        return None
    body = json.loads(request.body.decode())
    return body if isinstance(body, dict) and len(body) == 1 else None
