"""One running command."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from .._answers import Json
from .._reports import Key, Span, Told

MOST_LOG = 64 * 1024
"""Bytes at the end of a log that the server gets; the whole log stays in the working folder."""

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""Signals that end a farmer."""

SAID = 5
"""Last lines of the log that stand in the error of a failed task."""

SPOKEN = re.compile(rb"taskfarm: *(\d{1,3}(?:\.\d+)?) *%")
NUMBER = re.compile(rb"(\d{1,3}(?:\.\d+)?) *%?\s*\n")

SUBREAPER, IS_SUBREAPER = 36, 37
"""PR_SET_CHILD_SUBREAPER and PR_GET_CHILD_SUBREAPER."""

MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in a unit of what the system tells of memory."""


@dataclass
class Usage:
    """How a process ended, and what it took.

    Attributes:
        code: its exit code; negative: the number of the signal that ended it.
        cpu: seconds of processor time, children that it has waited for included.
        memory: bytes at its peak; None where it was less than the farmer's own, which hides it.
        ended: when, by the monotonic clock.
    """

    code: int
    cpu: float = 0.0
    memory: int | None = None
    ended: float = 0.0


@dataclass
class Child:
    """An attempt at a task, as a process group with a log.

    Attributes:
        key: the task's number and the attempt's.
        pid: of the leader, which is the number of the group.
        command: what it runs.
        log: its log, open.
        slot: which of the farmer's places it has.
        line: the task's place in the list, where that is another than its number.
        folder: a temporary folder to be removed in the end.
        began: when, by the monotonic clock.
        wall: when, in seconds since 1970.
        ending: why it is being ended, if it is: timeout, dropped or released.
        kill_at: when it is killed if it has not ended.
        seen: bytes of its log that have been looked at for progress.
    """

    key: Key
    pid: int
    command: str
    log: int
    slot: int
    line: Json
    folder: str | None
    began: float
    wall: float
    ending: str = ""
    kill_at: float = 0.0
    seen: int = 0

    def signal(self, number: int) -> None:
        """Send a signal to the whole group.

        Args:
            number: of the signal.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def end(self, why: str, grace: float) -> None:
        """Ask the group to end; it is killed if it has not after some time.

        Args:
            why: timeout, dropped or released.
            grace: seconds.
        """
        if self.ending:
            return
        self.ending = why
        self.kill_at = time.monotonic() + grace
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

    def span(self, now: float) -> Span:
        """Tell its time.

        Args:
            now: when it ended, by the monotonic clock.

        Returns:
            for a report.
        """
        return now - self.began, now

    def spoken_progress(self) -> float | None:
        """Look for `taskfarm: 40%` in what was printed since the last look.

        Returns:
            per cent, or None.
        """
        size = os.fstat(self.log).st_size
        if size <= self.seen:
            return None
        start = max(self.seen - 32, size - 4096, 0)  # a word may have been half printed
        found = SPOKEN.findall(os.pread(self.log, size - start, start))
        self.seen = size
        return _percent(found)

    def tail(self) -> str:
        """Read the end of the log.

        Returns:
            the last 64 KiB of it; what is no UTF-8 is replaced.
        """
        size = os.fstat(self.log).st_size
        if not size:
            return ""
        return os.pread(self.log, MOST_LOG, max(0, size - MOST_LOG)).decode(errors="replace")


def written_progress(data: bytes) -> float | None:
    """Read what was written to the file descriptor for progress.

    Args:
        data: numbers from 0 to 100, a line each.

    Returns:
        the last of them, or None.
    """
    return _percent(NUMBER.findall(data))


def _percent(found: list[bytes]) -> float | None:
    numbers = [float(one) for one in found]
    return next((one for one in reversed(numbers) if one <= 100), None)


def usage(status: int, used: resource.struct_rusage, floor: int) -> Usage:
    """Put together what the system says of a process that has ended.

    Args:
        status: as waitpid(2) has it.
        used: its resources.
        floor: peak memory of the farmer in the system's unit: a process counts as having had it
            before it became another program.

    Returns:
        the same for a report.
    """
    code = os.waitstatus_to_exitcode(status)
    memory = used.ru_maxrss * MEMORY_UNIT if used.ru_maxrss > floor else None
    return Usage(code, used.ru_utime + used.ru_stime, memory, time.monotonic())


