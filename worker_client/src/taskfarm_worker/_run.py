"""A run of a farm: work on it, look at it, steer it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import requests

from . import _config, _policy, _work
from ._answers import Json, json_object
from ._errors import AnswerLostError, InvalidArgumentError, UnexpectedAnswerError
from ._farm import _whole
from ._session import Call, Repeat, ServerSession, plain
from ._work import Function, Job, Summary, TimeLeft
from ._worker import WORK_PATIENCE

CHUNK = 5000
CHUNK_BYTES = 4 * 2**20
"""Inputs that are sent at once: so many, and so many bytes."""

MOST_INPUT = 256 * 1024

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
                second signal releases.
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

    def append(self, inputs: Iterable[Json] | None = None, *, tasks: int | None = None) -> int:
        """Add tasks to an open run; their numbers continue.

        Args:
            inputs: one JSON value per new task, any iterable; it is sent piece by piece.
            tasks: how many tasks without an input to add, in place of inputs.

        Returns:
            how many tasks were added.

        Raises:
            InvalidArgumentError: an input is no JSON value or above 256 KiB; what came before
                it in the iterable may have been added.
            ConflictError: the run is not open.
        """
        if (inputs is None) == (tasks is None):
            raise InvalidArgumentError("Give either inputs or tasks.")
        if inputs is None:
            self._append(json.dumps({"numTasks": _whole(tasks, "tasks")}), 0, 0)
            return _whole(tasks, "tasks")
        count, before = 0, self.progress.total
        for texts in _chunks(inputs):
            self._append(f'{{"inputs": [{",".join(texts)}]}}', before + count, len(texts))
            count += len(texts)
        return count

    def _append(self, body: str, before: int, more: int) -> None:
        """Add some tasks; where the answer is lost, the size of the run tells what happened."""
        doubt = "The tasks may have been added all the same: look at the size of the run first."
        path = f"runs/{self.uuid}/tasks"
        call = Call("POST", path, content=body.encode(), slow=True, doubt=doubt)
        while True:
            try:
                self._server.call(call)
                return
            except AnswerLostError:
                total = self.progress.total
                if more and total == before + more:
                    return
                if not more or total != before:
                    raise

    # ---- look

    def info(self) -> dict[str, Json]:
        """All that the server tells about the run."""
        return json_object(self._server.call(Call("GET", f"runs/{self.uuid}")))

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
                raise TimeoutError(f"{self!r} is not over after {timeout:g} s: {progress}")
            clock.sleep(min(step, left))
            step = min(LONGEST_LOOK, step * 1.5)
        return progress

    def results(self) -> Iterator[dict[str, Json]]:
        """Go through the results of the tasks that are done, by number, in constant memory.

        Yields:
            per task a dictionary with `task`, `output` and what else the server tells.

        Raises:
            UnexpectedAnswerError: the stream is cut off or garbled.
        """
        return self._stream("results")

    def failures(self) -> Iterator[dict[str, Json]]:
        """Go through the tasks that are failed, by number, in constant memory.

        Yields:
            per task a dictionary with `task`, `error`, `log` and what else the server tells.

        Raises:
            UnexpectedAnswerError: the stream is cut off or garbled.
        """
        return self._stream("failures")

    def _stream(self, what: str) -> Iterator[dict[str, Json]]:
        call = Call("GET", f"runs/{self.uuid}/{what}", stream=True, slow=True)
        with self._server.call(call) as answer:
            try:
                for line in answer.iter_lines(chunk_size=65536):
                    if line:
                        yield _row(line, answer.url)
            except requests.RequestException as error:
                raise UnexpectedAnswerError(f"GET {answer.url}: cut off: {error}.") from None

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

    def restart(self, everything: bool = False) -> None:
        """Put tasks back to waiting.

        Args:
            everything: False for all tasks that are not done, which keep their percentages; True
                for all tasks, from 0.

        Raises:
            AnswerLostError: it is unknown whether the run was restarted.
        """
        self._server.call(
            Call(
                "POST",
                f"runs/{self.uuid}/restart",
                params={"all": str(bool(everything))},
                slow=True,
                doubt="The run may have been restarted all the same: look at its progress first.",
            )
        )

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

    def cancel(self, reason: str = "") -> None:
        """Call off everything that waits or computes.

        Args:
            reason: why, for others to read.
        """
        self._steer("cancel", reason)

    def _steer(self, what: str, reason: str) -> None:
        doubt = f"It may have happened all the same: look at the state before another {what}."
        path = f"runs/{self.uuid}/{what}"
        body = {"reason": reason} if reason else {}
        self._server.call(Call("POST", path, body=body, slow=True, doubt=doubt))

    def delete(self) -> None:
        """Delete the run with all its tasks and results, for good."""
        self._server.call(Call("DELETE", f"runs/{self.uuid}", already=(404, ""), slow=True))


def _chunks(inputs: Iterable[Json]) -> Iterator[list[str]]:
    """Encode inputs, in pieces of bounded size."""
    texts: list[str] = []
    size = 0
    for index, value in enumerate(inputs):
        text = _encode(value, index)
        if texts and (len(texts) == CHUNK or size + len(text) > CHUNK_BYTES):
            yield texts
            texts, size = [], 0
        texts.append(text)
        size += len(text)
    if texts:
        yield texts


def _encode(value: Json, index: int) -> str:
    try:
        text = json.dumps(value, allow_nan=False, default=plain, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"Input {index} cannot be sent as JSON: {error}.") from None
    if len(text) > MOST_INPUT:
        raise InvalidArgumentError(
            f"Input {index} has {len(text)} bytes, and {MOST_INPUT} at most are kept. Put the data "
            "into a file, and its path into the input."
        )
    return text


def _row(line: bytes, url: str) -> dict[str, Json]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise UnexpectedAnswerError(f"GET {url}: a line is no JSON object: {line[:80]!r}.")
    return row
