"""The courier: the one thread of a worker process that talks to the server.

The process works, the courier brings its reports to the server, fetches tasks ahead, and shows
that the process is alive; all in one call, the exchange.

What is shared between the two threads is made of operations that are atomic in Python: the worker
appends reports at the end of lists and takes tasks from the front of a deque; the courier removes
reports from the front once the server has them. A lock is taken per batch, never per task.

Nothing gets lost: reports stay in their lists until an answer confirms them, and after any trouble
the exchange is repeated with the same reports and with what this process holds. The server accepts
a repeated report, and hands out again what only it knows to be held.
"""

from __future__ import annotations

import json
import logging
import math
import os
import random
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from . import _retry
from ._answers import Json, json_object
from ._durations import Durations
from ._errors import (
    BadRequestError,
    NotFoundError,
    ServerError,
    ServerUnavailableError,
    ServerUnreachableError,
    TaskFarmError,
    ThrottledError,
    TooLargeError,
    UnexpectedAnswerError,
)
from ._reports import Done, Key, Told, not_begun, refused
from ._session import Call, Repeat, ServerSession
from ._signals import signals_blocked

log = logging.getLogger("taskfarm_worker")

HEARTBEAT = 10.0
"""Seconds between two signs of life at most."""

AHEAD = 2.0
"""Seconds of work that a process keeps in hand."""

UNSENT = 1.0
"""Seconds that a report waits for others; that of a task which took longer does not wait."""

FULL = 500
"""Reports that are not kept waiting for more."""

MOST_AHEAD = 1000
MOST_REPORTS = 5000
MOST_BYTES = 4 * 2**20
"""What one exchange carries; half of what a server takes by default."""

LABELS = (
    "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURMD_NODENAME",
    "PBS_JOBID", "PBS_ARRAY_INDEX", "LSB_JOBID", "LSB_JOBINDEX", "FLUX_JOB_ID",
    "KUBERNETES_JOB", "KUBERNETES_NODE", "JOB_COMPLETION_INDEX",
)  # fmt: skip
"""Variables that tell to which job of a batch system a worker belongs, and on which node it is."""

STUCK = 30.0
"""Seconds in one task after which the tasks kept ahead are given back for others to do."""

LONGEST_WAIT = 60.0
"""Seconds after which a worker that waits for a task looks at its time again."""

AGAIN = 60.0
"""Seconds within which a worker that the server forgets twice gives up."""

GRACE = 20.0
"""Seconds for which last reports are tried after a signal; batch systems kill soon after it."""

QUICK = 2.0
"""The same after a second signal: whoever sends it wants the end now."""

PASSING = (
    ServerError,
    ServerUnavailableError,
    ServerUnreachableError,
    ThrottledError,
    UnexpectedAnswerError,
)
"""What an exchange is repeated after; it may always be repeated."""


class InHand(NamedTuple):
    """A task that the server has handed out."""

    key: Key
    percent: float
    input: Json


@dataclass
class Batch:
    """What one exchange says."""

    plain: int
    told: int
    ended: dict[Key, Told | None]
    progress: dict[Key, float]
    want: int
    holding: bool
    more: bool


