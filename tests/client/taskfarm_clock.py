"""Time for tests: it jumps, so that no test ever sleeps."""

from __future__ import annotations

import threading
from collections.abc import Callable

from taskfarm_worker._retry import Clock


def nothing() -> None:
    """Do nothing while time jumps."""


class FakeClock(Clock):
    """A clock that jumps instead of sleeping, and draws the longest wait every time."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.sleeps: list[float] = []
        self.on_sleep: Callable[[], object] = nothing

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds
        self.on_sleep()

    def pause(self, seconds: float, ended: threading.Event) -> None:
        if not ended.is_set():
            self.sleep(seconds)

    def jitter(self, longest: float) -> float:
        return longest
