"""How long tasks take, as one process has seen it."""

from __future__ import annotations

from collections import deque

MEMORY = 16
"""The mean forgets what is older than about so many tasks, to follow a run whose tasks change."""

SAMPLE = 1000
"""Durations that the percentile is taken of."""


class Durations:
    """The durations of tasks; written by one thread, the mean is read by another.

    Attributes:
        count: the number of tasks.
        mean: seconds per task, lately; 0.0 before the first.
    """

    __slots__ = ("_next", "_p95", "_sample", "count", "mean")

    def __init__(self) -> None:
        """Start with no task seen."""
        self.count = 0
        self.mean = 0.0
        self._sample: deque[float] = deque(maxlen=SAMPLE)
        self._p95 = 0.0
        self._next = 1

    def note(self, seconds: float) -> None:
        """Add a task.

        Args:
            seconds: how long it took.
        """
        self.count = count = self.count + 1
        self.mean += (seconds - self.mean) / (count if count < MEMORY else MEMORY)
        self._sample.append(seconds)

    @property
    def p95(self) -> float:
        """Seconds within which 95 % of the tasks end; sorted anew for every 5 % of new ones."""
        if self.count >= self._next:
            ordered = sorted(self._sample)
            self._p95 = ordered[int(0.95 * (len(ordered) - 1) + 0.999)]
            self._next = self.count + 1 + self.count // 20
        return self._p95