def echoes(used: Usage) -> bool:
    """Tell whether a command may have been ended by a signal that is on its way to us, too.

    Args:
        used: how it ended; a shell and many others make 128 and the signal's number of it.

    Returns:
        whether it looks like that.
    """
    return -used.code in STOPPING or used.code - 128 in STOPPING


@contextlib.contextmanager
def adopting_orphans() -> Iterator[None]:
    """Be the parent of what commands leave behind, on Linux, to be told when it has ended.

    Else it is init's to reap, which in a container may be late, or never there; what has ended and
    is not reaped looks alive (prctl(2), PR_SET_CHILD_SUBREAPER). So it would here after the block,
    when nobody reaps any more.

    Yields:
        for the block.
    """
    before = ctypes.c_int(0)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(IS_SUBREAPER, ctypes.byref(before), 0, 0, 0)
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(SUBREAPER, before.value, 0, 0, 0)


def alive(group: int) -> bool:
    """Tell whether a process group still has members.

    Args:
        group: its number.

    Returns:
        whether it has.
    """
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def success(child: Child, used: Usage, now: float) -> Told:
    """Report a command that has ended with 0.

    Args:
        child: the command.
        used: what it took.
        now: by the monotonic clock.

    Returns:
        the report. Put together by hand, as it is made for every task.
    """
    number, attempt = child.key
    memory = "" if used.memory is None else f', "memory": {used.memory}'
    line = "" if child.line is None else f', "line": {json.dumps(child.line)}'
    log = child.tail()
    tail = f', "log": {json.dumps(log)}' if log else ""
    return Told(
        child.key,
        f'{{"task": {number}, "attempt": {attempt}, "status": "done", "exitCode": 0, "output": '
        f'{{"began": {child.wall:.6f}, "seconds": {now - child.began:.6f}, "cpu": {used.cpu:.6f}'
        f'{memory}, "pid": {os.getpid()}, "slot": {child.slot}{line}}}{tail}}}',
        child.span(now),
    )


def failure(child: Child, used: Usage, now: float, why: str) -> Told:
    """Report a command that has failed.

    Args:
        child: the command.
        used: what it took.
        now: by the monotonic clock.
        why: in words.

    Returns:
        the report; its last line is that of the log, by which failures are grouped.
    """
    log = child.tail()
    output = {"began": child.wall, "seconds": now - child.began, "cpu": used.cpu,
              "pid": os.getpid(), "slot": child.slot}  # fmt: skip
    extra = {"memory": used.memory, "line": child.line}
    output.update({name: one for name, one in extra.items() if one is not None})
    error = complaint(child.command, why, log)
    status = "timeout" if child.ending == "timeout" else "failed"
    body = {"status": status, "error": _valid(error), "exitCode": used.code, "output": output}
    return _ended(child.key, {**body, "log": log}, child.span(now))


def refusal(key: Key, error: str) -> Told:
    """Report a task whose command could not be started.

    Args:
        key: the task's number and the attempt's.
        error: why.

    Returns:
        the report.
    """
    return _ended(key, {"status": "failed", "error": _valid(error)}, (0.0, time.monotonic()))


def released(child: Child, now: float) -> Told:
    """Give a task back whose command has been ended.

    Args:
        child: the command.
        now: by the monotonic clock.

    Returns:
        the report.
    """
    return _ended(child.key, {"status": "released"}, child.span(now))


def _ended(key: Key, body: dict[str, Json], span: Span) -> Told:
    return Told(key, json.dumps({"task": key[0], "attempt": key[1], **body}), span)


def _valid(text: str) -> str:
    return text.encode(errors="replace").decode()


def complaint(command: str, why: str, log: str) -> str:
    """Say what failed: the command, how it ended, what it said last.

    Args:
        command: what was run.
        why: how it ended.
        log: the end of its log.

    Returns:
        some lines.
    """
    said = [line.rstrip()[:500] for line in log.splitlines() if line.strip()][-SAID:]
    if why.startswith("exit"):
        return "\n".join([f"$ {command[:500]}", why, *said])
    return "\n".join([f"$ {command[:500]}", *said, why])


def in_words(code: int) -> str:
    """Say how a process ended.

    Args:
        code: its exit code, negative for a signal.

    Returns:
        for example "exit code 3" or "killed by SIGSEGV".
    """
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
