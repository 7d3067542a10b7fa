"""What went wrong below HTTP: in plain words, and whether the server can have acted on it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import requests
from urllib3.exceptions import ClosedPoolError, ConnectTimeoutError, NewConnectionError

NEVER_LEFT = (
    NewConnectionError,
    ConnectTimeoutError,
    ClosedPoolError,
    requests.exceptions.ProxyError,
)
"""Refused, no such host, no connection in time, closed by another thread, no way through the
proxy: the server has not seen the call, so that anything may be repeated."""

HOPELESS = (
    "CERTIFICATE_VERIFY_FAILED",
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
)
"""Signs in the text of a TLS error that waiting will not cure it."""


def never_left(error: requests.RequestException) -> bool:
    """Tell whether the call surely did not reach the server.

    Args:
        error: what requests raised.

    Returns:
        True when no connection came about; False when there is the least doubt.
    """
    return any(isinstance(link, NEVER_LEFT) for link in _chain(error))


def worth_repeating(error: requests.RequestException) -> bool:
    """Tell whether the same call may succeed later.

    Args:
        error: what requests raised.

    Returns:
        False for what only a change of the address or of a certificate can cure.
    """
    kinds = (
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
    )
    return isinstance(error, kinds) and not any(sign in str(error) for sign in HOPELESS)


def describe(error: requests.RequestException, timeout: tuple[float, float]) -> str:
    """Say in a few words what happened; requests itself prints nested object names.

    Args:
        error: what requests raised.
        timeout: seconds allowed for connecting and for answering.

    Returns:
        for example "connection refused".
    """
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {timeout[0]:g} s"
    if isinstance(error, requests.exceptions.Timeout):
        return f"no answer within {timeout[1]:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS failed ({error}); check https:// and the certificate (REQUESTS_CA_BUNDLE)"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy (http_proxy, https_proxy) cannot be used"
    if never_left(error) or not worth_repeating(error):
        return _system_reason(str(error))
    return "the connection was lost before the answer came"


def _system_reason(text: str) -> str:
    """Cut the operating system's words out of a nested message."""
    found = re.search(r"\[Errno -?\d+\] ([^')\"]+)", text)
    reason = found.group(1) if found else text
    return reason[:1].lower() + reason[1:]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Walk from an exception to what it wraps.

    `__context__` is left out on purpose: it may belong to the caller's own exception handler.
    """
    links: list[BaseException] = [error]
    seen: set[int] = set()
    while links:
        link = links.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inner = (getattr(link, "reason", None), getattr(link, "original_error", None))
        wrapped = (*inner, link.__cause__, *link.args)
        links.extend(item for item in wrapped if isinstance(item, BaseException))
