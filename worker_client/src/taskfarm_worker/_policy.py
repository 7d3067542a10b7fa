"""The options of a run's policy, in the words of Python and in those of the API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta


def fields(policy: Mapping[str, object]) -> dict[str, object]:
    """Name options as the server does: `error_attempts` is its `errorAttempts`.

    Args:
        policy: options as the caller names them. Times are `datetime` (without a zone: local
            time), durations numbers of seconds or `timedelta`.

    Returns:
        the same, ready to be sent.
    """
    return {_camel(name): _plain(value) for name, value in policy.items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _plain(value: object) -> object:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        return value.astimezone().isoformat()
    return value
