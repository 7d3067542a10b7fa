"""Lost, repeated, delayed and refused exchanges: every task is done exactly once in the books."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from stub_faults import answer, bad_gateway_after, delay, drop_after, drop_before, twice
from taskfarm_clock import FakeClock
from taskfarm_stub import Exchange, Fault, Stub
from taskfarm_stub import Run as Kept
from taskfarm_worker import (
    AuthenticationError,
    Run,
    ServerUnreachableError,
    Summary,
    Task,
    _courier,
    connect,
)
from taskfarm_worker._reports import Done, not_begun

PAGE = "<html><head><title>Down for maintenance</title></head></html>"


def run_of(stub: Stub, tasks: int = 3) -> tuple[Run, Kept]:
    run = connect(stub.url, "user", "secret").create_run(tasks)
    return run, stub.runs[run.uuid]


FAULTS: dict[str, Fault] = {
    "lost before": drop_before,
    "lost after": drop_after,
    "proxy lost its server": bad_gateway_after,
    "arrives twice": twice,
    "busy": answer(503, {"detail": "Busy.", "code": "busy"}, Retry_After="2"),
    "throttled": answer(429, {"detail": "Slow down.", "code": "throttled"}),
    "failed": answer(500, PAGE),
    "maintenance": answer(200, PAGE),
    "redirected": answer(302, "", Location="/login"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_a_fault_at_any_exchange_loses_and_repeats_nothing(
    stub: Stub, name: str, position: int
) -> None:
    run, kept = run_of(stub, 40)
    stub.share = 7
    stub.fault("POST", "/exchange", *[pass_on] * position, FAULTS[name])
    done: list[int] = []
    assert run.work(lambda task: done.append(task.number)) == Summary(done=40)
    assert sorted(done) == list(range(40))
    assert sorted(kept.outcomes()) == [(number, 1, "done") for number in range(40)]


def pass_on(exchange: Exchange) -> None:
    exchange.reply(*exchange.handle())


def test_faults_in_a_row_lose_and_repeat_nothing(stub: Stub) -> None:
    run, kept = run_of(stub, 200)
    stub.share = 11
    for _ in range(3):
        stub.fault("POST", "/exchange", pass_on, *FAULTS.values())
    assert run.work(lambda task: {"n": task.number}) == Summary(done=200)
    assert sorted(kept.outcomes()) == [(number, 1, "done") for number in range(200)]


def test_after_a_fault_the_worker_says_what_it_holds(stub: Stub) -> None:
    run, _ = run_of(stub, 40)
    stub.fault("POST", "/exchange", drop_after)
    run.work(lambda task: None)
    bodies = [call.body for call in stub.calls if call.path.endswith("/exchange")]
    assert "holding" not in bodies[0]
    assert bodies[1]["holding"] == {run.uuid: []}
    assert bodies[1]["want"] == 0, "what was handed out is not asked for twice"


def test_work_goes_on_while_the_server_is_away(stub: Stub, clock: FakeClock) -> None:
    run, kept = run_of(stub, 30)
    away = threading.Event()
    done: list[int] = []

    def work(task: Task) -> None:
        done.append(task.number)
        if len(done) == 3:
            stub.refuse()
            away.set()

    def come_back() -> None:
        if away.is_set() and len(done) >= 10 and clock.time > 3000:
            away.clear()
            stub.listen()

    clock.on_sleep = come_back
    assert run.work(work) == Summary(done=30)
    assert kept.status == ["done"] * 30


def test_when_patience_ends_the_error_counts_what_was_not_delivered(stub: Stub) -> None:
    run, _ = run_of(stub, 30)

    def work(task: Task) -> None:
        if task.number == 1:
            stub.refuse()

    with pytest.raises(ServerUnreachableError) as caught:
        run.work(work)
    assert "in 3600 s" in str(caught.value)
    assert "reports could not be delivered: their tasks will be done again" in str(caught.value)


def test_a_wrong_address_shows_within_half_a_minute(stub: Stub) -> None:
    run, _ = run_of(stub)
    stub.refuse()
    with pytest.raises(ServerUnreachableError, match="in 30 s"):
        run.work(lambda task: None)


def test_a_token_that_ends_is_renewed_and_one_that_cannot_be_is_the_end(stub: Stub) -> None:
    run, kept = run_of(stub, 10)

    def work(task: Task) -> None:
        if task.number == 1:
            stub.tokens.clear()
        if task.number == 5:
            stub.tokens.clear()
            stub.users.clear()

    with pytest.raises(AuthenticationError):
        run.work(work)
    assert kept.status[0] == "done"


def test_a_late_answer_stops_nobody(stub: Stub) -> None:
    run, kept = run_of(stub, 60)
    late = threading.Event()
    done: list[int] = []

    def work(task: Task) -> None:
        done.append(task.number)
        if task.number == 40:  # in hand before the second answer, which is still on its way
            late.set()

    stub.share = 50
    stub.fault("POST", "/exchange", pass_on, pass_on, delay(late))
    assert run.work(work).done == 60
    assert kept.status == ["done"] * 60


def test_reports_that_come_too_late_are_told_apart_from_those_that_count(
    stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    run, kept = run_of(stub, 1)

    def work(task: Task) -> None:
        if task.attempt == 1:
            kept.take_away(0)

    assert run.work(work) == Summary(done=1, dropped=1)
    assert kept.outcomes() == [(0, 2, "done")]
    told = "1 report came too late: that on task 0. The server had given up the attempt."
    assert caplog.messages == [told]


def test_what_failed_too_late_is_not_counted_as_failed(
    stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    run, kept = run_of(stub, 2)

    def work(task: Task) -> None:
        if task.attempt == 1:
            kept.take_away(task.number)
            raise ValueError("spoilt")

    assert run.work(work) == Summary(done=2, dropped=2)
    assert "came too late" in caplog.text


def test_what_is_taken_away_before_it_is_reported_does_not_count(stub: Stub) -> None:
    run, _ = run_of(stub)
    courier = _courier.Courier(run._server, run.uuid, "0" * 32, patience=1.0)
    task = {"attempt": 1, "run": run.uuid, "percentCompleted": 0}
    courier._put([{"task": number, **task} for number in (0, 1)])
    courier.plain.append(Done((0, 1), (1.0, time.monotonic())))
    courier.tell(not_begun((1, 1)))
    courier._drop([[run.uuid, 0, 1], [run.uuid, 1, 1]])
    courier._confirmed(courier._compose()[0])
    assert (courier.plain, courier.told) == ([], [])
    assert courier.stale == {"done": 1, "released": 1}


def test_tasks_kept_ahead_are_given_back_when_one_takes_long(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_courier, "STUCK", 0.0)
    run, kept = run_of(stub, 50)
    given_back = threading.Event()

    def note(call: object) -> None:
        if any(status == "released" for _, _, status in kept.outcomes()):
            given_back.set()

    stub.after = note

    def work(task: Task) -> None:
        if task.number == 3 and task.attempt == 1:
            assert given_back.wait(30)

    assert run.work(work, heartbeat=0.02).done == 50
    assert kept.status == ["done"] * 50


def test_a_courier_that_fails_says_so(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run, _ = run_of(stub)
    stub.fault("POST", "/exchange", answer(200, {"tasks": [{"nonsense": 1}]}))
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError, match=r"courier .* failed"):
        run.work(lambda task: None)


def test_an_answer_to_an_older_question_puts_no_newer_one_off(stub: Stub) -> None:
    run, _ = run_of(stub)
    courier = _courier.Courier(run._server, run.uuid, "0" * 32, patience=1.0)
    courier.poll()  # whoever works has nothing to do
    now = time.monotonic()
    courier._none_to_be_had({"retryAfter": 5}, now)
    assert courier._when() >= now + 5
    courier.ask()  # the last command has ended while an exchange was on its way …
    courier._none_to_be_had({"retryAfter": 5}, now)  # … that tells of the time before
    assert courier._when() <= time.monotonic()
    assert courier._want(time.monotonic()) == 1
