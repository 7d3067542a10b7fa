"""What a worker of the published kind holds on a server that has the exchange.

Claims, reports and signs of life go through the one call that may be repeated whatever became of it
before. They take turns, so that what is said to be held is always what the last answer left.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from . import _retry
from ._answers import Json, json_object
from ._courier import HEARTBEAT, PASSING
from ._errors import NotFoundError, TaskFarmError
from ._pulse import Pulse
from ._reports import Key
from ._session import Call, Repeat, ServerSession

log = logging.getLogger("taskfarm_worker")


class Handed(NamedTuple):
    """A task that the server has handed out, and how much of it an earlier attempt got done."""

    key: Key
    percent: float


class Hold:
    """The tasks of one worker, in the process that is this worker or in one that helps it.

    A forked child, or a process that got a pickle, may report on the task that it has inherited.
    It does so under the name of the worker that claimed it, and shows that somebody is alive; but
    it does not say what that worker holds, as it cannot know.

    Attributes:
        kept: what is not ended, as far as we know: in hand, let go of, and in the inbox.
        in_hand: what is worked on; ended or not, as it may be ended by hand.
        taken: what of that the server has taken away, or `close` has given back.
        own: whether this process is the worker.
    """

    def __init__(
        self,
        server: ServerSession,
        run: str,
        worker: str,
        register: Callable[[], None] | None,
    ) -> None:
        """Hold nothing.

        Args:
            server: the server.
            run: UUID of the run to take tasks from.
            worker: UUID of the worker.
            register: announces the worker once more; None where this process is not the worker.
        """
        self.pid = os.getpid()
        self.kept: set[Key] = set()
        self.in_hand: set[Key] = set()
        self.taken: set[Key] = set()
        self.own = register is not None
        self._inbox: deque[Handed] = deque()
        self._server = server
        self._once = server.impatient(sharing=True)
        self._run = run
        self._worker = worker
        self._register = register
        self._turn = threading.RLock()
        self._doubt = False  # whether the answer to a claim may have been lost
        self._interval = HEARTBEAT
        self._pulse = Pulse(self._beat, lambda: bool(self.kept))
        if self.own:
            _HOLDS[self.pid, worker] = self

    def claim(self) -> Handed | None:
        """Get a task.

        After an answer that was lost, the server is asked first what it has handed out: a task
        that only it knows of comes again.

        Returns:
            a task, or None where none waits now.

        Raises:
            TaskFarmError: the server refused or stayed away.
        """
        with self._turn:
            asked = False
            while not self._inbox and not asked:
                asked = bool(self._persist(lambda: self._wish(0 if self._doubt else 1))["want"])
            if not self._inbox:
                return None
            self._pulse.start(self._interval)
            handed = self._inbox.popleft()
            self.in_hand.add(handed.key)
            return handed

    def inherit(self, key: Key) -> None:
        """Take over a task in hand from the process that is the worker.

        Args:
            key: the task's number and the attempt's.
        """
        self.kept.add(key)
        self.in_hand.add(key)

    def let_go(self, key: Key) -> None:
        """Work on a task no more; one that has not ended is held all the same.

        Args:
            key: the task's number and the attempt's.
        """
        self.in_hand.discard(key)
        self.taken.discard(key)

    def report(self, key: Key, **what: Json) -> bool:
        """Report on an attempt.

        Args:
            key: the task's number and the attempt's.
            what: the rest of the report.

        Returns:
            False where it came too late: the attempt is not this worker's any more.

        Raises:
            TaskFarmError: the server refused or stayed away.
        """
        reports = {self._run: [{"task": key[0], "attempt": key[1], **what}]}
        with self._turn:
            self._persist(lambda: {"want": 0, "runs": [self._run], "reports": reports})
            if key in self.taken:
                return False
            if "status" in what:
                self.kept.discard(key)
            elif not self.own:
                self._pulse.start(self._interval)
            return True

    @contextmanager
    def changing(self, task: int) -> Iterator[None]:
        """Change the status of a task by hand; afterwards it is not held any more.

        Args:
            task: its number.

        Yields:
            control, for the change, while no exchange is under way.
        """
        with self._turn:
            yield
            self.kept = {key for key in self.kept if key[0] != task}

    def close(self, *, sign_off: bool) -> None:
        """Stop giving signs of life, unless there are tasks that were let go of.

        Args:
            sign_off: whether the server is told, so that what is held waits again at once.
        """
        with self._turn:
            if self.own and self.kept - self.in_hand - {one.key for one in self._inbox}:
                return
            self._pulse.stop()
            if self.own:
                self.taken |= self.in_hand & self.kept
            self.kept.clear()
            self._inbox.clear()
            self._doubt = True  # what is not given back may be claimed again
            if self.own and sign_off:
                self._sign_off()

    def _sign_off(self) -> None:
        try:
            self._once.call(Call("DELETE", f"worker/{self._worker}"))
        except TaskFarmError as error:
            log.warning("This worker could not sign off: %s", error)

    def _wish(self, want: int = 0) -> dict[str, Json]:
        """Ask for tasks, or else say what is held: with each sign of life, and when in doubt.

        Not with each claim, as it may be thousands of tasks that were let go of.
        """
        wish: dict[str, Json] = {"want": want, "runs": [self._run]}
        if self.own and not want:
            wish["holding"] = {self._run: sorted(self.kept)}
        return wish

    def _persist(self, compose: Callable[[], dict[str, Json]]) -> dict[str, Json]:
        """Make an exchange, and repeat it while patience lasts.

        Args:
            compose: gives what to say, anew for each try.

        Returns:
            what was said in the end.
        """
        retrying = _retry.Retrying(
            self._server.patience, self._server.clock, longest=self._interval
        )
        registered = False
        while True:
            body = compose()
            try:
                self._exchange(body)
            except PASSING as error:
                if not retrying.wait(str(error), getattr(error, "retry_after", None)):
                    tries, seconds = retrying.failures, retrying.elapsed
                    error.append(f"Given up after {tries} tries in {seconds:.0f} s.")
                    raise
            except NotFoundError as error:
                if registered:
                    raise
                self._register_again(error)
                registered = True
            else:
                retrying.succeeded("The exchange with the server")
                return body

    def _register_again(self, error: NotFoundError) -> None:
        """Register where the server forgot the worker; otherwise the error stands."""
        if error.code != "worker_not_found" or self._register is None:
            raise error
        log.warning("The server does not know this worker any more: it registers again.")
        self._register()

    def _exchange(self, body: dict[str, Json]) -> None:
        call = Call("POST", f"worker/{self._worker}/exchange", body=body, repeat=Repeat.FREELY)
        self._doubt = self._doubt or bool(body["want"])
        answer = json_object(self._once.call(call))
        self._interval = min(HEARTBEAT, float(answer.get("heartbeat") or HEARTBEAT))
        for run, task, attempt in [*(answer.get("drop") or []), *(answer.get("stale") or [])]:
            if run == self._run:
                self._drop((task, attempt))
        for one in answer.get("tasks") or []:
            key = (one["task"], one["attempt"])
            if one["run"] == self._run and key not in self.kept:
                self.kept.add(key)
                self.taken.discard(key)
                self._inbox.append(Handed(key, float(one["percentCompleted"])))
        if "holding" in body or body["want"]:  # which is only said without a doubt
            self._doubt = False

    def _drop(self, key: Key) -> None:
        """Forget what the server has taken away."""
        in_hand = key in self.in_hand
        if in_hand:
            self.taken.add(key)
        if key in self.kept:
            self.kept.discard(key)
            level = logging.WARNING if in_hand else logging.INFO
            log.log(level, "Task %d, attempt %d, was taken away by the server.", *key)
        self._inbox = deque(one for one in self._inbox if one.key != key)

    def _beat(self) -> float:
        """Give a sign of life. Trouble is for the next call to tell; this goes on."""
        with self._turn:
            if not self.kept:  # closed meanwhile
                return self._interval
            try:
                self._exchange(self._wish())
            except NotFoundError as error:
                self._not_found(error)
            except Exception as error:
                log.debug("No sign of life could be given: %s", error)
            return self._interval

    def _not_found(self, error: NotFoundError) -> None:
        """Register again; where the run is gone, nothing of it is held."""
        try:
            self._register_again(error)
        except TaskFarmError as other:
            log.debug("No sign of life could be given: %s", other)
            if error.code == "run_not_found":
                self.kept.clear()


_HOLDS: weakref.WeakValueDictionary[tuple[int, str], Hold] = weakref.WeakValueDictionary()
"""What this process holds, by process and worker, so that copies of a worker share it."""


def find_hold(worker: str) -> Hold | None:
    """Find what this process holds as a worker.

    Args:
        worker: UUID of the worker.

    Returns:
        it, or None where this process is not that worker.
    """
    return _HOLDS.get((os.getpid(), worker))
