"""Workers: tasks taken one after the other, and reported on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from uuid import uuid4

from . import _config
from ._answers import Json, json_object, member
from ._config import DEFAULT_URL
from ._farm import TaskFarm
from ._outbox import Outbox
from ._session import Call, Repeat, Timeout
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
    background, many tasks at once, and survives a crash of the worker; prefer it for new scripts.

    **A lost claim.** When the answer to a claim is lost, the server may have handed out a task
    that this worker never hears of. The protocol has no way to ask, and claiming again does not
    bring it back: the task stays *computing* until the run is restarted. Still the worker logs a
    warning and claims again, as that costs one task until a restart, where giving up would cost
    the whole job.

    **Forked or unpickled in another process**, it works on the task that it held at that moment
    and registers as a worker of its own before it claims the next.
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
        self._outbox = Outbox(self._send_progress)
        self._register()
        self._server.patience = _config.patience(patience, WORK_PATIENCE)

    @property
    def worker_uuid(self) -> str:
        """The UUID of the worker."""
        return self._worker_uuid

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
            TaskFarmError: an earlier report could not be sent.
        """
        if self._task is None:
            return
        self._percentage = _percentage(percentage)
        self._outbox.put(self._task, self._percentage)

    def done(self) -> None:
        """Let go of the task in hand.

        At 100 % the task is reported as done. Below that nothing is sent and the task stays
        *computing* on the server, for a restart of the run to bring back.
        """
        if self._task is None:
            return
        self._outbox.flush()
        if self._percentage is not None and abs(self._percentage - 100) < 1e-6:
            self.setTaskInfo(self._task, "status", "done")
        self._task = None

    def info(self, info: str) -> Json:
        """Get information about the run, after what was reported here.

        Args:
            info: as for `TaskFarm.info`.

        Returns:
            the value, or for "" a dictionary of all of them.
        """
        self._outbox.flush()
        return super().info(info)

    def getTaskInfo(self, task: int, info: str) -> Json:
        """Get information about one task, after what was reported here.

        Args:
            task: its number, from 0.
            info: as for `TaskFarm.getTaskInfo`.

        Returns:
            the value, or for "" a dictionary of all of them.
        """
        self._outbox.flush()
        return super().getTaskInfo(task, info)

    def setTaskInfo(self, task: int, info: str, value: object) -> None:
        """Change one task, after what was reported here.

        Args:
            task: its number, from 0.
            info: as for `TaskFarm.setTaskInfo`.
            value: the new value.
        """
        self._outbox.flush()
        super().setTaskInfo(task, info, value)

    def restart(self, everything: bool = False) -> None:
        """Put tasks back to waiting, after what was reported here.

        Args:
            everything: as for `TaskFarm.restart`.
        """
        self._outbox.flush()
        super().restart(everything)

    def delete(self) -> None:
        """Delete the run with all its tasks, after what was reported here."""
        self._outbox.flush()
        super().delete()

    def close(self) -> None:
        """Send what is to be sent, and close the connections; a later call opens new ones."""
        try:
            self._outbox.flush()
        finally:
            super().close()

    def __getstate__(self) -> dict[str, object]:
        """Send what is to be sent, so that a copy need not."""
        self._outbox.flush()
        return self.__dict__.copy()

    def _send_progress(self, task: int, percent: float) -> None:
        super().setTaskInfo(task, "percentCompleted", percent)

    def _register(self) -> None:
        """Announce this process as a worker.

        Safe to repeat, since the client chooses the UUID: when the answer to the first try is
        lost and the second hears that the worker exists, the first has registered it.
        """
        self._home = _process()
        self._worker_uuid = uuid4().hex
        host, pid = self._home
        self._server.call(
            Call(
                "POST",
                "worker",
                body={"uuid": self._worker_uuid, "hostname": host, "pid": pid},
                repeat=Repeat.FREELY,
                already=(409, "worker_exists"),
            )
        )

    def _claim(self) -> None:
        """Ask for a task; see the class about answers that are lost."""
        if self._home != _process():
            self._register()
        answer = self._server.call(
            Call(
                "POST",
                f"{self._run_path()}/task",
                body={"worker_uuid": self.worker_uuid},
                repeat=Repeat.AT_A_PRICE,
                doubt="A task may have been handed out that nobody knows of; it stays 'computing' "
                f"until 'manageTF --reset {self.uuid}', once no worker is computing.",
            )
        )
        self._percentage = None
        if answer.status_code == 204:
            return
        claimed = json_object(answer)
        self._task = int(member(answer, "task"))
        self._numTasks = max(self._numTasks, self._task + 1)  # tasks may be appended to a run
        percentage = claimed.get("percentCompleted")
        if percentage is None:  # only servers older than the documentation leave it out
            percentage = self.getTaskInfo(self._task, "percentCompleted")
        self._percentage = float(percentage)


def _process() -> tuple[str, int]:
    return socket.gethostname(), os.getpid()
