"""Workers: tasks taken one after the other, and reported on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import nullcontext
from types import TracebackType

from . import _config
from ._answers import Json
from ._claims import enroll
from ._config import DEFAULT_URL
from ._errors import ConflictError
from ._farm import TaskFarm
from ._session import Timeout
from ._task import percentage as _percentage

WORK_PATIENCE = 3600.0
"""Seconds for which a worker waits for a server that is away: one hour, so that a reboot or an
upgrade of the server does not end a batch job that took days to get its place."""


class TaskFarmWorker(TaskFarm):
    """A worker: takes tasks of a run one after the other and reports on them.

    ::

        worker = TaskFarmWorker("user", "secret", "da8eb1c10eac4cefb39c8889d6d7170a")
        for task in worker.tasks:
            ...
            worker.update(100)
            worker.done()

    A server that is away is waited for, for an hour by default, so that it does not end the
    batch job; a warning in the log says so.

    Progress is sent in the background, so that `update` costs nothing; claims and `done` are
    calls of their own, which return when the server has them. `Run.work` does all of it in the
    background, many tasks at once; prefer it for new scripts.

    **A crash.** While the process lives, the server hears so every ten seconds from a thread of its
    own. A process that dies is noticed after three times as long, and its tasks wait again. That
    goes for a task which `done` let go of below 100 %, too: it stays *computing* while the
    process lives. A function of a C library that never lets other threads run for half a minute
    looks like a crash.

    **A lost answer** loses nothing: claims and reports are repeated, and count once. A task that
    the server takes away, since somebody restarted or cancelled it, is told by a warning in the
    log and a ConflictError of the next `update`, or `done` at 100 %. Then it is let go of, and the
    next one can be claimed.

    **A server without the exchange**, such as taskfarm 0.4.0, gets the documented calls. It never
    notices a crash, and when the answer to a claim is lost, a task may stay *computing* that
    nobody knows of: the worker logs a warning and claims again, as that costs one task until a
    restart of the run, where giving up would cost the whole job.

    **Forked or unpickled in another process**, it works on the task that it held at that moment
    and registers as a worker of its own before it claims the next. The first call there begins to
    show that this process lives; fork before you make the worker, if the parent is to end.
    """

    def __init__(
        self,
        username: str | None,
        password: str | None,
        uuid: str,
        url_base: str = DEFAULT_URL,
        *,
        token: str | None = None,
        timeout: Timeout | None = None,
        patience: float | None = None,
    ) -> None:
        """Open the run and register as a worker.

        Args:
            username: the user; None to take it from the environment or the configuration file.
            password: the password; None likewise.
            uuid: the run to work on.
            url_base: address of the server's API; `TASKFARM_URL` and the configuration file are
                consulted when it is left out.
            token: a token in place of the password; without a password it cannot be renewed.
            timeout: seconds to connect and to wait for an answer, one number or two.
            patience: seconds for which failing calls are repeated, as far as that is safe; by
                default `TASKFARM_PATIENCE`, or 30 while starting (a wrong address should show
                soon) and 3600 from then on.

        Raises:
            NotFoundError: the run does not exist, or the user may not see it.
            TaskFarmError: the configuration is unusable, or the server refused or stayed away.
        """
        super().__init__(
            username,
            password,
            uuid=uuid,
            url_base=url_base,
            token=token,
            timeout=timeout,
            patience=patience,
        )
        self._task: int | None = None
        self._percentage: float | None = None
        self._register()
        self._server.patience = _config.patience(patience, WORK_PATIENCE)

    @property
    def worker_uuid(self) -> str:
        """The UUID of the worker."""
        return self._claims.uuid

    @property
    def task(self) -> int | None:
        """The number of the task in hand.

        When there is none, the next one is claimed; None when no task is waiting any more.
        """
        if self._task is None:
            self._claim()
        return self._task

    @property
    def tasks(self) -> Iterator[int]:
        """Iterate over the tasks that are left; call `done` on each before the next."""
        while (task := self.task) is not None:
            yield task

    def update(self, percentage: float) -> None:
        """Report how much of the task in hand is done; without one, nothing happens.

        Returns at once: the report is sent in the background, and of several the last. Every
        other call waits for it first.

        Args:
            percentage: from 0 to 100.

        Raises:
            InvalidArgumentError: (a ValueError) it is not a number from 0 to 100.
            ConflictError: the server has taken the task away; it is not in hand any more.
            TaskFarmError: an earlier report could not be sent.
        """
        if self._task is None:
            return
        self._percentage = _percentage(percentage)
        try:
            self._claims.note(self._task, self._percentage)
        except ConflictError:
            self._let_go()
            raise

    def done(self) -> None:
        """Let go of the task in hand.

        At 100 % the task is reported as done. Below that nothing is sent and the task stays
        *computing* on the server while this process lives; after that, or when the run is
        restarted, it waits again.

        Raises:
            ConflictError: the task is at 100 %, but the server has taken it away; it is not in
                hand any more.
            TaskFarmError: it could not be reported, and stays in hand.
        """
        if self._task is None:
            return
        try:
            self._claims.flush()
            if self._percentage is not None and abs(self._percentage - 100) < 1e-6:
                self._claims.done(self._task)
        except ConflictError:
            self._let_go()
            raise
        self._let_go()

    def info(self, info: str) -> Json:
        """Get information about the run, after what was reported here.

        Args:
            info: as for `TaskFarm.info`.

        Returns:
            the value, or for "" a dictionary of all of them.
        """
        self._claims.flush()
        return super().info(info)

    def getTaskInfo(self, task: int, info: str) -> Json:
        """Get information about one task, after what was reported here.

        Args:
            task: its number, from 0.
            info: as for `TaskFarm.getTaskInfo`.

        Returns:
            the value, or for "" a dictionary of all of them.
        """
        self._claims.flush()
        return super().getTaskInfo(task, info)

    def setTaskInfo(self, task: int, info: str, value: object) -> None:
        """Change one task, after what was reported here.

        Args:
            task: its number, from 0.
            info: as for `TaskFarm.setTaskInfo`.
            value: the new value.
        """
        self._claims.flush()
        ended = info == "status" and value != "computing"
        with self._claims.changing(task) if ended else nullcontext():
            super().setTaskInfo(task, info, value)

    def restart(self, everything: bool = False) -> None:
        """Put tasks back to waiting, after what was reported here.

        Args:
            everything: as for `TaskFarm.restart`.
        """
        self._claims.flush()
        super().restart(everything)

    def delete(self) -> None:
        """Delete the run with all its tasks, after what was reported here."""
        self._claims.flush()
        super().delete()

    def close(self) -> None:
        """Send what is to be sent, give back the task in hand, sign off, close the connections.

        The task in hand waits again at once, with the percentage that it has. Where tasks were let
        go of below 100 %, nothing is given back: they, and the one in hand, stay *computing* while
        the process lives. A later call opens new connections; a later claim is one as before.

        A script that just ends without it loses no report. What it held waits again when the
        server has noticed its end, half a minute later.
        """
        self._close(sign_off=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close. After an exception the task in hand is not given back, but left as by a crash.

        So it waits again after half a minute, and a task that breaks each worker that takes it ends
        as *failed* after `lost_attempts`. Ctrl-C and `sys.exit` are no fault of the task's.
        """
        self._close(sign_off=not isinstance(error, Exception))

    def _close(self, *, sign_off: bool) -> None:
        try:
            self._claims.close(sign_off=sign_off)
        finally:
            super().close()

    def __getstate__(self) -> dict[str, object]:
        """Send what is to be sent, so that a copy need not."""
        self._claims.flush()
        return self.__dict__.copy()

    def _register(self) -> None:
        """Announce this process as a worker."""
        self._home = _process()
        self._claims = enroll(self._server, self.uuid, self._home)

    def _claim(self) -> None:
        """Ask for a task."""
        if self._home != _process() or not self._claims.own:
            self._register()
        claimed = self._claims.claim()
        self._percentage = None
        if claimed is None:
            return
        self._task, percentage = claimed
        self._numTasks = max(self._numTasks, self._task + 1)  # tasks may be appended to a run
        if percentage is None:  # only servers older than the documentation leave it out
            percentage = self.getTaskInfo(self._task, "percentCompleted")
        self._percentage = float(percentage)

    def _let_go(self) -> None:
        self._claims.let_go()
        self._task = None


def _process() -> tuple[str, int]:
    return socket.gethostname(), os.getpid()
