"""Signs of life beside the work: something is done every few seconds, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ._signals import signals_blocked


class Pulse:
    """A thread that does something again and again, for as long as that is needed.

    It is a daemon: nobody waits for it at the end of the process, and what it did not do any more
    is how others notice that end.
    """

    def __init__(self, beat: Callable[[], float], needed: Callable[[], bool]) -> None:
        """Prepare; `start` begins.

        Args:
            beat: does it; gives the seconds until the next time.
            needed: tells whether there will be a next time.
        """
        self._beat = beat
        self._needed = needed
        self._lock = threading.Lock()
        self._ended: threading.Event | None = None

    def start(self, seconds: float) -> None:
        """Begin, unless it goes on already.

        Args:
            seconds: until the first time.
        """
        with self._lock:
            if self._ended is not None:
                return
            self._ended = ended = threading.Event()
            thread = threading.Thread(
                target=self._live, args=(ended, seconds), name="taskfarm-pulse", daemon=True
            )
            with signals_blocked():
                thread.start()

    def stop(self) -> None:
        """End it, without waiting for one that is under way."""
        with self._lock:
            if self._ended is not None:
                self._ended.set()
                self._ended = None

    def _live(self, ended: threading.Event, seconds: float) -> None:
        while not ended.wait(seconds):
            with self._lock:
                if ended.is_set():
                    return
                if not self._needed():
                    self._ended = None
                    return
            seconds = self._beat()
