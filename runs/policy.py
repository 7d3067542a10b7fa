"""The policy of a run: what becomes of its tasks without anybody's doing. One table of its options.

API, pages, commands and client offer just these; each has a field of the same name on ``Run``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runs.conditions import EARLIEST, LATEST
from runs.errors import InvalidInput
from runs.models import Run

BIG = 2_000_000_000
OUT_OF_REACH = (
    f"Must lie in the years {EARLIEST.year} to {LATEST.year - 1} in UTC; "
    "without it there is no limit."
)


@dataclass(frozen=True)
class Option:
    """One option: its name in the API, its field of ``Run``, its kind and range."""

    api: str
    field: str
    kind: type
    least: float | None = None
    most: float | None = None
    optional: bool = False

    @property
    def meaning(self) -> str:
        """What it is for."""
        return str(getattr(Run._meta.get_field(self.field), "help_text", ""))


OPTIONS = (
    Option("priority", "priority", int, -1000, 1000),
    Option("errorAttempts", "error_attempts", int, 1, 1000),
    Option("lostAttempts", "lost_attempts", int, 1, 1000),
    Option("timeoutAttempts", "timeout_attempts", int, 1, 1000),
    Option("backoff", "backoff", float, 0, 3600),
    Option("taskTimeout", "task_timeout", float, 1, 10 * 365 * 86400, optional=True),
    Option("heartbeat", "heartbeat", float, 1, 3600),
    Option("startAfter", "start_after", datetime, optional=True),
    Option("expireAt", "expire_at", datetime, optional=True),
    Option("failCount", "fail_count", int, 1, BIG, optional=True),
    Option("failPercent", "fail_percent", float, 0, 100, optional=True),
    Option("failNow", "fail_now", bool),
    Option("canaryTasks", "canary_tasks", int, 1, BIG, optional=True),
    Option("canaryPercent", "canary_percent", float, 0, 100),
    Option("open", "open", bool),
    Option("template", "template", str, 0, 10_000),
    Option("columns", "columns", int, 1, 10_000, optional=True),
)
BY_API = {option.api: option for option in OPTIONS}
BY_FIELD = {option.field: option for option in OPTIONS}


def show(run: Run) -> dict[str, Any]:
    """All options of a run's policy, by their names in the API."""
    return {option.api: getattr(run, option.field) for option in OPTIONS}


def check(given: dict[str, Any]) -> dict[str, Any]:
    """Values of options by field name, each of its kind and within its range.

    Raises:
        InvalidInput: with the reasons by the option's name in the API.
    """
    reasons: dict[str, list[str]] = {}
    kept: dict[str, Any] = {}
    for name, value in given.items():
        option = BY_FIELD.get(name)
        if option is None:
            raise InvalidInput(f"There is no policy option {name!r}.", {name: ["Unknown option."]})
        reason = refusal(option, value)
        if reason:
            reasons[option.api] = [reason]
        kept[name] = float(value) if option.kind is float and value is not None else value
    if reasons:
        told = "; ".join(f"{name}: {texts[0]}" for name, texts in reasons.items())
        raise InvalidInput(told, reasons)
    return kept


def refusal(option: Option, value: Any) -> str | None:
    """Why a value cannot be the option's; None if it can."""
    if value is None:
        return None if option.optional else "Must not be null."
    if not KINDS[option.kind](value):
        return f"Must be {NAMES[option.kind]}, not {str(value)[:40]!r}."
    if isinstance(value, datetime):
        return None if EARLIEST <= value < LATEST else OUT_OF_REACH
    if option.least is None or option.most is None:
        return None
    size = len(value) if isinstance(value, str) else value
    if not option.least <= size <= option.most:
        what = "Its length must" if isinstance(value, str) else "Must"
        return f"{what} be from {option.least:g} to {option.most:g}, not {size:g}."
    return None


def is_number(value: Any) -> bool:
    """A finite number, and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


KINDS: dict[type, Callable[[Any], bool]] = {
    int: lambda value: isinstance(value, int) and not isinstance(value, bool),
    float: is_number,
    bool: lambda value: isinstance(value, bool),
    str: lambda value: isinstance(value, str),
    datetime: lambda value: isinstance(value, datetime) and value.tzinfo is not None,
}
NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a string",
    datetime: "a date and time with its time zone",
}
