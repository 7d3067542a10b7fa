"""The rules of repetition, for every method and every way a call can fail.

What is asserted is how many times the server saw the call.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stub_faults import answer, bad_gateway_after, drop_after, drop_before, stall
from taskfarm_clock import FakeClock
from taskfarm_stub import Exchange, Fault, Stub
from taskfarm_worker import (
    AnswerLostError,
    ConfigurationError,
    NotFoundError,
    ServerError,
    ServerUnavailableError,
    ServerUnreachableError,
    TaskFarm,
    TaskFarmWorker,
    ThrottledError,
    tfRuns,
)
from taskfarm_worker._session import Call, ServerSession

Open = Callable[..., ServerSession]

IDEMPOTENT = ["GET", "PUT", "DELETE"]

LOST: dict[str, Fault] = {
    "dropped before": drop_before,
    "dropped after": drop_after,
    "502": answer(502),
    "502 after": bad_gateway_after,
    "504": answer(504),
}
NOTHING_DONE: dict[str, Fault] = {
    "429": answer(429, {"detail": "Slow down.", "code": "throttled"}),
    "503": answer(503, {"detail": "Starting.", "code": "unavailable"}),
    "503 with Retry-After": answer(503, None, Retry_After="2"),
}


@pytest.mark.parametrize("method", IDEMPOTENT)
@pytest.mark.parametrize("fault", [*LOST, *NOTHING_DONE])
def test_an_idempotent_call_is_repeated(
    stub: Stub, open_session: Open, method: str, fault: str
) -> None:
    stub.fault(method, "echo", *[{**LOST, **NOTHING_DONE}[fault]] * 2)
    assert open_session(stub).call(Call(method, "echo")).status_code == 200
    assert stub.count(method, "echo") == 3


@pytest.mark.parametrize("fault", LOST)
def test_a_post_whose_answer_is_lost_is_not_repeated(
    stub: Stub, open_session: Open, fault: str
) -> None:
    stub.fault("POST", "echo", LOST[fault])
    with pytest.raises(AnswerLostError, match=r"It may be done; go and look\.$"):
        open_session(stub).call(Call("POST", "echo", doubt="It may be done; go and look."))
    assert stub.count("POST", "echo") == 1


@pytest.mark.parametrize("fault", NOTHING_DONE)
def test_a_post_that_the_server_did_not_do_is_repeated(
    stub: Stub, open_session: Open, fault: str
) -> None:
    stub.fault("POST", "echo", *[NOTHING_DONE[fault]] * 2)
    open_session(stub).call(Call("POST", "echo", body={"n": 1}))
    assert [call.body for call in stub.calls] == [{"n": 1}] * 3


@pytest.mark.parametrize("method", [*IDEMPOTENT, "POST"])
def test_a_refused_connection_is_tried_again_for_every_method(
    silent_stub: Stub, open_session: Open, clock: FakeClock, method: str
) -> None:
    tries = iter(range(10))
    clock.on_sleep = lambda: silent_stub.listen() if next(tries) == 3 else None
    open_session(silent_stub).call(Call(method, "echo"))
    assert len(clock.sleeps) == 4
    assert silent_stub.count(method, "echo") == 1


@pytest.mark.parametrize("method", [*IDEMPOTENT, "POST"])
@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 413, 500])
def test_a_verdict_is_not_asked_for_twice(
    stub: Stub, open_session: Open, method: str, status: int
) -> None:
    stub.fault(method, "echo", *[answer(status, {"detail": "No.", "code": "no"})] * 2)
    with pytest.raises(RuntimeError, match=r"No\."):
        open_session(stub).call(Call(method, "echo"))
    assert stub.count(method, "echo") == 1


def test_an_answer_that_does_not_come_in_time_counts_as_lost(
    stub: Stub, open_session: Open
) -> None:
    session = open_session(stub, timeout=(5, 0.1))
    stub.fault("GET", "echo", stall)
    assert session.call(Call("GET", "echo")).status_code == 200
    stub.fault("POST", "echo", stall)
    with pytest.raises(AnswerLostError, match=r"no answer within 0\.1 s"):
        session.call(Call("POST", "echo"))
    assert (stub.count("GET", "echo"), stub.count("POST", "echo")) == (2, 1)


def test_waits_double_up_to_half_a_minute_until_patience_ends(
    silent_stub: Stub, open_session: Open, clock: FakeClock
) -> None:
    with pytest.raises(ServerUnreachableError, match=r"connection refused.*10 tries in 120 s"):
        open_session(silent_stub, patience=120).call(Call("GET", "echo"))
    assert clock.sleeps == [0.5, 1, 2, 4, 8, 16, 30, 30, 28.5]


def test_without_patience_there_is_one_try(
    silent_stub: Stub, open_session: Open, clock: FakeClock
) -> None:
    with pytest.raises(ServerUnreachableError, match="TASKFARM_URL"):
        open_session(silent_stub, patience=0).call(Call("GET", "echo"))
    assert clock.sleeps == []


def test_retry_after_is_a_lower_limit(stub: Stub, open_session: Open, clock: FakeClock) -> None:
    stub.fault("GET", "echo", answer(503, None, Retry_After="7"))
    open_session(stub).call(Call("GET", "echo"))
    assert clock.sleeps == [7.5]


def test_retry_after_may_be_a_date(stub: Stub, open_session: Open, clock: FakeClock) -> None:
    stub.fault("GET", "echo", answer(503, None, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"))
    open_session(stub).call(Call("GET", "echo"))
    assert clock.sleeps == [0.5]


def test_who_is_told_to_wait_longer_than_patience_hears_so_at_once(
    stub: Stub, open_session: Open, clock: FakeClock
) -> None:
    body = {"detail": "Too many failed logins.", "code": "throttled"}
    stub.fault("GET", "echo", answer(429, body, Retry_After="300"))
    with pytest.raises(ThrottledError, match=r"Too many failed logins\..*300 s") as caught:
        open_session(stub).call(Call("GET", "echo"))
    assert caught.value.retry_after == 300
    assert clock.sleeps == []


def test_a_server_that_stays_away_ends_in_its_own_error(stub: Stub, open_session: Open) -> None:
    stub.fault("GET", "echo", *[answer(503, {"detail": "Read-only.", "code": "x"})] * 50)
    with pytest.raises(ServerUnavailableError, match=r"Read-only\. Given up after \d+ tries"):
        open_session(stub).call(Call("GET", "echo"))


def test_a_deletion_that_was_done_before_is_a_success(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", uuid=stub.add_run(1).uuid, url_base=stub.url)
    stub.fault("DELETE", farm.uuid, drop_after)
    farm.delete()
    assert stub.count("DELETE", farm.uuid) == 2
    assert not stub.runs


def test_a_deletion_that_was_surely_not_done_before_may_fail(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", uuid=stub.add_run(1).uuid, url_base=stub.url)
    stub.runs.clear()
    stub.fault("DELETE", farm.uuid, answer(503))
    with pytest.raises(NotFoundError):
        farm.delete()


@pytest.mark.parametrize("fault", LOST)
def test_registering_a_worker_is_repeated(stub: Stub, fault: str) -> None:
    stub.fault("POST", "worker", LOST[fault])
    worker = TaskFarmWorker("user", "secret", stub.add_run(1).uuid, url_base=stub.url)
    assert stub.count("POST", "worker") == 2
    assert list(stub.workers) == [worker.worker_uuid]
    assert worker.task == 0


def test_a_worker_that_exists_at_the_first_try_is_an_error(stub: Stub) -> None:
    body = {"detail": "This worker is registered.", "code": "worker_exists"}
    stub.fault("POST", "worker", answer(409, body))
    with pytest.raises(RuntimeError, match="This worker is registered"):
        TaskFarmWorker("user", "secret", stub.add_run(1).uuid, url_base=stub.url)
    assert stub.count("POST", "worker") == 1


def unavailable_after(exchange: Exchange) -> None:
    """Fault: the call is carried out, but the server's database leaves before it can say so."""
    exchange.handle()
    exchange.reply(503, {"detail": "Away.", "code": "unavailable"})


