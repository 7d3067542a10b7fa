"""When to try again, and for how long."""

from __future__ import annotations

import logging
import random
import threading
import time

from ._errors import join

log = logging.getLogger("taskfarm_worker")

FIRST_STEP = 0.5
"""Seconds: the longest wait before the first repetition; it doubles each time."""

LONGEST_STEP = 30.0
"""Seconds: the longest wait at all, so that a server that returns is noticed soon."""

REMIND_EVERY = 300.0
"""Seconds between two warnings about a server that stays away; a log is not a heartbeat."""


class Clock:
    """Time, sleep and chance as the client sees them; tests put their own in its place."""

    def now(self) -> float:
        """Return seconds from some fixed point, never going back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait.

        Args:
            seconds: for how long.
        """
        time.sleep(seconds)

    def pause(self, seconds: float, ended: threading.Event) -> None:
        """Wait, but no longer than until something ends.

        Args:
            seconds: for how long.
            ended: set when there is no reason to wait any more.
        """
        ended.wait(seconds)

    def jitter(self, longest: float) -> float:
        """Draw a wait at random ("full jitter"), so that a thousand workers spread out.

        Args:
            longest: seconds, the upper end.

        Returns:
            seconds between 0 and `longest`.
        """
        return random.uniform(0, longest)


SYSTEM_CLOCK = Clock()


class Retrying:
    """The repetitions of one call: exponential backoff until patience ends.

    Patience counts from the first failure, not from the first try, so that a call that needed
    a minute to time out is still repeated.
    """

    def __init__(
        self,
        patience: float,
        clock: Clock,
        *,
        longest: float = LONGEST_STEP,
        ended: threading.Event | None = None,
    ) -> None:
        """Start with the first try still to come.

        Args:
            patience: seconds from the first failure after which no new try is made.
            clock: where time comes from.
            longest: seconds, the longest wait before chance shortens it.
            ended: cuts waits short when it is set.
        """
        self._longest = longest
        self._ended = ended
        self.patience = patience
        self.failures = 0
        self._clock = clock
        self._first_failure = 0.0
        self._next_reminder = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the first failure."""
        return self._clock.now() - self._first_failure if self.failures else 0.0

    def wait(self, reason: str, at_least: float | None = None) -> bool:
        """Wait before the next try.

        Args:
            reason: what went wrong, for the log.
            at_least: seconds that the server asked to wait, if it did.

        Returns:
            False, without waiting, when the next try would come too late.
        """
        if not self.failures:
            self._first_failure = self._next_reminder = self._clock.now()
        self.failures += 1
        left = self.patience - self.elapsed
        floor = at_least or 0.0
        if left <= 0 or floor > left:
            return False
        self._remind(reason, left)
        step = min(self._longest, FIRST_STEP * 2 ** min(self.failures - 1, 16))
        seconds = min(floor + self._clock.jitter(step), left)
        if self._ended is None:
            self._clock.sleep(seconds)
        else:
            self._clock.pause(seconds, self._ended)
        return True

    def succeeded(self, what: str) -> None:
        """Say in the log that waiting is over, if there was any.

        Args:
            what: the call, for the log.
        """
        if self.failures:
            log.info("%s: answered after %.0f s.", what, self.elapsed)

    def _remind(self, reason: str, left: float) -> None:
        now = self._clock.now()
        level = logging.DEBUG
        if now >= self._next_reminder:
            level = logging.WARNING
            self._next_reminder = now + REMIND_EVERY
        log.log(level, "%s", join(reason, f"Trying again for up to {left:.0f} s."))
