"""The farmer: one process that keeps a number of commands running.

One loop waits for three things at once: commands that end, tasks that arrive, words on progress.
There is no thread per command and no polling; what happens per task is counted in microseconds.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import resource
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from uuid import uuid4

from .._courier import Courier, InHand
from .._durations import Durations
from .._errors import InvalidArgumentError, TaskFarmError
from .._reports import not_begun
from .._session import ServerSession
from .._work import Signals, Summary
from . import child as children
from .child import Child, Usage
from .guard import Guard
from .runners import BasicRunner, Runner
from .spawner import HostError, Spawner
from .templates import Template, command_of
from .workdir import Workdir

log = logging.getLogger("taskfarm_worker")

TICK = 1.0
"""Seconds between looks at clocks and logs."""

AFTER_KILL = 2.0
"""Seconds for which the end of a killed group is waited for."""

LEFT_BEHIND = "left behind"
"""Why a group is ended whose leader has ended by itself."""

ECHO = 1.0
"""Seconds within which the signal that has ended a command may reach the farmer, too; and for which
what a command has left in the background may go on."""

LONG = 10.0
"""Seconds between looks while nothing runs."""

SOON = 0.02
"""Seconds between looks at groups that outlive their leaders."""


@dataclass(frozen=True)
class Job:
    """What a farmer is to do.

    Attributes:
        server: the server.
        run: UUID of the run.
        workdir: where logs go.
        template: of the commands; None where the inputs are commands.
        proc: commands at a time.
        runner: how a command is run.
        task_timeout: seconds for one command.
        timeout: seconds after which the farmer ends itself.
        time_left: seconds until the batch job ends.
        grace: seconds from SIGTERM to SIGKILL.
        on_signal: "release" running commands, or "finish" them.
        patience: seconds for which a server that is away is waited for.
        verbose: whether to print each command.
    """

    server: ServerSession
    run: str
    workdir: Workdir
    template: Template | None = None
    proc: int = 8
    runner: Runner = field(default_factory=BasicRunner)
    task_timeout: float = math.inf
    timeout: float = math.inf
    time_left: float = math.inf
    grace: float = 10.0
    on_signal: str = "release"
    patience: float = 3600.0
    verbose: bool = False


class _Interrupted(BaseException):
    """A signal has come while the farmer registers; like KeyboardInterrupt, not to be caught."""


class Farmer:
    """Runs commands until there are no more, or somebody ends it.

    Attributes:
        summary: what has been done.
        signal: which signal ended it, if one did.
        stopped: why it ended early, if it did.
    """

    def __init__(
        self, job: Job, on_tick: Callable[[Farmer, bool], None] = lambda farmer, last: None
    ) -> None:
        """Prepare.

        Args:
            job: what to do.
            on_tick: called about once a second with the farmer and whether this is the last time.
        """
        self.job = job
        self._on_tick = on_tick
        self.summary = Summary()
        self.signal: int | None = None
        self.stopped = ""
        self._running: dict[int, Child] = {}
        self._lingering: list[tuple[Child, Usage]] = []
        self._free = list(range(job.proc, 0, -1))
        self._real = Durations()
        self._start = time.monotonic()
        self._deadline = self._start + min(job.timeout, job.time_left - max(60.0, 2 * job.grace))
        self._ticked = self._start
        self._ends = False
        self._signals: list[int] = []
        self._registering = False
        self._heard = Signals()
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        self._poll = select.poll()
        self._poll.register(self._wake_read, select.POLLIN)
        worker = uuid4().hex
        self._guard = Guard(job.proc, worker, job.grace)
        self._spawner = Spawner(job.runner, job.workdir, job.run, worker, self._poll, self._guard)
        self.courier = Courier(
            job.server, job.run, worker, patience=job.patience, on_news=self._wake,
            time_left=None if self._deadline == math.inf else self._left,
        )  # fmt: skip

    @property
    def busy(self) -> int:
        """How many commands are running."""
        return len(self._running) + len(self._lingering)

    # ---- the life of a farmer

    def work(self) -> Summary:
        """Work until there is nothing more to do, report everything, sign off.

        Returns:
            what was done.

        Raises:
            TaskFarmError: the server refused, or stayed away for longer than patience.
        """
        self.courier.free = self.job.proc
        with children.adopting_orphans(), self._handling():
            try:
                if self._register():
                    self.courier.start()
                    self._loop()
            finally:
                try:
                    self._end_all()
                finally:
                    self._close()
                self._on_tick(self, True)
        return self.summary

    def _register(self) -> bool:
        """Announce this farmer; a signal ends the wait for a server that is away.

        Returns:
            whether there is work to begin: no signal has come.
        """
        try:
            self._registering = True
            if not self._signals:
                self.courier.register(self.job.server)
            self._registering = False
        except _Interrupted:
            self._registering = False
        self._obey()
        return not self.stopped

    def _loop(self) -> None:
        while True:
            self._fill()
            if not self._running and not self._lingering and self._nothing_to_come():
                return
            self._wait()
            self._obey()  # first: who has ended by the same signal as we do has not failed
            self._reap()
            now = time.monotonic()
            if now - self._ticked >= TICK or self._signals:
                self._tick(now)
            elif self._lingering:
                self._linger(now)

    def _nothing_to_come(self) -> bool:
        if self.courier.error is not None:
            raise self.courier.error
        return bool(self.stopped) or self.courier.over

    def _wait(self) -> None:
        """Sleep until a command ends, tasks arrive, progress is told, or it is time to look."""
        left = SOON if self._lingering else TICK if self._running else LONG
        if self._deadline < math.inf and not self.stopped:
            left = min(left, max(0.0, self._deadline - time.monotonic()))
        for handle, _ in self._poll.poll(left * 1000 + 1):
            if handle == self._wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(handle, 4096)
            else:
                self._hear(handle)

    def _tick(self, now: float) -> None:
        """Look at signals, clocks, logs, and what the server has taken away."""
        self._ticked = now
        self._obey()
        self._on_tick(self, False)
        if now >= self._deadline and not self.stopped:
            self._stop("its time was up", release=True)
        for one in list(self._running.values()):
            self._look_at(one, now)
        self._linger(now)

    def _linger(self, now: float) -> None:
        """Look at what has not ended with its leader, and end it when its time is up."""
        for one, used in list(self._lingering):
            alive = children.alive(one.pid)
            if alive and now >= one.kill_at:
                if one.ending:
                    one.signal(signal.SIGKILL)
                else:
                    one.end(LEFT_BEHIND, self.job.grace)
            # Without anything alive only an echo is waited for.
            gone = not alive and (one.ending or now >= one.kill_at or not children.echoes(used))
            if gone or (one.ending and now >= one.kill_at + AFTER_KILL):
                self._lingering.remove((one, used))
                self._ended(one, used)

    def _look_at(self, one: Child, now: float) -> None:
        if one.ending:
            if now >= one.kill_at:
                one.signal(signal.SIGKILL)
        elif one.key in self.courier.dropped:
            one.end("dropped", self.job.grace)
        elif now - one.began >= self.job.task_timeout:
            one.end("timeout", self.job.grace)
        else:
            percent = one.spoken_progress()
            if percent is not None:
                self.courier.note_progress(one.key, percent)

    def halt(self, why: str) -> None:
        """Begin no more, and end when what is running has ended.

        Args:
            why: for `stopped`.
        """
        self._stop(why)

    # ---- begin

    def _fill(self) -> None:
        """Begin tasks while there is room."""
        courier = self.courier
        while self._free and not self.stopped:
            hand = courier.poll()
            if hand is None:
                break
            if courier.dropped and hand.key in courier.dropped:
                continue
            if self._deadline < math.inf and self._left() < self._real.p95:
                self._stop("the next command would not end in time")
                break
            self._begin(hand)
        if self._ends and not self._running and not courier.over and not self.stopped:
            courier.ask()  # the last one at hand has ended: it may have been the run's last
        courier.free = max(1, len(self._free))
        if self._free:
            courier.began = math.inf
        elif self._ends or courier.began == math.inf:  # else nothing has moved since the last look
            courier.began = time.monotonic()
        self._ends = False

    def _begin(self, hand: InHand) -> None:
        """Begin a task; one whose command cannot be started has failed."""
        try:
            command = command_of(self.job.template, hand.key[0], hand.input)
        except InvalidArgumentError as error:
            if self.job.template is None:  # tasks of a Python function, perhaps: not for us
                self._refuse(hand, error)
            self._failed(hand, str(error))
            return
        try:
            one = self._spawner.start(hand, command, self._free[-1])
        except HostError as error:
            self._refuse(hand, error)
        except (OSError, ValueError, TaskFarmError) as error:
            why = f"the command could not be started: {error}"
            self._failed(hand, children.complaint(command, why, ""))
        else:
            self._free.pop()
            self._running[one.pid] = one
            if self.job.verbose:
                _say(f"task {hand.key[0]} begins: {command}")

    def _failed(self, hand: InHand, why: str) -> None:
        """It is the fault of the task that it cannot be run."""
        self.courier.tell(children.refusal(hand.key, why))
        self.summary.failed += 1

    def _refuse(self, hand: InHand, error: TaskFarmError) -> None:
        """It is not the fault of the task that it cannot be run: it is given back."""
        self.courier.tell(not_begun(hand.key))
        self._stop(str(error), release=True)
        raise error

    def _hear(self, handle: int) -> None:
        """Take up what a command has told of its progress."""
        slot, percent = self._spawner.hear(handle)
        one = next((one for one in self._running.values() if one.slot == slot), None)
        if one is not None and percent is not None:
            self.courier.note_progress(one.key, percent)

    # ---- end

    def _reap(self) -> None:
        """Take up all that have ended."""
        while self._running or self._lingering:  # of which orphans come to us
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            one = self._running.pop(pid, None)
            if one is not None:
                floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                self._left_behind(one, children.usage(status, used, floor))

    def _left_behind(self, one: Child, used: Usage) -> None:
        """A command is over when its whole group is: nothing that it started is left running.

        What it has in the background may go on for a moment, as many scripts have something there
        that ends by itself. Batch systems signal all processes of a job, its commands often before
        the farmer. So one that such a signal has ended waits for a moment, too: if ours follows, it
        has not failed.
        """
        if not children.alive(one.pid) and (one.ending or not children.echoes(used)):
            self._ended(one, used)
            return
        if not one.ending:
            one.kill_at = time.monotonic() + ECHO
        self._lingering.append((one, used))

    def _ended(self, one: Child, used: Usage) -> None:
        """Report a command, and free its place."""
        try:
            self._report(one, used, used.ended)
        finally:
            os.close(one.log)
        seconds = used.ended - one.began
        self._guard.started(one.slot, 0)
        self._free.append(one.slot)
        self._ends = True
        self.courier.durations.note(seconds / self.job.proc)
        if self._deadline < math.inf:
            self._real.note(seconds)
        if one.folder is not None:
            shutil.rmtree(one.folder, ignore_errors=True)
        if self.job.verbose:
            how = one.ending or children.in_words(used.code)
            _say(f"task {one.key[0]} ends: {how}")

    def _report(self, one: Child, used: Usage, now: float) -> None:
        courier = self.courier
        if one.ending == "dropped" or (courier.dropped and one.key in courier.dropped):
            self.summary.dropped += 1
        elif one.ending == "released":
            courier.tell(children.released(one, now))
        elif used.code == 0 and one.ending != "timeout":
            courier.tell(children.success(one, used, now))
            self.summary.done += 1
        else:
            why = children.in_words(used.code)
            if one.ending == "timeout":
                why = f"timeout after {self.job.task_timeout:g} s, {why}"
            courier.tell(children.failure(one, used, now, why))
            self.summary.failed += 1

    # ---- stop

    def _stop(self, why: str, *, release: bool = False) -> None:
        """Begin no more; with `release` end what is running."""
        self.stopped = self.stopped or why
        self.courier.stop()
        if release:
            self._release()

    def _obey(self) -> None:
        """Do what signals ask for."""
        while self._signals:
            number = self._signals.pop(0)
            first = self.signal is None
            self.signal = self.signal or number
            finish = self.job.on_signal == "finish" and first
            ending = [one for one in self._groups() if one.ending]
            self._stop(f"it got {signal.Signals(number).name}", release=not finish)
            for one, used in self._lingering:  # who ended by itself has done what it had to do
                one.end("released" if children.echoes(used) else LEFT_BEHIND, self.job.grace)
            self.courier.hurry()
            if self._heard.again:  # what has been asked to end already is not waited for
                for one in ending:
                    one.kill_at = min(one.kill_at, self._ticked)

    def _groups(self) -> list[Child]:
        """All process groups of which something still runs."""
        return [*self._running.values(), *(one for one, _ in self._lingering)]

    def _release(self) -> None:
        """End what is running; its tasks are given back."""
        for one in self._running.values():
            one.end("released", self.job.grace)

    def _end_all(self) -> None:
        """Leave nothing running, whatever has gone wrong."""
        self._release()
        while self._running or self._lingering:
            self._wait()
            self._reap()
            self._tick(time.monotonic())

    def _close(self) -> None:
        """Deliver and sign off; an error on its way out is not covered by a second one."""
        raising = sys.exc_info()[0] is not None
        try:
            self.courier.close()
        except TaskFarmError as error:
            if self._heard.again:  # who ends this at once does not wait for a server that is away
                log.warning("%s", error)
            elif not raising:
                raise
        finally:
            self._spawner.close()
            self._guard.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
        self.summary.take_out(self.courier.stale)

    def _left(self) -> float:
        """Seconds until this farmer ends itself."""
        return self._deadline - time.monotonic()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)
        self.courier.hurry(again=self._heard.note(number))
        if self._registering:  # nothing runs yet, and the call may be repeated for an hour
            self._registering = False
            raise _Interrupted

    @contextlib.contextmanager
    def _handling(self) -> Iterator[None]:
        """Hear of signals and of commands that end; both wake the loop."""
        # What is ignored stays ignored: SIGHUP below nohup, SIGINT in the background of a script.
        heard = [one for one in children.STOPPING if signal.getsignal(one) != signal.SIG_IGN]
        old = {number: signal.signal(number, self._on_signal) for number in heard}
        child = signal.signal(signal.SIGCHLD, _nothing)
        wakeup = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            signal.signal(signal.SIGCHLD, child)
            for number, handler in old.items():
                signal.signal(number, handler)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Handle SIGCHLD: that it is handled is what wakes the loop."""


def _say(text: str) -> None:
    """Tell of a command; nobody's work stops because nobody reads it."""
    with contextlib.suppress(OSError, ValueError):
        print(f"{time.asctime()} {text}", file=sys.stderr, flush=True)
