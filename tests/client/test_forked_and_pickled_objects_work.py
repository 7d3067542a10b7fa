"""Process pools: objects from before a fork, or sent through a pickle."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
from collections.abc import Callable
from typing import TypeVar

import pytest
from taskfarm_stub import Stub
from taskfarm_worker import TaskFarm, TaskFarmWorker

T = TypeVar("T")

fork_only = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_child(function: Callable[[], T]) -> T:
    """Run a function in a forked child and return what it returns."""
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=lambda: writer.send(function()))
    child.start()
    writer.close()
    try:
        result: T = reader.recv()
        return result
    finally:
        child.join(10)
        reader.close()


def worker_of(stub: Stub, tasks: int = 4) -> TaskFarmWorker:
    return TaskFarmWorker("user", "secret", stub.add_run(tasks).uuid, url_base=stub.url)


@fork_only
def test_a_forked_child_does_not_share_the_connection(stub: Stub) -> None:
    stub.keep_alive = True
    farm = TaskFarm("user", "secret", numTasks=4, url_base=stub.url)
    assert in_child(lambda: farm.numWaiting) == 4
    assert farm.numDone == 0
    opened, child, again = (call.client_port for call in stub.calls[-3:])
    farm.close()
    assert opened == again != child


@fork_only
def test_a_forked_child_claims_as_a_worker_of_its_own(stub: Stub) -> None:
    worker = worker_of(stub)
    task, uuid, pid = in_child(lambda: (worker.task, worker.worker_uuid, os.getpid()))
    assert uuid != worker.worker_uuid
    assert stub.workers[uuid]["pid"] == pid
    assert (task, worker.task) == (0, 1)
    assert len(stub.workers) == 2


@fork_only
def test_a_forked_child_reports_on_the_task_in_hand(stub: Stub) -> None:
    worker = worker_of(stub)
    assert worker.task == 0

    def report() -> str:
        worker.update(50)
        return worker.worker_uuid

    assert in_child(report) == worker.worker_uuid
    assert worker.getTaskInfo(0, "percentCompleted") == 50
    assert len(stub.workers) == 1


@fork_only
def test_a_forked_child_renews_the_token_though_a_thread_held_the_lock(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", numTasks=4, url_base=stub.url)
    stub.tokens.clear()
    with farm._server._here().lock:
        assert in_child(lambda: farm.numWaiting) == 4


def test_a_pickled_run_works(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", numTasks=4, url_base=stub.url)
    again = pickle.loads(pickle.dumps(farm))
    stub.tokens.clear()
    assert (again.uuid, again.numWaiting) == (farm.uuid, 4)


def test_a_pickled_worker_works_and_in_another_process_registers_anew(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = worker_of(stub)
    pickled = pickle.dumps(worker)
    assert pickle.loads(pickled).task == 0
    assert len(stub.workers) == 1
    monkeypatch.setattr("taskfarm_worker._worker._process", lambda: ("elsewhere", 7))
    assert pickle.loads(pickled).task == 1
    assert [w["hostname"] for w in stub.workers.values()][1] == "elsewhere"


def test_a_copy_has_connections_of_its_own(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", numTasks=4, url_base=stub.url)
    assert copy.deepcopy(farm).session is not farm.session
