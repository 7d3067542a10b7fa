"""SIGTERM and SIGINT: held back, or handled for a while."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Hold signals back from what is started here, a thread or a process.

    A thread keeps them blocked, so that they reach the main thread, the only one whose handlers
    run, even while it sleeps in a system call. A process unblocks them when it can handle them.

    Yields:
        control, until the signals that this thread had blocked before are the blocked ones again.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_signals() -> None:
    """Let signals in, in a process that was started while they were held back."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


class Ended(KeyboardInterrupt):
    """A signal other than SIGINT has come that ends a program, which unwinds as after Ctrl-C.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        """Remember which signal.

        Args:
            number: of the signal.
        """
        super().__init__()
        self.number = number


def unwinding() -> contextlib.AbstractContextManager[None]:
    """Let SIGTERM and SIGHUP end a block as Ctrl-C does; what is ignored, as by nohup, stays so.

    Returns:
        a context manager.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise Ended(number)

    ends = (signal.SIGTERM, signal.SIGHUP)
    return handling(end, [one for one in ends if signal.getsignal(one) != signal.SIG_IGN])


@contextlib.contextmanager
def handling(
    handler: Callable[[int, FrameType | None], None], signals: Iterable[signal.Signals] = SIGNALS
) -> Iterator[None]:
    """Let a function handle SIGTERM and SIGINT; in a thread other than the main one, nothing.

    Args:
        handler: the function.
        signals: others in place of these two.

    Yields:
        control, until the old handlers come back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, previous in old.items():
            signal.signal(number, previous if previous is not None else signal.SIG_DFL)
