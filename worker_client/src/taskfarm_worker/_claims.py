"""How a worker of the published kind gets its tasks and reports on them: in one of two ways.

Where the server has the exchange, by that: a claim or a report may be repeated whatever became of
it, names its attempt, and the server notices when the process has died. Elsewhere, taskfarm 0.4.0
for one, by the documented calls. A worker finds out once, before it registers.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple
from uuid import uuid4

from ._answers import json_object, member
from ._courier import HEARTBEAT, LABELS
from ._errors import ConflictError, ResponseError
from ._hold import Hold, find_hold
from ._outbox import Outbox
from ._reports import Key
from ._session import Call, Repeat, ServerSession

Process = tuple[str, int]
"""A host's name and a process's number there."""


class Claimed(NamedTuple):
    """A task to work on; what an earlier attempt got done of it, if the server says so."""

    task: int
    percent: float | None


class Claims(ABC):
    """What a worker can do: claim, report, let go. One task at most is in hand.

    Attributes:
        uuid: UUID of the worker.
    """

    def __init__(self, server: ServerSession, run: str, uuid: str) -> None:
        """Prepare.

        Args:
            server: the server.
            run: UUID of the run.
            uuid: UUID of the worker.
        """
        self.uuid = uuid
        self._server = server
        self._run = run

    @property
    @abstractmethod
    def own(self) -> bool:
        """Whether claims may be made; else this process has to register first."""

    @abstractmethod
    def claim(self) -> Claimed | None:
        """Get a task; None where none waits now."""

    @abstractmethod
    def note(self, task: int, percent: float) -> None:
        """Have the progress of the task in hand sent in the background."""

    @abstractmethod
    def flush(self) -> None:
        """Wait until what was noted is sent."""

    @abstractmethod
    def done(self, task: int) -> None:
        """Report the task in hand as done."""

    @abstractmethod
    def let_go(self) -> None:
        """Have no task in hand any more."""

    @abstractmethod
    def changing(self, task: int) -> AbstractContextManager[None]:
        """Enclose a change of a task's status by hand."""

    @abstractmethod
    def close(self, *, sign_off: bool) -> None:
        """Send what was noted, and sign off if that is wanted and makes sense."""


class Documented(Claims):
    """The documented calls."""

    def __init__(self, server: ServerSession, run: str, uuid: str) -> None:
        """As for all."""
        super().__init__(server, run, uuid)
        self._outbox = Outbox(self._put_percent)

    @property
    def own(self) -> bool:
        """Always: the server does not mind."""
        return True

    def claim(self) -> Claimed | None:
        """Ask for a task. When the answer is lost, so may be one task."""
        call = Call(
            "POST",
            f"runs/{self._run}/task",
            body={"worker_uuid": self.uuid},
            repeat=Repeat.AT_A_PRICE,
            doubt="A task may have been handed out that nobody knows of; it stays 'computing' "
            f"until 'manageTF --reset {self._run}', once no worker is computing.",
        )
        answer = self._server.call(call)
        if answer.status_code == 204:
            return None
        return Claimed(int(member(answer, "task")), json_object(answer).get("percentCompleted"))

    def note(self, task: int, percent: float) -> None:
        """As for all."""
        self._outbox.put(task, percent)

    def flush(self) -> None:
        """As for all."""
        self._outbox.flush()

    def done(self, task: int) -> None:
        """As for all."""
        self._put(task, "status", "done")

    def let_go(self) -> None:
        """Nothing: the server hears of nothing but claims and reports."""

    def changing(self, task: int) -> AbstractContextManager[None]:
        """Nothing, as well."""
        return nullcontext()

    def close(self, *, sign_off: bool) -> None:
        """As for all. There is no signing off."""
        self.flush()

    def _put_percent(self, task: int, percent: float) -> None:
        self._put(task, "percentCompleted", percent)

    def _put(self, task: int, info: str, value: object) -> None:
        self._server.call(Call("PUT", f"runs/{self._run}/tasks/{task}", body={info: value}))


