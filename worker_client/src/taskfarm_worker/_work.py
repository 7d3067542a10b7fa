"""Work on a run: the loop of one process, and the processes."""

from __future__ import annotations

import contextlib
import logging
import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Union, cast
from uuid import uuid4

from . import _reports
from ._answers import Json
from ._courier import UNSENT, Courier, InHand
from ._errors import InvalidArgumentError, TaskFarmError, WorkerDiedError
from ._session import ServerSession
from ._signals import SIGNALS, handling, signals_blocked, unblock_signals
from ._task import Task

log = logging.getLogger("taskfarm_worker")

Function = Callable[[Task], Json]
TimeLeft = Union[float, Callable[[], float], None]

MOST_DEATHS = 5
"""Processes that are replaced, per process asked for."""

SECOND_SIGNAL = 1.0
"""Seconds after which a further signal means impatience; before, it is an echo of the first, as
when a batch system signals a whole group."""

LAST = 5.0
"""Seconds after a second signal within which processes end by themselves; then they are killed."""

LOOK = 1.0
"""Seconds between two looks at whether it is time for that."""


@dataclass
class Summary:
    """What the processes have done.

    Attributes:
        done: attempts that succeeded, and that the server has counted.
        failed: attempts that failed, likewise.
        dropped: attempts that the server took away meanwhile, or that it was told of too late.
    """

    done: int = 0
    failed: int = 0
    dropped: int = 0

    def add(self, other: Summary) -> None:
        """Add what another process has done."""
        self.done += other.done
        self.failed += other.failed
        self.dropped += other.dropped

    def take_out(self, late: Mapping[str, int]) -> None:
        """Count attempts as dropped of which the server was told too late."""
        self.done -= late.get("done", 0)
        self.failed -= late.get("failed", 0) + late.get("timeout", 0)
        self.dropped += sum(late.values())


