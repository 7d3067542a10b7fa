"""The worker's loop: claim, update, done; the same with and without the exchange."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from stub_faults import answer
from taskfarm_stub import Exchange, Stub
from taskfarm_worker import ConflictError, NotFoundError, TaskFarmWorker


@pytest.fixture(params=["exchange", "documented calls"])
def stub(silent_stub: Stub, request: pytest.FixtureRequest) -> Stub:
    """Give a server of either kind."""
    silent_stub.has_exchange = request.param == "exchange"
    silent_stub.listen()
    return silent_stub


def claims(stub: Stub) -> int:
    """Count the calls that asked for a task."""
    wishes = [c for c in stub.calls if c.path.endswith("/exchange") and c.body.get("want")]
    return len(wishes) + stub.count("POST", "/task")


def reports(stub: Stub) -> list[float]:
    """The percentages that were reported, in order."""
    told = []
    for call in stub.calls:
        if call.method == "PUT":
            told.append(call.body)
        elif call.path.endswith("/exchange"):
            told += call.body.get("reports", {}).get(next(iter(stub.runs)), [])
    return [one["percentCompleted"] for one in told if "percentCompleted" in one]


def worker_of(stub: Stub, tasks: int = 3) -> TaskFarmWorker:
    return TaskFarmWorker("user", "secret", stub.add_run(tasks).uuid, url_base=stub.url)


def test_the_documented_loop_finishes_a_run(stub: Stub) -> None:
    worker = worker_of(stub)
    taken = []
    for task in worker.tasks:
        taken.append(task)
        worker.update(50)
        worker.update(100)
        worker.done()
    assert taken == [0, 1, 2]
    assert (worker.numDone, worker.numWaiting, worker.numComputing) == (3, 0, 0)
    assert worker.percentDone == 100
    assert worker.task is None


def test_a_worker_registers_with_host_and_pid(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    worker = worker_of(stub)
    promise = {"heartbeat": 10, "labels": {"SLURM_JOB_ID": "4711"}} if stub.has_exchange else {}
    assert stub.workers == {
        worker.worker_uuid: {
            "uuid": worker.worker_uuid,
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            **promise,
        }
    }
    assert len(worker.worker_uuid) == 32


def test_the_task_in_hand_stays_until_it_is_done(stub: Stub) -> None:
    worker = worker_of(stub)
    assert [worker.task, worker.task] == [0, 0]
    assert claims(stub) == 1
    worker.done()
    assert worker.task == 1


def test_a_claim_takes_one_call(stub: Stub) -> None:
    worker = worker_of(stub)
    before = len(stub.calls)
    assert worker.task == 0
    assert len(stub.calls) == before + 1


def test_done_below_a_hundred_percent_only_lets_go(stub: Stub) -> None:
    worker = worker_of(stub)
    assert worker.task == 0
    worker.update(99.9)
    worker.done()
    assert worker.getTaskInfo(0, "status") == "computing"
    assert worker.getTaskInfo(0, "percentCompleted") == 99.9
    assert worker.task == 1


def test_done_without_any_update_only_lets_go(stub: Stub) -> None:
    worker = worker_of(stub)
    assert worker.task == 0
    worker.done()
    assert worker.getTaskInfo(0, "status") == "computing"


def test_a_task_that_comes_at_a_hundred_percent_is_done_without_update(stub: Stub) -> None:
    worker = worker_of(stub)
    stub.runs[worker.uuid].percent[0] = 100.0
    assert worker.task == 0
    worker.done()
    assert worker.getTaskInfo(0, "status") == "done"


@pytest.mark.parametrize("stub", ["documented calls"], indirect=True)
def test_a_percentage_that_the_claim_leaves_out_is_asked_for(stub: Stub) -> None:
    worker = worker_of(stub)
    stub.runs[worker.uuid].percent[0] = 100.0
    stub.fault("POST", "/task", lambda exchange: exchange.reply(201, {"task": 0}))
    assert worker.task == 0
    worker.done()
    assert worker.getTaskInfo(0, "status") == "done"


def test_without_a_task_update_and_done_do_nothing(stub: Stub) -> None:
    worker = worker_of(stub)
    before = len(stub.calls)
    worker.update(50)
    worker.update(1000)
    worker.done()
    assert len(stub.calls) == before


@pytest.mark.parametrize("value", [-0.1, 100.1, float("nan"), float("inf"), "much", None])
def test_a_percentage_out_of_range_is_a_value_error(stub: Stub, value: float) -> None:
    worker = worker_of(stub)
    assert worker.task == 0
    with pytest.raises(ValueError, match=r"percentage .* out of range"):
        worker.update(value)
    assert reports(stub) == []


def test_the_ends_of_the_range_are_allowed(stub: Stub) -> None:
    worker = worker_of(stub)
    assert worker.task == 0
    worker.update(0)
    worker.update(100)
    assert worker.getTaskInfo(0, "percentCompleted") == 100


def test_update_returns_before_the_server_answers_and_the_last_word_wins(stub: Stub) -> None:
    worker = worker_of(stub)
    assert worker.task == 0
    arrived, answered = threading.Event(), threading.Event()

    def slow(exchange: Exchange) -> None:
        arrived.set()
        answered.wait(30)
        exchange.reply(*exchange.handle())

    stub.fault(*(("POST", "/exchange") if stub.has_exchange else ("PUT", "tasks/0")), slow)
    worker.update(10)
    assert arrived.wait(30)
    for percent in range(11, 60):
        worker.update(percent)
    answered.set()
    assert worker.percentDone == pytest.approx(59 / 3)
    assert reports(stub) == [10, 59]


def test_an_update_that_is_refused_is_told_by_the_next_call(stub: Stub) -> None:
    worker = worker_of(stub)
    assert worker.task == 0
    stub.runs[worker.uuid].take_away(0)  # with the exchange, no report is taken any more
    stub.fault("PUT", "tasks/0", *[answer(409, {"detail": "Task 0 is done.", "code": "stale"})] * 2)
    worker.update(100)
    with pytest.raises(ConflictError, match="Task 0 is ") as caught:
        worker.done()
    assert (caught.value.status, caught.value.code) == (409, "stale")
    worker.done()
    assert len(stub.workers) == 1


def test_after_a_conflict_the_loop_goes_on_with_the_next_task(stub: Stub) -> None:
    worker = worker_of(stub)
    taken = []
    for task in worker.tasks:
        taken.append(task)
        if len(taken) == 1:
            stub.runs[worker.uuid].holder[0] = "somebody else"
            stub.fault("PUT", "tasks/0", answer(409, {"detail": "Gone.", "code": "stale"}))
        try:
            worker.update(100)
            worker.done()
        except ConflictError:
            continue
    assert taken == [0, 1, 2]


def test_a_failed_task_is_said_by_hand_and_let_go_of(stub: Stub) -> None:
    worker = worker_of(stub)
    for task in worker.tasks:
        worker.update(50)
        worker.setTaskInfo(task, "status", "failed")
        worker.done()
    assert stub.runs[worker.uuid].status == ["failed"] * 3


def test_a_task_that_was_let_go_of_can_be_set_done_by_hand(stub: Stub) -> None:
    worker = worker_of(stub)
    for _ in worker.tasks:
        worker.done()
    for task in range(3):
        assert worker.getTaskInfo(task, "status") == "computing"
        worker.setTaskInfo(task, "status", "done")
    assert worker.task is None
    assert worker.numDone == 3


def test_closing_sends_what_was_reported(stub: Stub) -> None:
    with worker_of(stub) as worker:
        assert worker.task == 0
        worker.update(50)
    assert stub.runs[worker.uuid].percent[0] == 50


def test_a_task_appended_after_the_start_can_be_reported(stub: Stub) -> None:
    worker = worker_of(stub, tasks=1)
    run = stub.runs[worker.uuid]
    run.status[:] = ["done", "waiting"]
    run.percent.append(0.0)
    assert worker.task == 1
    worker.update(100)
    worker.done()
    assert run.status == ["done", "done"]


def test_an_unknown_run_is_said_at_the_start(stub: Stub) -> None:
    with pytest.raises(NotFoundError, match="There is no such run"):
        TaskFarmWorker("user", "secret", "nothing", url_base=stub.url)
    assert not stub.workers


def test_a_worker_without_a_run_is_refused_before_any_call(stub: Stub) -> None:
    with pytest.raises(RuntimeError, match="uuid"):
        TaskFarmWorker("user", "secret", None, url_base=stub.url)  # type: ignore[arg-type]
    assert not stub.calls