class Exchanging(Claims):
    """The exchange."""

    def __init__(self, server: ServerSession, run: str, uuid: str, home: Process) -> None:
        """As for all.

        Args:
            server: the server.
            run: UUID of the run.
            uuid: UUID of the worker.
            home: the process that is the worker, to be named when it has to register again.
        """
        super().__init__(server, run, uuid)
        self._key: Key | None = None
        self._outbox = Outbox(self._send_percent)
        self._held = Hold(server, run, uuid, partial(register, server, uuid, home, lives=True))

    def __getstate__(self) -> dict[str, object]:
        """Leave out what belongs to this process."""
        return {key: value for key, value in self.__dict__.items() if key != "_held"}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Go on as that worker where this process is it; elsewhere, help it out."""
        self.__dict__.update(state)
        self._held = find_hold(self.uuid) or self._foreign()

    @property
    def own(self) -> bool:
        """Whether this process is the worker."""
        return self._hold.own

    @property
    def _hold(self) -> Hold:
        """What is held here. A forked child holds nothing but the task in hand."""
        if self._held.pid != os.getpid():
            self._held = self._foreign()
        return self._held

    def _foreign(self) -> Hold:
        hold = Hold(self._server, self._run, self.uuid, None)
        if self._key is not None:
            hold.inherit(self._key)
        return hold

    def claim(self) -> Claimed | None:
        """As for all."""
        handed = self._hold.claim()
        if handed is None:
            return None
        self._key = handed.key
        return Claimed(handed.key[0], handed.percent)

    def note(self, task: int, percent: float) -> None:
        """As for all."""
        self._check(task)
        self._outbox.put(task, percent)

    def flush(self) -> None:
        """As for all."""
        self._outbox.flush()

    def done(self, task: int) -> None:
        """As for all."""
        self._check(task)
        if self._key is not None and not self._hold.report(self._key, status="done"):
            self._check(task)

    def let_go(self) -> None:
        """As for all. Until it is ended, the server still hears that the task is held."""
        if self._key is not None:
            self._hold.let_go(self._key)
            self._key = None

    def _check(self, task: int) -> None:
        """Raise a ConflictError where the task in hand was taken away."""
        if self._key in self._hold.taken:
            raise ConflictError(
                f"Task {task} is not this worker's any more, so nothing was noted: it was "
                "restarted, cancelled, ended or given to another worker, or close() gave it back. "
                "Go on with the next one.",
                status=409,
                code="stale",
                detail=f"Task {task} is not this worker's any more.",
            )

    def changing(self, task: int) -> AbstractContextManager[None]:
        """As for all."""
        return self._hold.changing(task)

    def close(self, *, sign_off: bool) -> None:
        """As for all."""
        try:
            self.flush()
        finally:
            self._hold.close(sign_off=sign_off)

    def _send_percent(self, task: int, percent: float) -> None:
        """Send progress; if it came too late, the next call on the task says so."""
        key = self._key
        if key is not None and key[0] == task:
            self._hold.report(key, percentCompleted=percent)


def enroll(server: ServerSession, run: str, home: Process) -> Claims:
    """Register this process as a worker, in the way that the server understands.

    Args:
        server: the server.
        run: UUID of the run to work on.
        home: host and process.

    Returns:
        what the worker claims and reports by.

    Raises:
        TaskFarmError: the server refused or stayed away.
    """
    uuid = uuid4().hex
    lives = _has_exchange(server, uuid)
    register(server, uuid, home, lives=lives)
    return Exchanging(server, run, uuid, home) if lives else Documented(server, run, uuid)


def register(server: ServerSession, uuid: str, home: Process, *, lives: bool) -> None:
    """Announce a process as a worker.

    Safe to repeat, since the client chooses the UUID: when the answer to the first try is lost and
    the second hears that the worker exists, the first has registered it.

    Args:
        server: the server.
        uuid: UUID of the worker.
        home: host and process.
        lives: whether it promises signs of life.
    """
    host, pid = home
    body: dict[str, object] = {"uuid": uuid, "hostname": host, "pid": pid}
    if lives:
        body["heartbeat"] = max(1, round(HEARTBEAT))
        body["labels"] = {name: os.environ[name] for name in LABELS if name in os.environ}
    already = (409, "worker_exists")
    server.call(Call("POST", "worker", body=body, repeat=Repeat.FREELY, already=already))


def _has_exchange(server: ServerSession, uuid: str) -> bool:
    """Ask a server whether it has the exchange: it knows then that it does not know the worker.

    Asked before the worker registers, so that a promise to give signs of life is only made where
    it can be kept.
    """
    try:
        server.call(Call("POST", f"worker/{uuid}/exchange", body={}, repeat=Repeat.FREELY))
    except ResponseError as error:
        if error.status not in (404, 405):
            raise
        return error.code == "worker_not_found"
    return True
