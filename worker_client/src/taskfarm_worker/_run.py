"""A run of a farm: work on it, look at it, steer it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import requests

from . import _config, _policy, _rows, _work
from ._answers import Json, json_object, member
from ._errors import ConflictError, InvalidArgumentError
from ._farm import _whole
from ._inputs import chunks
from ._rows import Row
from ._session import Call, Repeat, ServerSession
from ._work import Function, Job, Summary, TimeLeft
from ._worker import WORK_PATIENCE

FIRST_LOOK, LONGEST_LOOK = 0.2, 5.0
"""Seconds between two looks of `wait`, which get longer."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        state: active, paused, cancelled, or finished: nothing waits, nothing computes.
        total: the number of tasks.
        waiting: how many of them nobody works on yet.
        computing: how many workers hold.
        done: how many have succeeded.
        failed: how many have failed for good.
        cancelled: how many have been called off.
        percent: the mean over all tasks, partial progress included.
    """

    state: str
    total: int
    waiting: int
    computing: int
    done: int
    failed: int
    cancelled: int
    percent: float

    def __str__(self) -> str:
        """Say it in words."""
        return (
            f"it is {self.state}, {self.done:,} of {self.total:,} done, {self.failed:,} failed, "
            f"{self.waiting:,} waiting, {self.computing:,} computing"
        )

    @property
    def over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in ("finished", "cancelled")


class Run:
    """A run: a set of tasks on a farm. Made by `Farm.create_run`, `Farm.run`, `Farm.runs`."""

    def __init__(self, server: ServerSession, uuid: str) -> None:
        """Remember which run.

        Args:
            server: the connection.
            uuid: its UUID.
        """
        self._server = server
        self._uuid = uuid

    def __repr__(self) -> str:
        """Show which run this is, without credentials."""
        return f"<Run {self.uuid} at {self._server.url_base}>"

    @property
    def uuid(self) -> str:
        """The UUID of the run."""
        return self._uuid

    # ---- work

    def work(
        self,
        function: Function,
        processes: int = 1,
        *,
        on_signal: str = "finish",
        time_left: TimeLeft = None,
        patience: float | None = None,
        heartbeat: float = 10.0,
    ) -> Summary:
        """Work on the run until nothing is left to be done.

        `function(task)` gets a `Task` with `number`, `input`, `attempt` and `percent`; what it
        returns is the output of the task, None or any JSON value. An exception is a failed
        attempt, kept with its traceback. It may call `task.update(50)`, `task.log("…")`, and
        look at `task.cancelled`.

        A server that is away does not stop the work: reports are kept and sent later. After
        SIGTERM or SIGINT everything is reported, what is held is given back, and then the
        signal has its usual effect.

        Args:
            function: what to do with a task.
            processes: with 1 the work is done in this process, else in so many new ones. Where
                these are not forked (outside Linux), the function must be one that pickles.
            on_signal: after a signal, "finish" the task in hand, or "release" it at once. A
                second signal, a second or more later, releases, and waits no longer than 2 s for
                a server that is away.
            time_left: seconds until the batch job ends, or a function that tells. No task is
                begun that will probably not fit (by the 95th percentile of this process's).
                By default `SLURM_JOB_END_TIME` tells, if it is set.
            patience: seconds for which a server that is away is waited for; by default
                `TASKFARM_PATIENCE` or an hour.
            heartbeat: seconds between signs of life. A worker that misses three (and is silent
                for 30 s) is lost: its tasks are given to others.

        Returns:
            how many tasks these processes did.

        Raises:
            TaskFarmError: the server refused, or stayed away; the text tells how many reports
                could not be delivered.
            SystemExit: with 130, after a second Ctrl-C.
        """
        job = Job(
            self._server,
            self.uuid,
            function,
            on_signal=on_signal,
            heartbeat=heartbeat,
            patience=_config.patience(patience, WORK_PATIENCE),
            time_left=_work.check(on_signal, processes, time_left),
        )
        if processes == 1:
            return _work.work_here(job)
        return _work.work_in_processes(job, processes)

    def append(
        self,
        inputs: Iterable[Json] | None = None,
        *,
        tasks: int | None = None,
        key: str | None = None,
        first: int | None = None,
    ) -> int:
        """Add tasks to an open run; their numbers continue.

        Args:
            inputs: one JSON value per new task, any iterable; it is sent piece by piece.
            tasks: how many tasks without an input to add, in place of inputs.
            key: a name for this addition. Several processes that make the same one under the same
                name add its tasks once; the server remembers the last twenty names.
            first: the number that the first of them must get. Of several processes that add the
                same tasks, one adds them, however late the others come.

        Returns:
            how many tasks were added.

        Raises:
            InvalidArgumentError: an input is no JSON value or above 256 KiB; what came before
                it in the iterable may have been added.
            ConflictError: the run is not open, or the next number is not `first`.
        """
        if (inputs is None) == (tasks is None):
            raise InvalidArgumentError("Give either inputs or tasks.")
        key = key or uuid4().hex
        if inputs is None:
            return self._append(f'"numTasks": {_whole(tasks, "tasks")}', key, first)
        added = 0
        for index, texts in enumerate(chunks(inputs)):
            at = None if first is None else first + added
            added += self._append(f'"inputs": [{",".join(texts)}]', f"{key}-{index}", at)
        return added

    def _append(self, what: str, key: str, first: int | None) -> int:
        """Add some tasks. It may be repeated: the server knows the key, and adds them once."""
        at = "" if first is None else f', "first": {first}'
        content = f'{{{what}, "key": {json.dumps(key)}{at}}}'.encode()
        path = f"runs/{self.uuid}/tasks"
        call = Call("POST", path, content=content, slow=True, repeat=Repeat.FREELY)
        return int(member(self._server.call(call), "tasks"))

    # ---- look

    def info(self) -> dict[str, Json]:
        """All that the server tells about the run."""
        return json_object(self._server.call(Call("GET", f"runs/{self.uuid}")))

    def policy(self) -> dict[str, Json]:
        """All options of the run's policy, as the server names them."""
        return json_object(self._server.call(Call("GET", f"runs/{self.uuid}/policy")))

    @property
    def progress(self) -> Progress:
        """How far the run is, now."""
        info = self.info()
        return Progress(
            state=str(info.get("state", "active")),
            total=info["numTasks"],
            waiting=info["numWaiting"],
            computing=info["numComputing"],
            done=info["numDone"],
            failed=info.get("numFailed", 0),
            cancelled=info.get("numCancelled", 0),
            percent=info["percentDone"],
        )

    def wait(self, timeout: float | None = None) -> Progress:
        """Wait until the run is over: finished or cancelled. A paused run is waited for.

        Args:
            timeout: seconds after which to stop waiting; None waits for ever.

        Returns:
            how it ended.

        Raises:
            TimeoutError: it is not over in time.
        """
        clock = self._server.clock
        end = None if timeout is None else clock.now() + timeout
        step = FIRST_LOOK
        while not (progress := self.progress).over:
            left = step if end is None else end - clock.now()
            if left <= 0:
                raise TimeoutError(f"Run {self.uuid} is not over after {timeout:g} s: {progress}")
            clock.sleep(min(step, left))
            step = min(LONGEST_LOOK, step * 1.5)
        return progress

    def results(self) -> Iterator[Row]:
        """Go through the results of the tasks that are done, by number, in constant memory.

        Yields:
            per task a dictionary with `task`, `output` and what else the server tells.

        Raises:
            UnexpectedAnswerError: the stream is cut off or garbled.
        """
        return _rows.stream(self._server, f"runs/{self.uuid}/results")

    def failures(self) -> Iterator[Row]:
        """Go through the tasks that are failed, by number, in constant memory.

        Yields:
            per task a dictionary with `task`, `error`, `log` and what else the server tells.

        Raises:
            UnexpectedAnswerError: the stream is cut off or garbled.
        """
        return _rows.stream(self._server, f"runs/{self.uuid}/failures")

    def failure_groups(self) -> list[Row]:
        """The failed tasks by their error, the most frequent first.

        Returns:
            per error a dictionary with its `fingerprint`, `count`, `essence`, `hosts` and so on.
        """
        call = Call("GET", f"runs/{self.uuid}/failures/groups")
        return list(json_object(self._server.call(call))["data"])

    def tasks(self, status: str | None = None) -> Iterator[Row]:
        """Go through the tasks, by number.

        Args:
            status: only those in this state.

        Yields:
            per task a dictionary with `task`, `status`, `percentCompleted`, `attempt` and so on.
        """
        only = f"&status={status}" if status else ""
        return _rows.pages(self._server, f"runs/{self.uuid}/tasks?limit=1000{only}")

    def attempts(self) -> Iterator[Row]:
        """Go through all attempts that have ended, by task and attempt.

        Yields:
            per attempt a dictionary with `task`, `attempt`, `outcome` and so on.
        """
        return _rows.pages(self._server, f"runs/{self.uuid}/attempts?limit=1000")

    def events(self) -> Iterator[Row]:
        """Go through what people and policy did to the run, newest first.

        Yields:
            per event a dictionary with `id`, `at`, `who`, `what`, `why`, `tasks`.
        """
        return _rows.pages(self._server, f"runs/{self.uuid}/events?limit=100")

    def save(self, file: str | os.PathLike[str], what: str = "results") -> int:
        """Write results or failures into a file, in constant memory.

        Args:
            file: where to; its ending tells the format: .ndjson, .csv or .parquet (which needs
                pyarrow, and keeps outputs as JSON text). It is there only once it is complete.
            what: "results" or "failures".

        Returns:
            how many rows were written.

        Raises:
            InvalidArgumentError: one of the arguments makes no sense, or pyarrow is missing.
        """
        if what not in ("results", "failures"):
            raise InvalidArgumentError(f'what is {what!r}; it must be "results" or "failures".')
        return _rows.save(self._server, f"runs/{self.uuid}/{what}", Path(file))

    def explain(self, task: int) -> dict[str, Json]:
        """Tell why a task is where it is.

        Args:
            task: its number.

        Returns:
            the reason, for programs and for people.
        """
        path = f"runs/{self.uuid}/tasks/{_whole(task, 'task')}/explain"
        return json_object(self._server.call(Call("GET", path)))

    # ---- steer

    def change(self, **policy: object) -> None:
        """Change options of the run's policy.

        Args:
            policy: options by name, as for `Farm.create_run`.
        """
        body = _policy.fields(policy)
        self._server.call(
            Call("PATCH", f"runs/{self.uuid}/policy", body=body, repeat=Repeat.FREELY)
        )

    def restart(
        self,
        everything: bool = False,
        *,
        states: Iterable[str] = (),
        tasks: str = "",
        fingerprint: int | None = None,
        host: str = "",
        older_than: float | timedelta | None = None,
        reason: str = "",
    ) -> int:
        """Put tasks back to waiting; within ten minutes `undo` takes that back.

        Args:
            everything: False for all tasks that are not done, which keep their percentages; True
                for all tasks, from 0.
            states: only tasks in these states, in place of those that `everything` means.
            tasks: only these numbers, such as "0-99,200".
            fingerprint: only tasks whose last attempt had this error; see `failure_groups`.
            host: only tasks whose last worker ran on this host.
            older_than: only tasks of which nothing was heard for so long, in seconds.
            reason: why, for others to read.

        Returns:
            how many tasks were put back.

        Raises:
            AnswerLostError: it is unknown whether the run was restarted.
        """
        told = {
            "status": list(states),
            "tasks": tasks,
            "fingerprint": fingerprint,
            "host": host,
            "older_than": older_than,
        }
        given = {name: value for name, value in told.items() if value not in (None, "", [])}
        answer = self._server.call(
            Call(
                "POST",
                f"runs/{self.uuid}/restart",
                params={"all": str(bool(everything))},
                body={**_policy.fields(given), "reason": reason},
                slow=True,
                doubt="The run may have been restarted all the same: look at its progress first.",
            )
        )
        return int(member(answer, "tasks"))

    def undo(self) -> int:
        """Take the last restart back, for the tasks that nothing has moved since.

        Returns:
            how many tasks are again what they were.

        Raises:
            ConflictError: there is none, it was more than ten minutes ago, or it was of one task.
        """
        last = next((event for event in self.events() if event["what"] == "restart"), None)
        if last is None:
            raise ConflictError(f"Run {self.uuid} was not restarted: there is nothing to undo.")
        call = Call("POST", f"runs/{self.uuid}/events/{last['id']}/undo", slow=True)
        return int(member(self._server.call(call), "tasks"))

    def pause(self, reason: str = "") -> None:
        """Hand out no more tasks until `resume`; what is computing goes on.

        Args:
            reason: why, for others to read.
        """
        self._steer("pause", reason)

    def resume(self, reason: str = "") -> None:
        """Hand out tasks again.

        Args:
            reason: why, for others to read.
        """
        self._steer("resume", reason)

    def uploaded(self, reason: str = "", *, stays_open: bool = False) -> None:
        """Say that all inputs have come that a new run was waiting for.

        `Farm.create_run` says so itself. Said again, it changes nothing.

        Args:
            reason: of a run whose upload was cut short, why those that have come will do.
            stays_open: whether it takes more tasks then.

        Raises:
            ConflictError: the run was not created to be uploaded.
        """
        body: dict[str, Json] = {"reason": reason} if reason else {}
        body |= {"open": True} if stays_open else {}
        path = f"runs/{self.uuid}/uploaded"
        self._server.call(Call("POST", path, body=body, slow=True, repeat=Repeat.FREELY))

    def cancel(self, reason: str = "") -> int:
        """Call off everything that waits or computes.

        Args:
            reason: why, for others to read.

        Returns:
            how many tasks were called off.
        """
        return int(member(self._steer("cancel", reason), "tasks"))

    def _steer(self, what: str, reason: str) -> requests.Response:
        doubt = f"It may have happened all the same: look at the state before another {what}."
        path = f"runs/{self.uuid}/{what}"
        body = {"reason": reason} if reason else {}
        return self._server.call(Call("POST", path, body=body, slow=True, doubt=doubt))

    def delete(self) -> None:
        """Delete the run with all its tasks and results, for good."""
        self._server.call(Call("DELETE", f"runs/{self.uuid}", already=(404, ""), slow=True))
