"""Options of a run's policy on the command line, made from the one table of them."""

import json
import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from runs.management.values import UNITS, span
from runs.policy import BY_FIELD, OPTIONS, Option

IN_SECONDS = {"backoff", "task_timeout", "heartbeat"}
"""Options that also take spans such as ``2h``."""
YES, NO = {"yes", "true", "on", "1"}, {"no", "false", "off", "0"}
NOTHING = {"", "none", "null"}


def add_arguments(parser: ArgumentParser) -> None:
    """An argument for each option: ``--error-attempts 3``, and ``--open`` alone for a yes or no."""
    group = parser.add_argument_group("policy", "What becomes of tasks without anybody's doing.")
    for option in OPTIONS:
        name = "--" + option.field.replace("_", "-")
        meaning = plain(option.meaning)
        if option.kind is bool:
            group.add_argument(name, action="store_true", default=None, help=meaning)
        else:
            group.add_argument(name, type=reader(option), metavar=shape(option), help=meaning)


def plain(meaning: str) -> str:
    """A meaning as the help of an argument: argparse wants ``%`` doubled."""
    return meaning.rstrip(".").replace("%", "%%")


def shape(option: Option) -> str:
    """The word for the value of an option."""
    if option.field in IN_SECONDS:
        return "SPAN"
    return {int: "N", float: "X", datetime: "TIME", str: "TEXT", bool: "YES"}[option.kind]


def reader(option: Option) -> Callable[[str], Any]:
    """Reads the value of one option, for argparse."""
    return lambda text: read(option, text)


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Those options of the policy that stand on the command line, by field."""
    return {name: options[name] for name in BY_FIELD if options.get(name) is not None}


def assignment(text: str) -> tuple[str, Any]:
    """One ``name=value``; the name as in the API, as an argument, or as in Python.

    Raises:
        ArgumentTypeError: there is no such option, or the value is not of its kind.
    """
    name, equals, value = text.partition("=")
    field = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name.strip()).replace("-", "_").lower()
    option = BY_FIELD.get(field)
    if not equals or option is None:
        known = ", ".join(one.api for one in OPTIONS)
        raise ArgumentTypeError(f"{text[:60]!r} is no name=value with one of the names {known}.")
    return field, read(option, value)


def read(option: Option, text: str) -> Any:
    """The value of an option; its range is the operation's to check.

    Raises:
        ArgumentTypeError: it is not of the option's kind.
    """
    compact = text.strip().lower()
    if option.optional and compact in NOTHING:
        return None
    try:
        return READERS[option.kind](option, text)
    except (ValueError, OverflowError):
        raise ArgumentTypeError(
            f"{option.api} cannot be {text[:40]!r}: it is {KINDS[option.kind]}"
            + (", or none." if option.optional else ".")
        ) from None


def _number(option: Option, text: str) -> float:
    """A number; for a time, seconds or a span."""
    if option.field in IN_SECONDS and text.strip()[-1:] in UNITS:
        return span(text)
    return float(text)


def _yes_or_no(option: Option, text: str) -> bool:
    """Yes or no."""
    word = text.strip().lower()
    if word not in YES | NO:
        raise ValueError(word)
    return word in YES


def _moment(option: Option, text: str) -> datetime:
    """A date and time; without a zone it is in the farm's."""
    moment = parse_datetime(text.strip())
    if moment is None:
        raise ValueError(text)
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


READERS: dict[type, Callable[[Option, str], Any]] = {
    int: lambda option, text: int(text),
    float: _number,
    bool: _yes_or_no,
    datetime: _moment,
    str: lambda option, text: text,
}
KINDS = {
    int: "a whole number",
    float: "a number (times: seconds, or a span such as 30m or 2h)",
    bool: "yes or no",
    datetime: "a date and time such as 2026-11-30T08:00",
    str: "a text",
}


def lines(policy: dict[str, Any]) -> list[str]:
    """Options with their values, one a line."""
    width = max(map(len, policy))
    return [f"{name:{width}}  {show(value)}" for name, value in policy.items()]


def show(value: Any) -> str:
    """A value as ``--set`` takes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, datetime):
        return value.isoformat()
    return "none" if value is None else str(value)


def as_json(value: Any) -> str:
    """Anything of a policy as JSON."""
    return json.dumps(value, indent=2, default=lambda moment: moment.isoformat())
