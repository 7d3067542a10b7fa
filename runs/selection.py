"""Selections of tasks: by state, number, error, host and age, all that are given at once.

The same selection serves API, pages, commands and client. It becomes a condition on top of the
pieces of a run, so that an operation over it works in bounded transactions, too.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from runs.errors import InvalidInput
from runs.states import TaskState

MOST_RANGES = 1000
RANGES = re.compile(r"^\d{1,10}(-\d{1,10})?(,\d{1,10}(-\d{1,10})?)*$")

SAME_ERROR = """EXISTS (
    SELECT 1 FROM runs_attempt AS a WHERE a.run_id = runs_task.run_id
    AND a.number = runs_task.number AND a.attempt = runs_task.attempt AND a.fingerprint = %s
)"""
ON_HOST = """EXISTS (
    SELECT 1 FROM runs_worker AS w WHERE w.id = runs_task.worker_id AND w.hostname = %s
)"""
OLDER = "runs_task.updated < {long_ago}"


@dataclass(frozen=True)
class Selection:
    """Which tasks: every condition that is given must hold.

    ``states``: empty means those that the operation is for; ``numbers``: inclusive ranges
    in order;
    ``fingerprint``: of the error of the last attempt; ``host``: of its worker; ``older_than``:
    seconds since the last word on the task.
    """

    states: tuple[TaskState, ...] = ()
    numbers: tuple[tuple[int, int], ...] = ()
    fingerprint: int | None = None
    host: str | None = None
    older_than: float | None = None

    @property
    def narrow(self) -> bool:
        """Whether it says more than states."""
        return bool(self.numbers) or any(
            one is not None for one in (self.fingerprint, self.host, self.older_than)
        )

    def check_numbers(self, num_tasks: int) -> None:
        """Refuse numbers that a run of so many tasks does not have: they are a mistake, as a rule.

        Raises:
            InvalidInput: there is one.
        """
        last = self.numbers[-1][1] if self.numbers else -1
        if last >= num_tasks:
            has = f"{num_tasks} tasks, 0-{num_tasks - 1}" if num_tasks else "no tasks"
            reason = f"There is no task {last}: the run has {has}."
            raise InvalidInput(reason, {"tasks": [reason]})

    def condition(self) -> tuple[str, list[Any]]:
        """What it adds to the condition of a piece, but for its numbers; with its values."""
        parts: list[str] = []
        values: list[Any] = []
        for part, value in (
            (SAME_ERROR, self.fingerprint), (ON_HOST, self.host), (OLDER, self.older_than)
        ):  # fmt: skip
            if value is not None:
                parts.append(part)
                values.append(value)
        return "".join(f" AND {part}" for part in parts), values

    def told(self) -> dict[str, Any]:
        """The selection in plain values, for an event."""
        shown = {
            "states": [state.label for state in self.states],
            "numbers": show_ranges(self.numbers),
            "fingerprint": self.fingerprint,
            "host": self.host,
            "olderThan": self.older_than,
        }
        return {name: value for name, value in shown.items() if value not in (None, [], "")}


def may_have_meant(told: dict[str, Any], number: int) -> bool:
    """Whether a selection that an event tells of can have held a task of this number."""
    ranges = told.get("numbers")
    return not ranges or any(a <= number <= b for a, b in parse_ranges(str(ranges)))


def parse_ranges(text: str) -> tuple[tuple[int, int], ...]:
    """Ranges of numbers such as ``0-99,200``, in order and without overlap.

    Raises:
        InvalidInput: that is not what it is.
    """
    compact = text.replace(" ", "")
    if not RANGES.match(compact):
        reason = f"{text[:40]!r} is no list of numbers and ranges such as 0-99,200."
        raise InvalidInput(reason, {"tasks": [reason]})
    pairs = []
    for part in compact.split(","):
        first, _, last = part.partition("-")
        pairs.append((int(first), int(last or first)))
    if backwards := [pair for pair in pairs if pair[0] > pair[1]]:
        reason = f"The range {backwards[0][0]}-{backwards[0][1]} runs backwards."
        raise InvalidInput(reason, {"tasks": [reason]})
    if len(pairs) > MOST_RANGES:
        reason = f"At most {MOST_RANGES} ranges, not {len(pairs)}."
        raise InvalidInput(reason, {"tasks": [reason]})
    return merge(pairs)


def merge(pairs: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The same numbers as ranges in order that neither overlap nor touch."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(pairs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def show_ranges(ranges: tuple[tuple[int, int], ...]) -> str:
    """Ranges as people write them: ``0-99,200``."""
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ranges)


@dataclass
class Numbers:
    """A growing set of numbers, kept as ranges; ``full`` once it would be too long to keep."""

    most: int
    ranges: list[tuple[int, int]] = field(default_factory=list)
    full: bool = False

    def add(self, numbers: list[int]) -> None:
        """Take numbers up."""
        if not self.full:
            self.ranges = list(merge([*self.ranges, *((one, one) for one in numbers)]))
            self.full = len(self.ranges) > self.most
