"""Selections of tasks in the address of a page: read, written, told in words."""

from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from runs import attempts
from runs.errors import InvalidInput
from runs.models import Run
from runs.pages.history import selection_words
from runs.selection import Selection, parse_ranges, show_ranges
from runs.states import TaskState

STATES = {state.label: state for state in TaskState}
LONGEST = 10_000


def from_query(query: QueryDict) -> Selection:
    """The selection that an address names: ``state``, ``tasks``, ``error``, ``host``, ``older``.

    Raises:
        InvalidInput: a value makes no sense; nothing must be done then, least of all to all tasks.
    """
    names = [one for one in query.getlist("state") if one]
    if unknown := [one for one in names if one not in STATES]:
        raise InvalidInput(f"There is no state {unknown[0][:40]!r} of a task.")
    ranges = query.get("tasks", "").strip()
    host = query.get("host", "").strip()
    if len(ranges) > LONGEST or len(host) > 255 or "\x00" in host:
        raise InvalidInput("That selection is too long.")
    return Selection(
        states=tuple(STATES[one] for one in dict.fromkeys(names)),
        numbers=parse_ranges(ranges) if ranges else (),
        fingerprint=whole(query, "error"),
        host=host or None,
        older_than=whole(query, "older"),
    )


def whole(query: QueryDict, name: str) -> int | None:
    """A whole number of the address.

    Raises:
        InvalidInput: it is none.
    """
    text = query.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 11):
        raise InvalidInput(f"{name}: {text[:40]!r} is no whole number.")
    return int(text)


def to_query(selection: Selection, **more: str) -> str:
    """The part of an address after the question mark; empty for all tasks."""
    pairs: list[tuple[str, Any]] = [("state", state.label) for state in selection.states]
    if selection.numbers:
        pairs.append(("tasks", show_ranges(selection.numbers)))
    for name, value in (
        ("error", selection.fingerprint), ("host", selection.host), ("older", selection.older_than)
    ):  # fmt: skip
        if value is not None:
            pairs.append((name, value))
    return urlencode([*pairs, *more.items()])


def words(selection: Selection, run: Run | None = None) -> list[str]:
    """What it says, for people; with the run its error is named, which costs a query."""
    named = attempts.named(run.id, selection.fingerprint) if run else {}
    return selection_words(selection.told() | named)
