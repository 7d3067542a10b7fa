"""The signs of life of a worker, what they say that it holds, and what it hears in return."""

from __future__ import annotations

import logging
import os
import pickle
import threading
from collections.abc import Callable, Iterator

import pytest
import requests
from stub_faults import answer
from taskfarm_stub import Seen, Stub
from taskfarm_worker import ConflictError, TaskFarmWorker, _courier, _hold

fork_only = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers give their signs of life often."""
    monkeypatch.setattr(_hold, "HEARTBEAT", 0.01)


@pytest.fixture
def worker(stub: Stub) -> Iterator[TaskFarmWorker]:
    """Give a worker on a run of three tasks, closed at the end."""
    with TaskFarmWorker("user", "secret", stub.add_run(3).uuid, url_base=stub.url) as worker:
        yield worker


def is_beat(seen: Seen) -> bool:
    """Whether a call is a sign of life and nothing more."""
    return seen.path.endswith("/exchange") and not (seen.body.get("want") or "reports" in seen.body)


def hear(stub: Stub, wanted: Callable[[Seen], bool] = is_beat) -> Seen:
    """Wait for a call that begins and ends from now on."""
    heard = threading.Event()
    found: list[Seen] = []
    sent = len(stub.calls)

    def listen(seen: Seen) -> None:
        if wanted(seen) and seen in stub.calls[sent:]:
            found.append(seen)
            heard.set()

    stub.after = listen
    assert heard.wait(30), "no such call"
    return found[0]


def settle(worker: TaskFarmWorker) -> None:
    """Wait until the answer to the exchange that is under way has been taken in."""
    with worker._claims._hold._turn:  # type: ignore[attr-defined]
        pass


def holding(seen: Seen) -> list[list[int]]:
    """What a worker says that it holds."""
    (held,) = seen.body["holding"].values()
    return list(held)


def test_it_says_what_is_in_hand_and_what_was_let_go_of(stub: Stub, worker: TaskFarmWorker) -> None:
    assert worker.task == 0
    assert holding(hear(stub)) == [[0, 1]]
    worker.update(40)
    worker.done()
    assert worker.task == 1
    assert holding(hear(stub)) == [[0, 1], [1, 1]]
    worker.update(100)
    worker.done()
    assert holding(hear(stub)) == [[0, 1]]
    assert stub.runs[worker.uuid].status == ["computing", "done", "waiting"]


def test_what_ends_by_hand_is_not_held_any_more(
    stub: Stub, worker: TaskFarmWorker, caplog: pytest.LogCaptureFixture
) -> None:
    assert worker.task == 0
    worker.done()
    assert worker.task == 1
    worker.setTaskInfo(1, "status", "failed")
    assert holding(hear(stub)) == [[0, 1]]
    worker.done()
    assert worker.task == 2
    assert "taken away" not in caplog.text


def test_a_task_that_is_taken_away_is_logged_and_told_by_the_next_call(
    stub: Stub, worker: TaskFarmWorker, caplog: pytest.LogCaptureFixture
) -> None:
    assert worker.task == 0
    stub.runs[worker.uuid].take_away(0)
    hear(stub)
    settle(worker)
    assert "Task 0, attempt 1, was taken away by the server." in caplog.text
    with pytest.raises(ConflictError, match=r"Task 0 is not this worker's any more.*next one\."):
        worker.update(50)
    assert worker.task == 0  # by a new attempt
    worker.update(100)
    worker.done()
    assert stub.runs[worker.uuid].outcomes() == [(0, 2, "done")]


def test_a_task_that_is_taken_away_is_never_reported_as_done(
    stub: Stub, worker: TaskFarmWorker
) -> None:
    assert worker.task == 0
    worker.update(100)
    stub.runs[worker.uuid].take_away(0)
    with pytest.raises(ConflictError):
        worker.done()
    assert stub.runs[worker.uuid].status[0] == "waiting"


def test_letting_go_of_what_is_taken_away_is_no_conflict(
    stub: Stub, worker: TaskFarmWorker
) -> None:
    assert worker.task == 0
    stub.runs[worker.uuid].take_away(0)
    hear(stub)
    settle(worker)
    worker.done()
    assert worker.task == 0


def test_a_task_let_go_of_that_is_taken_away_is_of_no_concern(
    stub: Stub, worker: TaskFarmWorker, caplog: pytest.LogCaptureFixture
) -> None:
    assert worker.task == 0
    worker.done()
    assert worker.task == 1
    stub.runs[worker.uuid].take_away(0)
    hear(stub)
    settle(worker)
    worker.update(100)
    worker.done()
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_the_task_of_a_claim_that_was_broken_off_is_the_next(
    stub: Stub, worker: TaskFarmWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert worker.task == 0
    worker.done()

    read = _hold.json_object

    def break_off(answered: requests.Response) -> dict[str, object]:
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return read(answered)

    monkeypatch.setattr(_hold, "json_object", break_off)
    with pytest.raises(KeyboardInterrupt):
        assert worker.task
    monkeypatch.setattr(_hold, "json_object", read)
    assert worker.task == 1
    assert stub.runs[worker.uuid].status == ["computing", "computing", "waiting"]


def test_trouble_with_signs_of_life_troubles_nobody(stub: Stub, worker: TaskFarmWorker) -> None:
    assert worker.task == 0
    stub.fault("POST", "/exchange", answer(500), answer(503), answer(403, {"detail": "No."}))
    hear(stub)
    worker.update(100)
    worker.done()


def test_a_worker_that_is_forgotten_while_it_computes_registers_again(
    stub: Stub, worker: TaskFarmWorker
) -> None:
    assert worker.task == 0
    stub.workers.clear()
    hear(stub)
    assert list(stub.workers) == [worker.worker_uuid]


def test_closing_gives_back_what_is_in_hand(stub: Stub, worker: TaskFarmWorker) -> None:
    assert worker.task == 0
    worker.update(30)
    worker.close()
    run = stub.runs[worker.uuid]
    assert (run.status[0], run.percent[0]) == ("waiting", 30)
    with pytest.raises(ConflictError, match=r"or close\(\) gave it back"):
        worker.update(40)
    assert worker.task == 0
    hear(stub)


def test_closing_keeps_what_was_let_go_of_computing(stub: Stub, worker: TaskFarmWorker) -> None:
    assert worker.task == 0
    worker.done()
    worker.close()
    assert holding(hear(stub)) == [[0, 1]]
    assert stub.runs[worker.uuid].status[0] == "computing"
    worker.setTaskInfo(0, "status", "done")


def leave_by(worker: TaskFarmWorker, error: BaseException) -> None:
    """Leave the block of a worker that has a task in hand."""
    with worker:
        assert worker.task == 0
        raise error


def test_an_exception_leaves_the_task_as_a_crash_would(stub: Stub, worker: TaskFarmWorker) -> None:
    with pytest.raises(ZeroDivisionError):
        leave_by(worker, ZeroDivisionError())
    assert stub.runs[worker.uuid].status[0] == "computing"
    assert stub.count("DELETE", worker.worker_uuid) == 0
    assert not worker._claims._hold.kept  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_gives_the_task_back(
    stub: Stub, worker: TaskFarmWorker, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        leave_by(worker, error())
    assert stub.runs[worker.uuid].status[0] == "waiting"


def test_a_worker_cannot_always_sign_off(
    stub: Stub, worker: TaskFarmWorker, caplog: pytest.LogCaptureFixture
) -> None:
    stub.fault("DELETE", worker.worker_uuid, answer(503))
    worker.close()
    assert "could not sign off" in caplog.text


def test_a_copy_in_the_same_process_is_the_same_worker(stub: Stub, worker: TaskFarmWorker) -> None:
    assert worker.task == 0
    again = pickle.loads(pickle.dumps(worker))
    worker.done()
    assert (worker.task, again.task) == (1, 0)
    assert holding(hear(stub)) == [[0, 1], [1, 1]]
    again.update(100)
    again.done()
    assert again.task == 2
    assert len(stub.workers) == 1


@fork_only
def test_a_forked_child_shows_life_but_does_not_say_what_its_parent_holds(
    stub: Stub, worker: TaskFarmWorker
) -> None:
    assert worker.task == 0
    pid = os.fork()
    if pid == 0:
        worker.update(50)
        threading.Event().wait(60)
        os._exit(1)
    try:
        beat = hear(stub, lambda seen: is_beat(seen) and "holding" not in seen.body)
        assert beat.path == f"/api/worker/{worker.worker_uuid}/exchange"
        assert stub.runs[worker.uuid].percent[0] == 50
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    worker.update(60)
    worker.done()
    assert stub.runs[worker.uuid].percent[0] == 60


def test_the_promise_is_that_of_a_courier(stub: Stub, worker: TaskFarmWorker) -> None:
    assert stub.workers[worker.worker_uuid]["heartbeat"] == _courier.HEARTBEAT