def test_a_deletion_that_was_cut_short_is_done_when_the_run_is_gone(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", uuid=stub.add_run(1).uuid, url_base=stub.url)
    stub.fault("DELETE", farm.uuid, unavailable_after)
    farm.delete()
    assert (stub.runs, stub.count("DELETE", farm.uuid)) == ({}, 2)


def test_creating_a_run_is_never_done_twice(stub: Stub) -> None:
    stub.fault("POST", "run", drop_after)
    with pytest.raises(AnswerLostError, match=r"lost.*manageTF --list"):
        TaskFarm("user", "secret", numTasks=3, url_base=stub.url)
    assert (len(stub.runs), stub.count("POST", "run")) == (1, 1)


def test_restarting_a_run_is_never_done_twice(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", uuid=stub.add_run(1).uuid, url_base=stub.url)
    stub.fault("POST", "/restart", bad_gateway_after)
    with pytest.raises(AnswerLostError, match=f"502 Bad Gateway.*manageTF --info {farm.uuid}"):
        farm.restart()
    assert stub.count("POST", "/restart") == 1


def test_a_fault_of_the_server_is_told_as_such(stub: Stub) -> None:
    stub.fault("GET", "runs", answer(500, {"detail": "Server error.", "code": "error"}))
    with pytest.raises(ServerError, match="The fault is the server's"):
        tfRuns("user", "secret", stub.url)


def test_waiting_is_told_at_once_and_then_every_five_minutes(
    silent_stub: Stub, open_session: Open, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ServerUnreachableError):
        open_session(silent_stub, patience=3600).call(Call("GET", "echo"))
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "connection refused. Trying again for up to 3600 s." in warnings[0]
    assert 10 <= len(warnings) <= 13


def test_a_connection_left_idle_is_not_trusted(
    stub: Stub, open_session: Open, clock: FakeClock
) -> None:
    stub.keep_alive = True
    session = open_session(stub)
    for seconds in (0, 1, 60):
        clock.time += seconds
        session.call(Call("POST", "echo"))
    session.close()
    first, second, third = [call.client_port for call in stub.calls]
    assert first == second != third


def test_tls_on_a_plain_port_is_not_waited_for(stub: Stub, clock: FakeClock) -> None:
    with pytest.raises(ServerUnreachableError, match="TLS failed"):
        TaskFarm("user", "secret", numTasks=1, url_base=stub.url.replace("http", "https"))
    assert clock.sleeps == []


@pytest.mark.parametrize("value", ["soon", -1, float("nan")])
def test_patience_must_be_seconds(stub: Stub, value: float) -> None:
    with pytest.raises(ConfigurationError, match=r"patience is .* must be a number of seconds"):
        TaskFarm("user", "secret", numTasks=1, url_base=stub.url, patience=value)


@pytest.mark.parametrize("value", [0, -1, (1, 2, 3), (1, 0), "5"])
def test_timeouts_must_be_seconds(stub: Stub, value: float) -> None:
    with pytest.raises(ValueError, match=r"timeout is .* must be seconds"):
        TaskFarm("user", "secret", numTasks=1, url_base=stub.url, timeout=value)


def test_calls_that_grow_with_the_run_may_take_longer(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = TaskFarm("user", "secret", uuid=stub.add_run(1).uuid, url_base=stub.url)
    allowed = []
    request = farm.session.request

    def noting(*args: object, **options: object) -> object:
        allowed.append(options["timeout"])
        return request(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(farm.session, "request", noting)
    assert farm.numDone == 0
    farm.restart()
    farm.delete()
    assert allowed == [(10, 60), (10, 600), (10, 600)]


def test_patience_comes_from_argument_then_environment_then_default(
    silent_stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elapsed(**options: float) -> str:
        with pytest.raises(ServerUnreachableError) as caught:
            TaskFarm("user", "secret", numTasks=1, url_base=silent_stub.url, **options)  # type: ignore[arg-type]
        return str(caught.value)

    assert "in 30 s" in elapsed()
    monkeypatch.setenv("TASKFARM_PATIENCE", "90")
    assert "in 90 s" in elapsed()
    assert "in 5 s" in elapsed(patience=5)
