"""What the tests of the client share: a stub server, a clock, and a clean environment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from taskfarm_worker import _config, _retry
from taskfarm_worker._session import ServerSession

sys.path.insert(0, str(Path(__file__).parent))  # for `taskfarm_stub`, whatever the import mode

from taskfarm_clock import FakeClock
from taskfarm_stub import Stub

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark these tests as needing one pass only, where the project knows that mark."""
    if any(line.startswith("once:") for line in config.getini("markers")):
        for item in items:
            if HERE in item.path.parents:
                item.add_marker("once")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for key in ("URL", "USER", "PASSWORD", "TOKEN", "CONFIG", "PATIENCE"):
        monkeypatch.delenv(f"TASKFARM_{key}", raising=False)
    for key in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(key, raising=False)
        monkeypatch.delenv(key.upper(), raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Replace time, so that an hour of patience passes at once."""
    fake = FakeClock()
    monkeypatch.setattr(_retry, "SYSTEM_CLOCK", fake)
    return fake


@pytest.fixture
def silent_stub() -> Iterator[Stub]:
    """Give a server that refuses connections until it is told to listen."""
    stub = Stub()
    yield stub
    stub.ended.set()
    stub.close()


@pytest.fixture
def stub(silent_stub: Stub) -> Stub:
    """Give a running server with the user "user", password "secret"."""
    silent_stub.listen()
    return silent_stub


@pytest.fixture
def open_session() -> Callable[..., ServerSession]:
    """Give a function that opens a session with the token which the stub knows."""

    def opened(stub: Stub, **options: object) -> ServerSession:
        settings = _config.resolve(stub.url, token="given-token")
        return ServerSession(settings, **options)  # type: ignore[arg-type]

    return opened
