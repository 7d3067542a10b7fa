"""The client against a real gunicorn and a real database: outputs, failures, crashes, restarts."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from taskfarm_worker import Farm, Run, Summary, Task, connect

from runs import books
from runs.models import Attempt, SweepLock, Worker
from runs.models import Run as Kept
from runs.models import Task as Row
from runs.states import Outcome, TaskState
from tests import factories
from tests.server import Server, serve

fork = multiprocessing.get_context("fork")


@pytest.fixture
def alice(transactional_db: None) -> None:
    """A user whose password a real server can check: it does not know the quick hasher."""
    password = make_password(factories.PASSWORD, hasher="pbkdf2_sha256")
    User.objects.filter(pk=factories.user("alice").pk).update(password=password)


@pytest.fixture
def server(alice: None) -> Iterator[Server]:
    with serve(connection.settings_dict) as running:
        yield running


@pytest.fixture
def farm(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Farm]:
    monkeypatch.setenv("TASKFARM_CONFIG", os.devnull)
    with connect(server.url, "alice", factories.PASSWORD) as farm:
        yield farm


def rows(run: Run) -> dict[int, tuple[int, int]]:
    """State and attempt of the tasks, by number."""
    found = Row.objects.filter(run__uuid=run.uuid).values_list("number", "state", "attempt")
    return {number: (state, attempt) for number, state, attempt in found}


def endings(run: Run) -> list[tuple[int, int, int]]:
    """What is written down: task, attempt, outcome."""
    found = Attempt.objects.filter(run__uuid=run.uuid)
    return sorted(found.values_list("number", "attempt", "outcome"))


def in_order(run: Run) -> bool:
    """Whether the kept counts are those of the tasks."""
    return books.check(Kept.objects.get(uuid=run.uuid).id) == {}


class Working:
    """A process that works on a run."""

    def __init__(self, run: Run, function: Callable[[Task], object], **options: object) -> None:
        connection.close()  # not to be shared with the child
        self.process = fork.Process(target=run.work, args=(function,), kwargs=options)
        self.process.start()

    def kill(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def end(self) -> int | None:
        self.process.join(120)
        return self.process.exitcode


def test_two_processes_do_some_hundred_tasks_with_outputs_and_failures(farm: Farm) -> None:
    run = farm.create_run(inputs=[{"n": n} for n in range(300)])

    def work(task: Task) -> dict[str, int] | None:
        task.log("input", task.input["n"])
        if task.number % 100 == 42:
            raise ValueError(f"no tile {task.number}")
        return {"square": task.input["n"] ** 2}

    connection.close()
    assert run.work(work, processes=2) == Summary(done=297, failed=3)
    progress = run.wait(60)
    assert (progress.state, progress.done, progress.failed) == ("finished", 297, 3)
    results = {row["task"]: row["output"] for row in run.results()}
    assert results == {n: {"square": n * n} for n in range(300) if n % 100 != 42}
    failures = list(run.failures())
    assert [row["task"] for row in failures] == [42, 142, 242]
    assert all(row["log"] == f"input {row['task']}\n" for row in failures)
    assert failures[0]["error"].endswith("ValueError: no tile 42\n")
    assert Worker.objects.filter(gone__isnull=False).count() == 2


def test_each_plain_task_is_written_down_once(farm: Farm) -> None:
    run = farm.create_run(3000)
    connection.close()
    assert run.work(lambda task: None, processes=2) == Summary(done=3000)
    assert endings(run) == [(number, 1, Outcome.DONE) for number in range(3000)]
    assert set(rows(run).values()) == {(TaskState.DONE, 1)}
    assert in_order(run)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_signal_gives_what_is_held_back_at_once(farm: Farm, processes: int) -> None:
    run = farm.create_run(100)
    begun, never = fork.Semaphore(0), fork.Event()

    def work(task: Task) -> None:
        task.update(25)
        begun.release()
        while not never.wait(0.1):
            pass

    working = Working(run, work, processes=processes, on_signal="release")
    for _ in range(processes):
        assert begun.acquire(timeout=60)
    working.kill(signal.SIGTERM)
    assert working.end() == -signal.SIGTERM
    progress = run.progress
    assert (progress.waiting, progress.computing) == (100, 0)
    assert progress.percent == pytest.approx(0.25 * processes)


def test_tasks_of_a_killed_process_are_done_by_others(farm: Farm) -> None:
    run = farm.create_run(200)
    begun = fork.Event()

    def die(task: Task) -> None:
        if task.number == 50:
            begun.set()
            threading.Event().wait(120)

    working = Working(run, die)
    assert begun.wait(60)
    working.kill(signal.SIGKILL)
    assert working.end() == -signal.SIGKILL
    held = [number for number, (state, _) in rows(run).items() if state == TaskState.COMPUTING]
    assert 50 in held
    fall_silent()
    left = 200 - run.progress.done
    assert run.work(lambda task: None).done == left
    assert run.progress.done == 200
    accepted = [(number, outcome) for number, _, outcome in endings(run) if outcome == Outcome.DONE]
    assert accepted == [(number, Outcome.DONE) for number in range(200)]
    lost = [number for number, _, outcome in endings(run) if outcome == Outcome.LOST]
    assert lost == sorted(held)
    assert in_order(run)


def fall_silent() -> None:
    """Let the silence of all workers have lasted for an hour, and the next sweep be due."""
    past = timezone.now() - timedelta(hours=1)
    Worker.objects.update(last_seen=past)
    SweepLock.objects.update(began=past)


def test_a_restart_of_the_server_is_survived(alice: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKFARM_CONFIG", os.devnull)
    settings = dict(connection.settings_dict)
    begun, go_on = fork.Event(), fork.Event()

    def work(task: Task) -> int:
        if task.number == 50:
            begun.set()
            assert go_on.wait(120)
        return task.number

    with serve(settings) as server:
        port = server.port
        run = connect(server.url, "alice", factories.PASSWORD).create_run(200)
        working = Working(run, work)
        assert begun.wait(60)
        kill_all(server.process.pid)
        server.process.wait()
        go_on.set()
    with serve(settings, port):
        assert working.end() == 0
        assert run.progress.done == 200
        assert sorted(row["output"] for row in run.results()) == list(range(200))
    assert endings(run) == [(number, 1, Outcome.DONE) for number in range(200)]


def kill_all(pid: int) -> None:
    """Kill gunicorn, its workers included."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        pids = [pid, *map(int, file.read().split())]
    for one in pids:
        os.kill(one, signal.SIGKILL)


def test_steering_reaches_the_server(farm: Farm) -> None:
    run = farm.create_run(3, open=True, error_attempts=2, task_timeout=60)
    run.pause("disk is full")
    assert run.progress.state == "paused"
    assert "disk is full" in str(run.explain(0))
    run.resume()
    assert run.append(["a", "b"]) == 2
    assert run.append(tasks=1) == 1
    run.change(open=False)
    seen: dict[int, object] = {}
    run.work(lambda task: seen.setdefault(task.number, task.input) and None)
    assert seen == {0: None, 1: None, 2: None, 3: "a", 4: "b", 5: None}
    run.restart(everything=True)
    assert run.progress.waiting == 6
    run.cancel("wrong input")
    assert run.progress.cancelled == 6
    run.delete()
    assert [one.uuid for one in farm.runs()] == []
