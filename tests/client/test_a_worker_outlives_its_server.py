"""A server that is away for a while, and claims whose answers are lost."""

from __future__ import annotations

import pytest
from stub_faults import answer, bad_gateway_after, drop_after, drop_before
from taskfarm_clock import FakeClock
from taskfarm_stub import Fault, Stub
from taskfarm_worker import (
    NotFoundError,
    ServerUnavailableError,
    ServerUnreachableError,
    TaskFarmWorker,
)


def worker_of(stub: Stub, tasks: int = 3) -> TaskFarmWorker:
    return TaskFarmWorker("user", "secret", stub.add_run(tasks).uuid, url_base=stub.url)


def test_work_goes_on_when_the_server_returns_after_most_of_an_hour(
    stub: Stub, clock: FakeClock
) -> None:
    worker = worker_of(stub)
    assert worker.task == 0
    stub.refuse()
    start = clock.time
    returned: list[float] = []

    def come_back() -> None:
        if clock.time - start > 3400 and not returned:
            returned.append(clock.time)
            stub.listen()

    clock.on_sleep = come_back
    worker.update(100)
    worker.done()
    assert returned
    assert stub.runs[worker.uuid].status[0] == "done"


def test_an_hour_is_the_limit_and_patience_another(stub: Stub) -> None:
    run = stub.add_run(3)
    hour = TaskFarmWorker("user", "secret", run.uuid, url_base=stub.url)
    minute = TaskFarmWorker("user", "secret", run.uuid, url_base=stub.url, patience=60)
    stub.refuse()
    with pytest.raises(ServerUnreachableError, match="in 3600 s"):
        assert hour.task
    with pytest.raises(ServerUnreachableError, match="in 60 s"):
        assert minute.task


def test_a_wrong_address_shows_within_half_a_minute(silent_stub: Stub) -> None:
    with pytest.raises(ServerUnreachableError, match="in 30 s"):
        TaskFarmWorker("user", "secret", "0" * 32, url_base=silent_stub.url)


@pytest.mark.parametrize("fault", [drop_before, drop_after, bad_gateway_after])
def test_an_answer_that_is_lost_loses_nothing(
    stub: Stub, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    worker = worker_of(stub)
    taken = []
    while True:
        stub.fault("POST", "/exchange", fault)
        task = worker.task
        if task is None:
            break
        taken.append(task)
        worker.update(100)
        stub.fault("POST", "/exchange", fault)
        worker.done()
    run = stub.runs[worker.uuid]
    assert taken == [0, 1, 2]
    assert run.outcomes() == [(number, 1, "done") for number in range(3)]
    assert "taken away" not in caplog.text


def test_a_lost_claim_hands_out_no_second_task_meanwhile(stub: Stub) -> None:
    worker = worker_of(stub)
    stub.fault("POST", "/exchange", drop_after, drop_after, answer(503))
    assert worker.task == 0
    assert stub.runs[worker.uuid].status == ["computing", "waiting", "waiting"]


def test_a_server_that_forgot_the_worker_gets_to_know_it_again(stub: Stub) -> None:
    worker = worker_of(stub)
    stub.workers.clear()
    assert worker.task == 0
    assert list(stub.workers) == [worker.worker_uuid]


def test_a_run_that_is_gone_is_an_error(stub: Stub) -> None:
    worker = worker_of(stub)
    assert worker.task == 0
    stub.runs.clear()
    worker.update(100)
    with pytest.raises(NotFoundError, match="There is no such run"):
        worker.done()


def test_an_exchange_that_stays_unanswered_is_an_error_after_an_hour(stub: Stub) -> None:
    worker = worker_of(stub)
    stub.fault("POST", "/exchange", *[answer(502)] * 1000)
    with pytest.raises(ServerUnavailableError, match=r"in 3600 s\."):
        assert worker.task


# ---- a server without the exchange


@pytest.mark.parametrize("fault", [drop_after, bad_gateway_after])
def test_a_lost_claim_is_told_and_the_worker_goes_on(
    stub: Stub, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    stub.has_exchange = False
    worker = worker_of(stub)
    stub.fault("POST", "/task", fault)
    taken = []
    for task in worker.tasks:
        taken.append(task)
        worker.update(100)
        worker.done()
    assert taken == [1, 2]
    assert stub.runs[worker.uuid].status == ["computing", "done", "done"]
    assert f"'manageTF --reset {worker.uuid}', once no worker is computing." in caplog.text
    worker.restart()
    assert worker.task == 0


def test_a_claim_that_stays_unanswered_says_what_to_do_in_the_end(stub: Stub) -> None:
    stub.has_exchange = False
    worker = worker_of(stub)
    stub.fault("POST", "/task", *[answer(502)] * 1000)
    with pytest.raises(ServerUnavailableError, match=r"in 3600 s\..*manageTF --reset"):
        assert worker.task


def test_a_claim_that_surely_did_not_arrive_is_no_lost_claim(
    stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    stub.has_exchange = False
    worker = worker_of(stub)
    stub.fault("POST", "/task", answer(503), answer(429))
    assert worker.task == 0
    assert "handed out" not in caplog.text
