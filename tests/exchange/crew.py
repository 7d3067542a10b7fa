"""Real worker processes of the real client, what they were told, and what the books say of them."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from taskfarm_worker import Run, Task, _courier, _retry
from taskfarm_worker._courier import Courier

from runs import tallies
from runs.models import Attempt, SweepLock, Worker
from runs.models import Run as Kept
from runs.models import Task as Row
from runs.states import Outcome, TaskState
from tests import factories

fork = multiprocessing.get_context("fork")


def real_user(name: str = "alice") -> None:
    """A user whose password a real server can check: it does not know the quick hasher."""
    password = make_password(factories.PASSWORD, hasher="pbkdf2_sha256")
    User.objects.filter(pk=factories.user(name).pk).update(password=password)


class Crew:
    """A process that works on a run, as a batch job does; with its children killed at the end.

    Attributes:
        process: the process that called ``run.work``.
    """

    def __init__(
        self,
        run: Run,
        function: Callable[[Task], object],
        *,
        first: Callable[[], None] | None = None,
        **options: object,
    ) -> None:
        """Begin to work.

        Args:
            run: on what.
            function: what to do with a task.
            first: done in the process before it begins.
            options: of ``run.work``.
        """

        def work() -> None:
            if first is not None:
                first()
            run.work(function, **options)

        connection.close()  # not to be shared with the child
        self.process = fork.Process(target=work)
        self.process.start()

    def __enter__(self) -> "Crew":
        """Use as a context manager, so that nothing outlives its test."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what still works."""
        for pid in [*self.workers(), self.process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.join()

    def workers(self) -> list[int]:
        """The processes that the process has started and that still work."""
        return [pid for pid in children(self.process.pid) if is_running(pid)]

    @property
    def alive(self) -> bool:
        """Whether it still works."""
        return self.process.is_alive()

    def end(self, seconds: float = 120) -> int | None:
        """Wait for the end of the work; answers the exit code."""
        self.process.join(seconds)
        return self.process.exitcode


def children(pid: int | None) -> list[int]:
    """The processes that a process has started and that are still there."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def kill_with_children(pid: int) -> None:
    """Kill a server and all of its processes, and wait until they are gone."""
    pids = [pid, *children(pid)]
    for one in pids:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    wait_until(lambda: not any(map(is_running, pids)), "killed processes are gone")


def is_running(pid: int) -> bool:
    """Whether a process is there and no mere zombie."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_until(
    condition: Callable[[], bool], what: str, seconds: float = 60, *, every: float = 0.005
) -> None:
    """Ask until it is so, with ``every`` so many seconds in between.

    Raises:
        AssertionError: it is not so after ``seconds``.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for: {what}"
        time.sleep(every)


def done(run: Run) -> int:
    """How many tasks of the run are done."""
    return tallies.read(Kept.objects.get(uuid=run.uuid).id).done


def wait_until_done(run: Run, count: int, seconds: float = 60) -> None:
    """Wait until so many tasks are done."""
    wait_until(lambda: done(run) >= count, f"{count} tasks done", seconds)


def fall_silent(workers: Any) -> None:
    """Let the silence of some workers have lasted for an hour, while the farm was there."""
    now = timezone.now()
    workers.update(last_seen=now - timedelta(hours=1))
    SweepLock.objects.get_or_create(pk=1)
    moments = {"began": now - timedelta(seconds=5), "resumed": now - timedelta(hours=2)}
    known = {field.name for field in SweepLock._meta.get_fields()}
    SweepLock.objects.update(**{name: at for name, at in moments.items() if name in known})


def check_each_done_once(run: Run, num_tasks: int) -> None:
    """Assert that the books have every task as done, by one attempt, and nothing else is amiss."""
    kept = Kept.objects.get(uuid=run.uuid)
    assert set(Row.objects.filter(run=kept).values_list("state", flat=True)) == {TaskState.DONE}
    done = Attempt.objects.filter(run=kept, outcome=Outcome.DONE).order_by("number")
    assert list(done.values_list("number", flat=True)) == list(range(num_tasks))
    assert tallies.read(kept.id).done == num_tasks == kept.num_tasks
    assert sum(kept.throughput.values_list("done", flat=True)) == num_tasks
    factories.check_books(kept)


def attempts(run: Run) -> set[int]:
    """Which numbers of attempts the tasks have got to."""
    return set(Row.objects.filter(run__uuid=run.uuid).values_list("attempt", flat=True))


def workers_of(pids: list[int]) -> Any:
    """The workers that those processes have been, unless they are given up already."""
    return Worker.objects.filter(pid__in=pids, gone__isnull=True)


class Memory:
    """Keeps what the server has told the workers of this process's children: in a file of lines.

    An exchange counts as acknowledged once the worker has its answer.
    """

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Listen to the couriers of processes that are forked from now on."""
        self.path = path
        path.touch()
        take, wait = Courier._take, Courier._wait_for_server

        def remember_answer(courier: Courier, batch: Any, answer: Any, size: int) -> None:
            told = {"ended": list(batch.ended), "stale": answer["stale"], "tasks": answer["tasks"]}
            self.write(told)
            take(courier, batch, answer, size)

        def remember_trouble(courier: Courier, error: Exception) -> None:
            told = [type(error).__name__, str(error), getattr(error, "retry_after", None)]
            self.write({"trouble": told})
            wait(courier, error)

        monkeypatch.setattr(Courier, "_take", remember_answer)
        monkeypatch.setattr(Courier, "_wait_for_server", remember_trouble)

    def write(self, told: dict[str, Any]) -> None:
        """Add a line, whole, whoever else writes."""
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        os.write(file, json.dumps(told).encode() + b"\n")
        os.close(file)

    def lines(self) -> list[dict[str, Any]]:
        """What was told so far."""
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def acknowledged(self) -> set[tuple[int, int]]:
        """Tasks and attempts whose end the server has acknowledged."""
        ended = {tuple(key) for one in self.lines() for key in one.get("ended", ())}
        stale = {tuple(key[1:]) for one in self.lines() for key in one.get("stale", ())}
        return ended - stale

    def handed(self) -> set[tuple[int, int]]:
        """Tasks and attempts that a worker was given."""
        return {(one["task"], one["attempt"]) for told in self.lines()
                for one in told.get("tasks", ())}  # fmt: skip

    def troubles(self) -> list[tuple[str, str, float | None]]:
        """What went wrong: the class of the error, its text, the seconds to wait if it says."""
        return [tuple(one["trouble"]) for one in self.lines() if "trouble" in one]


def hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let couriers of processes that are forked from now on call often, and try again soon."""
    monkeypatch.setattr(_courier, "AHEAD", 0.1)
    monkeypatch.setattr(_courier, "UNSENT", 0.02)
    monkeypatch.setattr(_retry, "FIRST_STEP", 0.05)
