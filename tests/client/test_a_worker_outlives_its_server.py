"""A server that is away for a while, and claims whose answers are lost."""

from __future__ import annotations

import pytest
from taskfarm_clock import FakeClock
from taskfarm_stub import Fault, Stub, answer, bad_gateway_after, drop_after
from taskfarm_worker import ServerUnavailableError, ServerUnreachableError, TaskFarmWorker


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


@pytest.mark.parametrize("fault", [drop_after, bad_gateway_after])
def test_a_lost_claim_is_told_and_the_worker_goes_on(
    stub: Stub, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
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
    worker = worker_of(stub)
    stub.fault("POST", "/task", *[answer(502)] * 1000)
    with pytest.raises(ServerUnavailableError, match=r"in 3600 s\..*manageTF --reset"):
        assert worker.task


def test_a_claim_that_surely_did_not_arrive_is_no_lost_claim(
    stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    worker = worker_of(stub)
    stub.fault("POST", "/task", answer(503), answer(429))
    assert worker.task == 0
    assert "handed out" not in caplog.text