class Courier:
    """Reports, claims ahead and beats for one process.

    Attributes:
        inbox: tasks in hand, not yet begun. The worker takes from the front.
        plain: attempts that succeeded with nothing to tell. The worker appends.
        told: other ends of attempts. The worker appends.
        dropped: what the server has taken away.
        armed: whether the courier knows that there is something to send.
        full: so many plain reports are not kept waiting.
        began: when the present task was begun; infinite between tasks.
        free: tasks that could be begun at once while none is in the inbox.
        stale: how many reports on ended attempts do not count, as they came too late or the task
            was taken away before they were sent; by the status that they told.
        error: why the courier has given up.
    """

    def __init__(
        self,
        server: ServerSession,
        run: str,
        worker: str,
        *,
        heartbeat: float = HEARTBEAT,
        patience: float = 3600.0,
        time_left: Callable[[], float] | None = None,
        alive: Callable[[], bool] = lambda: True,
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            server: the server.
            run: UUID of the run to take tasks from.
            worker: UUID under which this process is registered.
            heartbeat: seconds between signs of life, as promised to the server.
            patience: seconds for which a server that is away is waited for.
            time_left: seconds until the batch job ends.
            alive: whether those for whom this process works still exist.
            on_news: called, from the courier's thread, when there is something to take, to drop
                or to hear; for a worker that waits for other things, too.
        """
        self.inbox: deque[InHand] = deque()
        self.plain: list[Done] = []
        self.told: list[Told] = []
        self.dropped: set[Key] = set()
        self.durations = Durations()
        self.armed = False
        self.full: float = FULL
        self.began = math.inf
        self.free = 1
        self.stale: Counter[str] = Counter()
        self.error: TaskFarmError | None = None
        self._server = server.impatient()
        self._run = run
        self._worker = worker
        self._promised = heartbeat
        self._time_left = time_left
        self._alive = alive
        self._on_news = on_news
        self._progress: dict[Key, float] = {}
        self._held: set[Key] = set()
        self._bell = threading.Condition()
        self._hurry = threading.Event()
        self._retrying: _retry.Retrying | None = None
        self._patience = patience
        self._thread: threading.Thread | None = None
        self._refused: Key | None = None
        self._registered = -math.inf
        self._reset()

    def _reset(self) -> None:
        self._due = math.inf
        self._beat = time.monotonic() + self._promised
        self._not_before = 0.0
        self._idle = False
        self._over = False
        self._stopping = False
        self._closing = False
        self._doubt = False
        self._say_holding = False
        self._starved = False
        self._asked = False
        self._hurried = False
        self._grace_seconds = GRACE
        self._grace_ends = math.inf
        self._most = MOST_REPORTS
        self._bytes_per_task = 0.0

    # ---- what the worker calls, from its own thread

    def register(self, server: ServerSession | None = None) -> None:
        """Announce this process as a worker; safe to repeat, since the UUID is our own choice.

        Args:
            server: a session that repeats calls, in place of our own.
        """
        call = Call(
            "POST",
            "worker",
            body={
                "uuid": self._worker,
                "hostname": socket.gethostname(),
                "pid": os.getpid(),
                "heartbeat": max(1, round(self._promised)),
                "labels": {name: os.environ[name] for name in LABELS if name in os.environ},
            },
            repeat=Repeat.FREELY,
            already=(409, "worker_exists"),
        )
        (server or self._server).call(call)

    def start(self) -> None:
        """Begin to fetch tasks."""
        self._thread = threading.Thread(target=self._live, name="taskfarm-courier", daemon=True)
        with signals_blocked():
            self._thread.start()

    def next(self) -> InHand | None:
        """Wait for a task.

        Returns:
            the next task; None when there will be no more.

        Raises:
            TaskFarmError: the server refused or stayed away.
        """
        self.began = math.inf
        with self._bell:
            self._idle = True
            self._bell.notify_all()
            while not self.inbox and not (self._over or self._stopping or self.error):
                left = self._left() - self.durations.p95
                if left <= 0:  # no task that comes now would fit
                    break
                self._bell.wait(min(left, LONGEST_WAIT))
            self._idle = False
            if self.inbox and not self._stopping and not self.error:
                return self.inbox.popleft()
        if self.error is not None:
            raise self.error
        return None

    def poll(self) -> InHand | None:
        """Take a task, without waiting for one.

        Returns:
            a task; None when there is none now, or (see `over`) never again.

        Raises:
            TaskFarmError: the server refused or stayed away.
        """
        if self.error is not None:
            raise self.error
        try:
            hand = self.inbox.popleft()
        except IndexError:
            with self._bell:
                if not self._idle:
                    self._idle = True
                    self._bell.notify_all()
            return None
        self._idle = False
        return hand

    def ask(self) -> None:
        """Ask for tasks at once, and report by the way: whoever works has nothing left to do."""
        with self._bell:
            self._asked = True
            self._not_before = 0.0
            self._due = time.monotonic()
            self._bell.notify_all()

    @property
    def over(self) -> bool:
        """Whether there will be no more tasks."""
        return not self.inbox and (self._over or self._stopping)

    def _left(self) -> float:
        """Seconds until the batch job ends; infinite when nobody knows."""
        return self._time_left() if self._time_left is not None else math.inf

    def ring(self, seconds: float = 0.0) -> None:
        """Ask for an exchange.

        Args:
            seconds: within how many.
        """
        due = time.monotonic() + seconds
        with self._bell:
            if due < self._due:
                self._due = due
                self._bell.notify_all()

    def tell(self, report: Told) -> None:
        """Report the end of an attempt that has something to tell.

        Args:
            report: the report.
        """
        self.told.append(report)
        if not self.armed:
            self.arm()
        elif len(self.told) >= self.full:
            self.full = math.inf
            self.ring()

    def arm(self) -> None:
        """See to it that what is to be sent is sent within a second."""
        self.armed = True
        self.ring(UNSENT)

    def note_progress(self, key: Key, percent: float) -> None:
        """Remember how far a task is; the last word is sent within a second.

        Args:
            key: the task's number and the attempt's.
            percent: how much of it is done.
        """
        self._progress[key] = percent
        if not self.armed:
            self.arm()

    def stop(self) -> None:
        """Fetch no more tasks, and forget those not begun. Signal handlers may call this."""
        with self._bell:
            self._stopping = True
            self.inbox.clear()
            self._bell.notify_all()

    def hurry(self, *, again: bool = False) -> None:
        """Wait no longer than some seconds for a server that is away. For signal handlers, too.

        Args:
            again: somebody has lost patience: hardly any longer.
        """
        if again:
            self._grace_seconds = min(self._grace_seconds, QUICK)
        self._hurried = True
        self._hurry.set()
        if self._closing:
            self._begin_grace()

    def _begin_grace(self) -> None:
        """From now on last reports are tried for some seconds only."""
        self._grace_ends = min(self._grace_ends, time.monotonic() + self._grace_seconds)

    def _grace(self) -> float:
        """Seconds for which last reports are still tried; infinite unless a signal came."""
        return max(0.0, self._grace_ends - time.monotonic())

    def close(self) -> None:
        """Send what is to be sent, give back what is held, sign off.

        Raises:
            TaskFarmError: reports could not be delivered; the text says how many.
        """
        self.stop()
        self.began = math.inf
        with self._bell:
            self._closing = True
            self._bell.notify_all()
        if self._hurried:
            self._begin_grace()
        if self._thread is not None:
            self._join(self._thread)
        if self.error is not None:
            raise self.error

    def _join(self, thread: threading.Thread) -> None:
        """Wait for the thread; in a hurry not for an answer that may take another minute."""
        while thread.is_alive():
            thread.join(0.2)
            if time.monotonic() > self._grace_ends + UNSENT and self.error is None:
                log.warning("The server does not answer: this worker could not sign off.")
                if self._something_to_say():
                    seconds = self._grace_seconds
                    told = f"The server did not answer within {seconds:g} s after the signal."
                    self._give_up(ServerUnreachableError(told))
                return

    # ---- the thread

    def _live(self) -> None:
        try:
            while self._wait():
                self._exchange()
            if not isinstance(self.error, PASSING):
                self._sign_off()
        except TaskFarmError as error:
            self._give_up(error)
        except Exception as error:
            log.exception("The courier of this worker failed.")
            self._give_up(TaskFarmError(f"The courier of this worker failed: {error!r}"))
        finally:
            self._server.close()

    def _wait(self) -> bool:
        """Wait until there is something to do; False when it is time to go."""
        with self._bell:
            while self.error is None:
                now = time.monotonic()
                if self._closing and not self._something_to_say():
                    return False
                if self._closing or now >= self._when():
                    return True
                self._bell.wait(self._when() - now)
        return False

    def _when(self) -> float:
        """The time of the next exchange."""
        when = min(self._due, self._beat)
        wants = self._idle and not self.inbox and not self._over and not self._stopping
        return min(when, self._not_before) if wants else when

    def _something_to_say(self) -> bool:
        return bool(self.plain or self.told or any(key in self._held for key in [*self._progress]))

    def _exchange(self) -> None:
        """Make one exchange, and see what the answer brings."""
        self._due = math.inf
        self.armed = self._asked = False
        self._give_back_when_stuck()
        batch, content = self._compose()
        call = Call(
            "POST",
            f"worker/{self._worker}/exchange",
            content=content,
            repeat=Repeat.FREELY,
            within=self._grace(),
        )
        try:
            answer = self._server.call(call)
            body = json_object(answer)
        except (BadRequestError, TooLargeError) as error:
            self._divide(batch, error)
        except PASSING as error:
            self._wait_for_server(error)
        except NotFoundError as error:
            self._not_found(error)
        except TaskFarmError as error:
            self._give_up(error)
        else:
            self._confirmed(batch)
            self._take(batch, body, len(answer.content))

    def _compose(self) -> tuple[Batch, bytes]:
        """Say what there is to say. Reports on tasks that were taken away are left out."""
        plain = self.plain[: self._most]
        told = self._fitting(self._most - len(plain))
        held = self._held
        now = time.monotonic()
        done = [report for report in plain if report[0] in held]
        others = [report for report in told if report.key in held]
        ended: dict[Key, Told | None] = dict.fromkeys(report.key for report in done)
        ended.update((report.key, report) for report in others)
        texts = [report.text(now) for report in others]
        progress = dict(self._progress)
        for key in held.intersection(progress).difference(ended):
            body = {"task": key[0], "attempt": key[1], "percentCompleted": progress[key]}
            texts.append(json.dumps(body))
        holding = self._doubt or self._say_holding or now >= self._beat
        more = len(plain) + len(told) < len(self.plain) + len(self.told)
        batch = Batch(len(plain), len(told), ended, progress, self._want(now), holding, more)
        return batch, self._encode(batch, [report.text(now) for report in done], texts)

    def _encode(self, batch: Batch, done: list[str], texts: list[str]) -> bytes:
        """The body of an exchange; the texts are JSON already."""
        run = self._run
        parts = [f'{{"want": {batch.want}, "runs": ["{run}"]']
        if done:
            parts.append(f'"done": {{"{run}": [{", ".join(done)}]}}')
        if texts:
            parts.append(f'"reports": {{"{run}": [{", ".join(texts)}]}}')
        if batch.holding:
            held = [*self._held.difference(batch.ended)]
            parts.append(f'"holding": {{"{run}": {json.dumps(held)}}}')
        left = self._left()
        if left < math.inf:
            parts.append(f'"timeLeft": {max(0.0, left):.3f}')
        return (", ".join(parts) + "}").encode()

    def _fitting(self, most: int) -> list[Told]:
        """The first reports with something to tell, as far as they fit into one exchange."""
        size = 0
        chosen = self.told[:most]
        for index, report in enumerate(chosen):
            size += len(report.json)
            if size > MOST_BYTES and index:
                return chosen[:index]
        return chosen

    def _want(self, now: float) -> int:
        """How many tasks to ask for: two seconds of work, and one for a worker without any."""
        if self._stopping or self._over or self._doubt or now < self._not_before:
            return 0
        mean = self.durations.mean
        busy = now - self.began
        ahead = 0
        if self.durations.count and busy < AHEAD:
            ahead = int(AHEAD / mean) if mean * MOST_AHEAD > AHEAD else MOST_AHEAD
        if self._bytes_per_task * ahead > MOST_BYTES:
            ahead = int(MOST_BYTES / self._bytes_per_task)
        if not self.inbox and busy < 0:
            ahead = max(ahead, self.free)
        return max(0, ahead - len(self.inbox))

    def _confirmed(self, batch: Batch) -> None:
        """The server has these reports; now they can be forgotten."""
        if len(batch.ended) < batch.plain + batch.told:
            self._note_left_out(batch)
        self._held.difference_update(batch.ended)
        del self.plain[: batch.plain]
        del self.told[: batch.told]
        for key, percent in batch.progress.items():
            if self._progress.get(key) == percent:
                self._progress.pop(key, None)
        if self._retrying is not None:
            self._retrying.succeeded("The exchange with the server")
            self._retrying = None
        self._most = MOST_REPORTS
        self.full = FULL
        if batch.more:
            self.ring()

    def _take(self, batch: Batch, answer: dict[str, Json], size: int) -> None:
        """Take in what the server says."""
        now = time.monotonic()
        tasks = answer.get("tasks") or []
        self._note_stale(batch, answer.get("stale") or [])
        self._drop(answer.get("drop") or [])
        if len(tasks) > 10:
            self._bytes_per_task = size / len(tasks)
        with self._bell:
            self._doubt = self._say_holding = False
            if batch.holding:
                interval = min(self._promised, float(answer.get("heartbeat") or HEARTBEAT))
                self._beat = now + interval
            if tasks:
                self._starved = False
            if not self._stopping:
                self._put(tasks)
            if batch.want and not tasks:
                self._none_to_be_had(answer, now)
            if not self._alive():
                log.warning("The process that started this worker is gone: it stops.")
                self._stopping = True
                self.inbox.clear()
            self._bell.notify_all()
        self._on_news()

    def _put(self, tasks: list[dict[str, Json]]) -> None:
        """Put new tasks into the inbox; those that are in hand already may be handed out again."""
        held, inbox = self._held, self.inbox
        for one in tasks:
            key = (one["task"], one["attempt"])
            if key not in held and one["run"] == self._run:
                held.add(key)
                self.dropped.discard(key)
                inbox.append(InHand(key, one["percentCompleted"], one.get("input")))

    def _none_to_be_had(self, answer: dict[str, Json], now: float) -> None:
        """Ask again later, or not at all."""
        if answer.get("finished"):
            self._over = True
            if self._held:  # a cancelled run: hear what is to be dropped
                self._say_holding = True
                self._due = now
        else:
            # Once, as it could be us who hold what is left, after an answer that went astray.
            self._say_holding = not self._starved
            self._starved = True
            wait = float(answer.get("retryAfter") or 1.0)
            if not self._asked:  # since then, with reports that may have been the run's last
                self._not_before = now + wait * random.uniform(1.0, 1.25)

    def _drop(self, dropped: list[list[Json]]) -> None:
        """Forget what the server has taken away."""
        for run, number, attempt in dropped:
            key = (number, attempt)
            if run == self._run and key in self._held:
                log.info("Task %d, attempt %d: taken away by the server.", number, attempt)
                self._held.discard(key)
                self.dropped.add(key)

    def _note_left_out(self, batch: Batch) -> None:
        """Take up reports that were not sent, as the server had taken their tasks away."""
        gone = [one for one in self.plain[: batch.plain] if one.key not in batch.ended]
        self.stale["done"] += len(gone)
        for report in self.told[: batch.told]:
            if report.key not in batch.ended:
                self.stale[json.loads(report.json)["status"]] += 1

    def _note_stale(self, batch: Batch, stale: list[list[Json]]) -> None:
        """Take up what did not count, so that nobody counts it here either."""
        for _, number, attempt in stale:
            key = (number, attempt)
            if key in batch.ended:  # else it told of progress
                told = batch.ended[key]
                self.stale[json.loads(told.json)["status"] if told else "done"] += 1
        if len(stale) == 1:
            log.warning("1 report came too late: that on task %s. The server had given up the "
                        "attempt.", stale[0][1])  # fmt: skip
        elif stale:
            log.warning("%d reports came too late, that on task %s first: the server had given "
                        "up the attempts.", len(stale), stale[0][1])  # fmt: skip

    def _give_back_when_stuck(self) -> None:
        """Give the tasks kept ahead back when the present one takes long."""
        if time.monotonic() - self.began < STUCK:
            return
        while True:
            try:
                key = self.inbox.popleft().key
            except IndexError:
                return
            self.told.append(not_begun(key))

    # ---- trouble

    def _wait_for_server(self, error: TaskFarmError) -> None:
        """Wait before the exchange is repeated; give up when patience ends."""
        self._doubt = True
        if self._retrying is None:
            self._retrying = _retry.Retrying(
                self._patience, self._server.clock, longest=self._promised, ended=self._hurry
            )
        retrying = self._retrying
        if self._hurry.is_set():
            self._hurry.clear()
            self._patience = min(self._patience, GRACE)
            retrying.patience = min(retrying.patience, retrying.elapsed + GRACE)
        retrying.patience = min(retrying.patience, retrying.elapsed + self._grace())
        if not retrying.wait(str(error), getattr(error, "retry_after", None)):
            error.append(f"Given up after {retrying.failures} tries in {retrying.elapsed:.0f} s.")
            self._give_up(error)
        self.ring()

    def _divide(self, batch: Batch, error: TaskFarmError) -> None:
        """Find the report that the server refuses, and replace it by one that says so."""
        carried = batch.plain + batch.told
        if carried > 1:
            self._most = carried // 2
        elif batch.told and self.told[0].key != self._refused:
            self._refused = key = self.told[0].key
            self.told[0] = refused(self.told[0], str(error))
            log.error("Task %d: %s", key[0], error)
        elif batch.progress:
            log.error("Progress of task %d: %s", min(batch.progress)[0], error)
            self._progress.clear()
        else:
            self._give_up(error)
        self.ring()

    def _not_found(self, error: NotFoundError) -> None:
        """Register again where the server forgot the worker; a run that is gone is the end."""
        now = time.monotonic()
        if error.code == "worker_not_found" and now - self._registered > AGAIN:
            log.warning("The server does not know this worker any more: it registers again.")
            self._registered = now
            self.register()
            self._doubt = True
            self.ring()
        else:
            self._give_up(error)

    def _give_up(self, error: TaskFarmError) -> None:
        unsent = len(self.plain) + len(self.told)
        if unsent:
            gone = isinstance(error, NotFoundError) and error.code == "run_not_found"
            one = unsent == 1
            went = f"{'it went with its' if one else 'they went with their'} run."
            again = f"{'its task' if one else 'their tasks'} will be done again."
            what = "1 report" if one else f"{unsent} reports"
            error.append(f"{what} could not be delivered: {went if gone else again}")
        with self._bell:
            self.error = error
            self.inbox.clear()
            self._bell.notify_all()
        self._on_news()

    def _sign_off(self) -> None:
        """Say good-bye, so that what is held waits again at once."""
        try:
            self._server.call(Call("DELETE", f"worker/{self._worker}", within=self._grace()))
        except TaskFarmError as error:
            log.warning("This worker could not sign off: %s", error)
