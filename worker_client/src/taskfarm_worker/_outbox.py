"""Progress of a task, sent in the background while the work goes on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from ._signals import signals_blocked

Send = Callable[[int, float], None]


class Outbox:
    """The last percentage of a task that is still to be sent, and the thread that sends it.

    The thread lives for as long as there is something to send and is waited for at the end of the
    process, so that a script that just ends, or a forked child, loses nothing. A forked child
    starts with an empty outbox: what its parent had to send, the parent sends.
    """

    def __init__(self, send: Send) -> None:
        """Start empty.

        Args:
            send: sends a task's number and its percentage.
        """
        self._send = send
        self._empty_out()

    def _empty_out(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting: tuple[int, float] | None = None
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave out what belongs to this process."""
        return {"_send": self._send}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Start empty."""
        self.__dict__.update(state)
        self._empty_out()

    def put(self, task: int, percent: float) -> None:
        """Have a percentage sent; it takes the place of one that waits.

        Args:
            task: the task's number.
            percent: how much of it is done.

        Raises:
            TaskFarmError: an earlier percentage could not be sent.
        """
        if self._pid != os.getpid():
            self._empty_out()
        with self._lock:
            self._waiting = (task, percent)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="taskfarm-progress")
                with signals_blocked():
                    self._thread.start()
        self._raise()

    def flush(self) -> None:
        """Wait until nothing is left to be sent.

        Raises:
            TaskFarmError: a percentage could not be sent.
        """
        if self._pid != os.getpid():
            self._empty_out()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._raise()

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._waiting is None:
                    self._thread = None
                    return
                (task, percent), self._waiting = self._waiting, None
            try:
                self._send(task, percent)
            except Exception as error:
                self._error = error

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
