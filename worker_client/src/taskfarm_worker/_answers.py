"""From HTTP answers to values and errors; the only place that knows status codes."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import requests

from ._errors import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ResponseError,
    ServerError,
    ServerUnavailableError,
    ThrottledError,
    TooLargeError,
    UnexpectedAnswerError,
    join,
)

Json = Any
"""What a JSON text can hold; no narrower type says more than the documentation of a call."""

ERRORS: Mapping[int, type[ResponseError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: TooLargeError,
    422: BadRequestError,
    429: ThrottledError,
    502: ServerUnavailableError,
    503: ServerUnavailableError,
    504: ServerUnavailableError,
}

HINTS: Mapping[object, str] = {
    "run_not_found": "Check the UUID: 'taskfarm ls' or 'manageTF --list' shows the runs that you "
    "may see.",
    403: "Ask the owner of the run or an administrator of the farm.",
    413: "Send less at once.",
    500: "The fault is the server's; its administrator finds the reason in the server's log.",
}
"""What to do about an error, by the server's code for it or by its status."""

FOREIGN = "This is not an answer of a Taskfarm server: check the address, and any proxy between."

LONGEST_EXCERPT = 200


def error_from(
    response: requests.Response, *, sent: Mapping[str, object] | None = None, hint: str = ""
) -> ResponseError:
    """Turn an answer that is not a success into the error that tells about it.

    Args:
        response: the answer.
        sent: the JSON object that was sent, to show the values that were refused.
        hint: what to do, in place of the usual advice for this status.

    Returns:
        the error, for the caller to raise.
    """
    status = response.status_code
    if 300 <= status < 400:
        return _redirected(response)
    body = _object(response)
    wait = retry_after(response)
    errors = _field_errors(body.get("errors"))
    detail = _detail(body, response)
    code = str(body.get("code", ""))
    usual = HINTS.get(code) or HINTS.get(status, "") if "detail" in body else FOREIGN
    parts = [
        f"{_headline(response)}: {detail}",
        _fields(errors, sent or {}, detail),
        f"The server asks to wait {wait:.0f} s." if wait else "",
        hint or usual,
    ]
    default = ServerError if status >= 500 else ResponseError
    return ERRORS.get(status, default)(
        join(*parts),
        status=status,
        code=code,
        detail=detail,
        errors=errors,
        retry_after=wait,
    )


def json_object(response: requests.Response) -> dict[str, Json]:
    """Read a successful answer that has to be a JSON object.

    Args:
        response: the answer.

    Returns:
        the object.

    Raises:
        UnexpectedAnswerError: it is something else, such as the web page of another service.
    """
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise UnexpectedAnswerError(
            f"{_headline(response)}, but not with a JSON object: {_excerpt(response)} {FOREIGN}",
            status=response.status_code,
        )
    return body


def member(response: requests.Response, key: str) -> Json:
    """Take one member out of a successful answer.

    Args:
        response: the answer, a JSON object.
        key: the member to take.

    Returns:
        its value.

    Raises:
        UnexpectedAnswerError: the answer has no such member, or is no JSON object at all.
    """
    body = json_object(response)
    if key not in body:
        raise UnexpectedAnswerError(
            f"{_headline(response)}, but without {key!r}: it has {', '.join(body) or 'nothing'}.",
            status=response.status_code,
        )
    return body[key]


def retry_after(response: requests.Response) -> float | None:
    """Read the header Retry-After, which holds seconds or a date.

    Args:
        response: the answer.

    Returns:
        seconds from now, zero or more; None when there is no usable header. A date is compared
        with the answer's own, where it has one: the clock of this machine may be wrong.
    """
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    until, now = _moment(text), _moment(response.headers.get("Date", ""))
    if until is None:
        return None
    return max(0.0, until - (time.time() if now is None else now))


def _moment(text: str) -> float | None:
    """Seconds since 1970 of a date in a header; None where it is none."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, IndexError):
        return None


def _redirected(response: requests.Response) -> UnexpectedAnswerError:
    """Explain a redirect. None is followed: a POST would silently become a GET on the way."""
    target = response.headers.get("Location", "elsewhere")
    return UnexpectedAnswerError(
        f"{_headline(response)}: the server sends us to {target}. "
        "Give that address (its part up to /api/) as url_base or TASKFARM_URL.",
        status=response.status_code,
    )


def _headline(response: requests.Response) -> str:
    request = response.request
    try:
        phrase = HTTPStatus(response.status_code).phrase
    except ValueError:
        phrase = response.reason or ""
    return f"{request.method} {request.url} answered {response.status_code} {phrase}".rstrip()


def _object(response: requests.Response) -> dict[str, Json]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _detail(body: Mapping[str, Json], response: requests.Response) -> str:
    return str(body["detail"]) if "detail" in body else _excerpt(response)


def _excerpt(response: requests.Response) -> str:
    """Boil an answer that is not ours (a proxy's page, say) down to one short line."""
    text = response.text
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    plain = title.group(1) if title else re.sub(r"<[^>]*>", " ", text)
    line = " ".join(plain.split()) or "no explanation"
    return line if len(line) <= LONGEST_EXCERPT else line[:LONGEST_EXCERPT] + "…"


def _field_errors(errors: Json) -> dict[str, list[str]]:
    if not isinstance(errors, dict):
        return {}
    return {
        str(name): [str(text) for text in texts] if isinstance(texts, list) else [str(texts)]
        for name, texts in errors.items()
    }


def _fields(errors: Mapping[str, list[str]], sent: Mapping[str, object], detail: str) -> str:
    """Write what is wrong with each field, unless `detail` says it, and what was sent for it."""
    lines = []
    for name, texts in errors.items():
        told = all(text in detail for text in texts)
        value = f"(sent {sent[name]!r})" if name in sent else ""
        if not told:
            lines.append(f"{name}: {' '.join(texts)} {value}".rstrip())
        elif value:
            lines.append(f"{name} {value}")
    return f"[{'; '.join(lines)}]" if lines else ""
