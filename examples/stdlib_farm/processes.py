"""Processes that end with the one that started them, whatever happens in between."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 20
"""Seconds that a process has to end by itself before it is killed."""


def end_orderly_on_signals() -> None:
    """Let a closed terminal and a ``kill`` end the program the way Ctrl-C does."""
    for number in ENDING:
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def shielded() -> Iterator[list[int]]:
    """Collect the signals that arrive in the block instead of letting them interrupt it."""
    arrived: list[int] = []
    before = {number: signal.signal(number, lambda n, _: arrived.append(n)) for number in ENDING}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Processes:
    """The processes of the farm. At the end of its ``with`` block none of them is left."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        with shielded():  # a second, impatient Ctrl-C must not leave half of them behind
            for process in reversed(self._started):
                end(process)

    def start(
        self, command: list[str], environment: Mapping[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a process that writes to a log.

        It gets a session of its own: Ctrl-C reaches only us, and we end the others in order.
        """
        with shielded() as arrived, log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                command, env=dict(environment), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
            self._started.append(process)
        if arrived:
            os.kill(os.getpid(), arrived[0])
        return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, wait, and kill it if it does not."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
