"""Connections that do not come about: what they mean, and how they are told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from taskfarm_clock import FakeClock
from taskfarm_stub import Stub
from taskfarm_worker import ServerUnreachableError, _retry, _transport
from taskfarm_worker._session import Call, ServerSession
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

Open = Callable[..., ServerSession]


def wrapped(reason: Exception) -> MaxRetryError:
    return MaxRetryError(None, "/", reason)  # type: ignore[arg-type]


def test_a_proxy_that_is_away_means_that_the_call_did_not_leave(
    stub: Stub, open_session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Stub()
    monkeypatch.setenv("http_proxy", other.url)
    with pytest.raises(ServerUnreachableError, match=r"proxy.*tries in 30 s"):
        open_session(stub).call(Call("POST", "echo"))
    other.close()


def test_no_connection_in_time_means_that_the_call_did_not_leave() -> None:
    error = requests.exceptions.ConnectTimeout(wrapped(ConnectTimeoutError()))
    assert _transport.never_left(error)
    assert _transport.worth_repeating(error)
    assert _transport.describe(error, (10, 60)) == "no connection within 10 s"


def test_a_broken_connection_leaves_doubt() -> None:
    error = requests.exceptions.ConnectionError(ConnectionResetError(104, "reset"))
    assert not _transport.never_left(error)
    assert _transport.describe(error, (10, 60)) == "the connection was lost before the answer came"


def test_an_error_that_the_caller_was_handling_does_not_count() -> None:
    error = requests.exceptions.ConnectionError("reset")
    error.__context__ = NewConnectionError(None, "refused")  # type: ignore[arg-type]
    assert not _transport.never_left(error)


def test_an_error_that_wraps_itself_is_no_endless_loop() -> None:
    error = requests.exceptions.ConnectionError("odd")
    error.__cause__ = error
    assert not _transport.never_left(error)


def test_the_real_clock_draws_waits_from_the_whole_range() -> None:
    clock = _retry.Clock()
    draws = [clock.jitter(30) for _ in range(1000)]
    assert 0 <= min(draws) < 5
    assert 25 < max(draws) <= 30
    assert clock.now() <= clock.now()
    clock.sleep(0)


def test_waits_stay_bounded_however_often_a_call_fails(clock: FakeClock) -> None:
    retrying = _retry.Retrying(float("inf"), clock)
    assert all(retrying.wait("away") for _ in range(5000))
    assert max(clock.sleeps) == _retry.LONGEST_STEP
