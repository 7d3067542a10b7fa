"""The guard of a farmer: ends its commands when it was killed.

SIGKILL, or a kernel that is short of memory, ends a farmer before it can end its commands. They
would run on while the farm hands out their tasks again. So a process beside the farmer, forked from
it before anything runs, waits for the end of a pipe that only the farmer holds. Which groups run
stands in memory that both share: it costs the farmer three writes per command, and wakes nobody.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import time

from .._errors import TaskFarmError

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""What ends a farmer in good order; its guard ends with it, not before."""

STARTING = -1
"""In place of a process that is being started: nobody knows its number yet."""

LOOK = 0.05
"""Seconds between looks at what is still there."""

FOUND_WITHIN = 1.0
"""Seconds for which a process is looked for that was just being started."""


class Guard:
    """Watches over the commands of this process, from another one."""

    def __init__(self, places: int, worker: str, grace: float) -> None:
        """Begin to watch; call it before there are threads.

        Args:
            places: how many commands run at a time.
            worker: UUID of the farmer, as its commands have it in their environment.
            grace: seconds from SIGTERM to SIGKILL.

        Raises:
            TaskFarmError: there can be no further process.
        """
        self._table = memoryview(mmap.mmap(-1, 24 * (places + 1))).cast("q")
        watched, self.handle = os.pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self._pid = os.fork()
            if not self._pid:
                _live(watched, self._table, worker, grace)
        except OSError as error:
            why = f"no process can be started here: {error.strerror}."
            raise TaskFarmError(why) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(watched)

    def starting(self, place: int, task: int, attempt: int) -> None:
        """Note that a command is about to be started.

        Args:
            place: its place, from 1.
            task: number of the task.
            attempt: number of the attempt.
        """
        table, at = self._table, 3 * place
        table[at + 1], table[at + 2] = task, attempt
        table[at] = STARTING

    def started(self, place: int, pid: int) -> None:
        """Note that a command runs, or none after all.

        Args:
            place: its place, from 1.
            pid: of the leader of its group; 0 for none.
        """
        self._table[3 * place] = pid

    def close(self) -> None:
        """End the guard, and with it what still runs."""
        os.close(self.handle)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _live(watched: int, table: memoryview, worker: str, grace: float) -> None:
    """The life of the guard; it does not return."""
    try:
        os.setpgid(0, 0)  # who signals the group of the farmer does not mean its guard
        for one in SIGNALS:
            signal.signal(one, signal.SIG_IGN)
        _close_all_but(watched)
        os.read(watched, 1)  # nothing is ever written: it ends with the farmer
        _end(_groups(table, worker), grace)
    finally:
        os._exit(0)


def _close_all_but(watched: int) -> None:
    """Hold nothing open that others wait for to be closed."""
    signal.set_wakeup_fd(-1)
    null = os.open(os.devnull, os.O_RDWR)
    for one in range(3):
        os.dup2(null, one)
    with contextlib.suppress(OSError):
        for one in map(int, os.listdir("/dev/fd")):
            if one > 2 and one != watched:
                with contextlib.suppress(OSError):
                    os.close(one)


def _groups(table: memoryview, worker: str) -> list[int]:
    """The process groups of all commands that run."""
    groups = []
    for at in range(0, len(table), 3):
        pid, task, attempt = table[at : at + 3]
        if pid == STARTING:
            pid = _find(worker, task, attempt)
        if pid > 0:
            groups.append(pid)
    return groups


def _find(worker: str, task: int, attempt: int) -> int:
    """Find a command by its environment; answers 0 where there is none, or no /proc."""
    names = {"WORKER": worker, "TASK": task, "ATTEMPT": attempt}
    wanted = [f"\0TASKFARM_{name}={value}\0".encode() for name, value in names.items()]
    end = time.monotonic() + FOUND_WITHIN
    while time.monotonic() < end and os.path.isdir("/proc/self"):
        for pid in (int(one) for one in os.listdir("/proc") if one.isdigit()):
            # Others' cannot be read, and some end meanwhile.
            with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
                there = b"\0" + file.read()
                if all(one in there for one in wanted) and os.getpgid(pid) == pid:
                    return pid
        time.sleep(LOOK)
    return 0


def _end(groups: list[int], grace: float) -> None:
    """Ask groups to end, and kill what has not after some time."""
    left = _signalled(groups, signal.SIGTERM)
    _signalled(left, signal.SIGCONT)
    end = time.monotonic() + grace
    while left and time.monotonic() < end:
        time.sleep(LOOK)
        left = _signalled(left, 0)
    _signalled(left, signal.SIGKILL)


def _signalled(groups: list[int], number: int) -> list[int]:
    """Send a signal to groups; answers those that were there."""
    left = []
    for one in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(one, number)
            left.append(one)
    return left