@dataclass(frozen=True)
class Job:
    """What to work on, and how; the same for all processes.

    Attributes:
        server: the server.
        run: UUID of the run.
        function: what to do with a task.
        on_signal: "finish" the task in hand after SIGTERM or SIGINT, or "release" it at once.
        heartbeat: seconds between signs of life.
        patience: seconds for which a server that is away is waited for.
        time_left: seconds from the start until the batch job ends, or a function that tells
            how many are left.
        parent: the process that started this one; None for itself.
        started: when it was, by a clock that nobody sets while the work goes on; on one machine
            all processes share it.
    """

    server: ServerSession
    run: str
    function: Function
    on_signal: str = "finish"
    heartbeat: float = 10.0
    patience: float = 3600.0
    time_left: TimeLeft = None
    parent: int | None = None
    started: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Seconds until the batch job ends; infinite when nobody knows."""
        if callable(self.time_left):
            return float(self.time_left())
        if self.time_left is None:
            return math.inf
        return self.time_left - (time.monotonic() - self.started)

    def orphaned(self) -> bool:
        """Whether the process that started this one is gone."""
        return self.parent is not None and os.getppid() != self.parent


def check(on_signal: str, processes: int, time_left: TimeLeft) -> TimeLeft:
    """Check the arguments of `Run.work`.

    Args:
        on_signal: "finish" or "release".
        processes: how many.
        time_left: as given.

    Returns:
        the time left; from the batch system when none is given and it tells.

    Raises:
        InvalidArgumentError: one of them makes no sense.
    """
    if on_signal not in ("finish", "release"):
        raise InvalidArgumentError(f'on_signal is {on_signal!r}; it must be "finish" or "release".')
    if isinstance(processes, bool) or not isinstance(processes, int) or processes < 1:
        raise InvalidArgumentError(f"processes is {processes!r}; it must be 1 or more.")
    if time_left is None:
        with contextlib.suppress(KeyError, ValueError):
            return float(os.environ["SLURM_JOB_END_TIME"]) - time.time()
    return time_left


class Released(BaseException):
    """Raised within the function of a task by a signal that ends it at once."""


class Signals:
    """What signals have asked for.

    Attributes:
        last: the latest of them; None before the first.
        again: whether one came so long after the first that it means: at once.
    """

    def __init__(self) -> None:
        """Begin before the first one."""
        self.last: int | None = None
        self.again = False
        self._first = math.inf

    def note(self, number: int) -> bool:
        """Take a signal up.

        Args:
            number: the signal.

        Returns:
            whether it means: at once.
        """
        now = time.monotonic()
        again = now - self._first >= SECOND_SIGNAL
        self._first = min(self._first, now)
        self.last = number
        self.again = self.again or again
        return again

    def obey(self) -> None:
        """Let the last one, if there was any, have the effect that it has outside.

        Raises:
            SystemExit: after a second Ctrl-C, in place of Python's KeyboardInterrupt and its
                traceback; the exit code is 130 either way.
        """
        if self.last is None:
            return
        if self.again and signal.getsignal(self.last) is signal.default_int_handler:
            raise SystemExit(128 + self.last)
        signal.raise_signal(self.last)


class Shift:
    """The work of one process until there is no more, or a signal ends it."""

    def __init__(self, job: Job) -> None:
        """Prepare.

        Args:
            job: what to do.
        """
        self.job = job
        self.summary = Summary()
        self.signals = Signals()
        self._inside = False
        self._registering = False
        self._function = job.function
        self._timed = job.time_left is not None
        self.courier = Courier(
            job.server,
            job.run,
            uuid4().hex,
            heartbeat=job.heartbeat,
            patience=job.patience,
            time_left=job.left if self._timed else None,
            alive=lambda: not job.orphaned(),
        )

    def work(self) -> Summary:
        """Work, report everything, sign off.

        Returns:
            what was done.

        Raises:
            TaskFarmError: the server refused, or stayed away for longer than patience.
        """
        if not self._register():
            return self.summary
        self.courier.start()
        try:
            with contextlib.suppress(Released):
                self._loop()
        finally:
            self._close()
        return self.summary

    def _register(self) -> bool:
        """Announce this process, which may take long; False where a signal has ended that."""
        try:
            self._registering = True
            if self.signals.last is None:
                self.courier.register(self.job.server)
        except Released:
            return False
        finally:
            self._registering = False
        return self.signals.last is None

    def _close(self) -> None:
        """Deliver and sign off; an error on its way out is not covered by a second one."""
        raising = sys.exc_info()[0] is not None
        try:
            self.courier.close()
        except TaskFarmError as error:
            if self.signals.again:  # who ends this at once does not wait for a server that is away
                log.warning("%s", error)
            elif not raising:
                raise
        self.summary.take_out(self.courier.stale)

    def _loop(self) -> None:
        """One task after the other. This is the hot path: every line costs all tasks."""
        courier, clock = self.courier, time.monotonic
        inbox, dropped, note = courier.inbox, courier.dropped, courier.durations.note
        began = clock()
        while True:
            try:
                hand: InHand | None = inbox.popleft()
            except IndexError:
                hand = courier.next()
                began = clock()
            if hand is None or (self._timed and not self._fits()):
                return
            if dropped and hand.key in dropped:
                continue
            courier.began = began
            now = self._do(hand, began)
            note(now - began)
            if now - began > UNSENT and inbox:
                courier.ring()
            began = now

    def _do(self, hand: InHand, began: float) -> float:
        """One task, and its report; answers when it ended."""
        key, percent, given = hand
        courier = self.courier
        task = Task(key, percent, given, courier)
        try:
            self._inside = True
            output = self._function(task)
            self._inside = False
            now = time.monotonic()
            if output is not None or task._lines is not None:
                self._tell(_reports.success(task, output, (now - began, now)), done=True)
                return now
        except (Exception, SystemExit) as error:
            self._inside = False
            now = time.monotonic()
            self._tell_error(task, error, (now - began, now))
            return now
        if courier.dropped and key in courier.dropped:
            self.summary.dropped += 1
            return now
        plain = courier.plain
        plain.append(_reports.Done(key, (now - began, now)))
        self.summary.done += 1
        if not courier.armed:
            courier.arm()
        elif len(plain) >= courier.full:
            courier.full = math.inf
            courier.ring()
        return now

    def _tell_error(self, task: Task, error: BaseException, span: _reports.Span) -> None:
        """Report what a function has raised. A script that exits with 0 has succeeded."""
        done = isinstance(error, SystemExit) and error.code in (None, 0)
        if done:
            self._tell(_reports.success(task, None, span), done)
        else:
            self._tell(_reports.failure(task, error, span), done)

    def _tell(self, told: _reports.Told, done: bool) -> None:
        if told.key in self.courier.dropped:
            self.summary.dropped += 1
            return
        self.summary.done += done
        self.summary.failed += not done
        self.courier.tell(told)

    def _fits(self) -> bool:
        """Whether a further task will probably end in the time that is left."""
        left = self.job.left()
        return left > 0 and left > self.courier.durations.p95

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """End the work, as a handler of signals.

        Args:
            number: the signal.
            frame: not used.

        Raises:
            Released: within the function of a task, to end it at once; so with a registration.
        """
        again = self.signals.note(number)
        self.courier.stop()
        self.courier.hurry(again=again)
        if self._registering:
            self._registering = False
            raise Released
        if (again or self.job.on_signal == "release") and self._inside:
            self._inside = False
            raise Released


def work_here(job: Job) -> Summary:
    """Work in this process; a signal that ended the work is raised again at the end.

    Args:
        job: what to do.

    Returns:
        what was done.
    """
    shift = Shift(job)
    with handling(shift.on_signal):
        summary = shift.work()
    shift.signals.obey()
    return summary


def work_in_processes(job: Job, processes: int) -> Summary:
    """Work in several processes, each a worker of its own.

    Args:
        job: what to do.
        processes: how many.

    Returns:
        what they did together.

    Raises:
        WorkerDiedError: they were killed again and again.
        TaskFarmError: one of them could not go on.
    """
    job.server.token  # noqa: B018  # fetched once, not by each
    crew = Crew(replace(job, parent=os.getpid()), processes)
    with handling(crew.on_signal):
        crew.work()
    crew.signals.obey()
    if crew.errors:
        raise crew.errors[0]
    return crew.summary


class Crew:
    """The processes that work on a job, seen from the one that started them."""

    def __init__(self, job: Job, size: int) -> None:
        """Prepare.

        Args:
            job: what to do.
            size: how many processes.
        """
        self.job = job
        self.size = size
        self.summary = Summary()
        self.signals = Signals()
        self.errors: list[BaseException] = []
        self._running: dict[Connection, BaseProcess] = {}
        self._deaths = 0
        self._kill_at = math.inf
        method = "fork" if sys.platform == "linux" else None
        self._context = multiprocessing.get_context(method)

    def work(self) -> None:
        """Start the processes, replace those that are killed, wait for all to end."""
        try:
            for _ in range(self.size):
                self._start()
            while self._running:
                for ready in wait([*self._running], LOOK):
                    self._ended(cast("Connection", ready))
                if time.monotonic() >= self._kill_at:
                    for process in self._running.values():
                        process.kill()
        finally:
            for process in self._running.values():
                process.terminate()
            for process in self._running.values():
                process.join()

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Pass a signal on, as a handler of signals.

        Args:
            number: the signal.
            frame: not used.
        """
        if self.signals.note(number):
            self._kill_at = min(self._kill_at, time.monotonic() + LAST)
        for process in list(self._running.values()):
            if process.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, number)

    def _start(self) -> None:
        """Start a process; signals wait until it can handle them."""
        reader, writer = self._context.Pipe(duplex=False)
        process = cast("Any", self._context).Process(target=_child, args=(self.job, writer))
        with signals_blocked():
            process.start()
            self._running[reader] = process
        writer.close()

    def _ended(self, reader: Connection) -> None:
        """Hear what a process has done; one that died without a word is replaced."""
        process = self._running[reader]
        try:
            summary, error = reader.recv()
        except (EOFError, OSError):
            summary, error = None, None
        reader.close()
        process.join()
        del self._running[reader]
        if summary is None:
            self._died(process)
            return
        self.summary.add(summary)
        if error is not None:
            self.errors.append(error)

    def _died(self, process: BaseProcess) -> None:
        self._deaths += 1
        told = f"Worker process {process.pid} died (exit code {process.exitcode})"
        log.warning("%s; the server gives its tasks to others after three missed heartbeats.", told)
        if self.signals.last is not None or self.errors:
            return
        if self._deaths > MOST_DEATHS * self.size:
            self.errors.append(
                WorkerDiedError(f"{told}, the {self._deaths}th: no more are started in its place.")
            )
        else:
            self._start()


def _child(job: Job, writer: Connection) -> None:
    """The life of a process."""
    shift = Shift(job)
    error: BaseException | None = None
    for number in SIGNALS:  # for good: before a fork these were the handlers of the other process
        signal.signal(number, shift.on_signal)
    unblock_signals()
    try:
        shift.work()
    except Exception as problem:
        error = problem
    try:
        writer.send((shift.summary, error))
    except Exception:  # an error that cannot be pickled
        writer.send((shift.summary, TaskFarmError(repr(error))))
