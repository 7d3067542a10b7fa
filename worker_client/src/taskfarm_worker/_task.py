"""A task as the function that works on it sees it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ._answers import Json
from ._errors import InvalidArgumentError

if TYPE_CHECKING:
    from ._courier import Courier

MOST_LOG = 64 * 1024
"""Characters of its log that an attempt keeps: the last ones."""


class Task:
    """One attempt at one task.

    Attributes:
        number: its number in the run, from 0.
        attempt: which attempt at it this is, from 1.
        input: its input, or None.
        percent: how much of it is done; an earlier attempt may have got so far.
    """

    __slots__ = ("_courier", "_key", "_lines", "attempt", "input", "number", "percent")

    def __init__(self, key: tuple[int, int], percent: float, given: Json, courier: Courier) -> None:
        """Describe an attempt.

        Args:
            key: the task's number and the attempt's.
            percent: how much an earlier attempt got done.
            given: the input.
            courier: who brings its reports to the server.
        """
        self._key = key
        self.number, self.attempt = key
        self.percent = percent
        self.input = given
        self._courier = courier
        self._lines: list[str] | None = None

    def __repr__(self) -> str:
        """Show which task this is."""
        return f"<Task {self.number}, attempt {self.attempt}>"

    @property
    def cancelled(self) -> bool:
        """Whether the server has taken it away: cancelled, restarted or given to somebody else.

        Whatever comes of it now is not wanted. A long function looks here now and then, and
        returns early.
        """
        return self._key in self._courier.dropped

    def update(self, percent: float) -> None:
        """Report how much is done. Returns at once; of many reports the last one is sent.

        Args:
            percent: from 0 to 100.

        Raises:
            InvalidArgumentError: (a ValueError) it is not a number from 0 to 100.
        """
        self.percent = number = percentage(percent)
        self._courier.note_progress(self._key, number)

    def log(self, *values: object) -> None:
        """Add a line to the log of the attempt, of which the server keeps the last 64 KiB.

        Args:
            values: what to write, put together as `print` does.
        """
        if self._lines is None:
            self._lines = []
        self._lines.append(" ".join(map(str, values)) + "\n")
        if len(self._lines) > 2000:
            self._lines = [self.log_tail or ""]

    @property
    def log_tail(self) -> str | None:
        """The end of the log; None when nothing was logged."""
        return None if self._lines is None else "".join(self._lines)[-MOST_LOG:]


def percentage(value: float) -> float:
    """Check a percentage.

    Args:
        value: a number of any kind.

    Returns:
        the same as a float.

    Raises:
        InvalidArgumentError: it is not a number from 0 to 100.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 100:  # written so that NaN fails, too
        raise InvalidArgumentError(f"percentage {value!r} out of range: it must be 0 to 100.")
    return number
