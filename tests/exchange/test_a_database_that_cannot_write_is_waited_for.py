"""A full disk, a read-only database: a clear 503, nothing changed; the client waits and goes on."""

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from django.db import connection
from rest_framework.test import APIClient
from taskfarm_worker import Farm, Task, connect

from runs.models import Run, Worker
from tests import factories
from tests.api.shape import assert_refused
from tests.exchange.crew import (
    Crew,
    Memory,
    attempts,
    check_each_done_once,
    children,
    done,
    hasten,
    real_user,
    wait_until,
    wait_until_done,
)  # fmt: skip
from tests.server import Server, serve

pytestmark = pytest.mark.django_db(transaction=True)


def sql(*statements: str) -> None:
    """Execute statements, each by itself."""
    with connection.cursor() as cursor:
        for one in statements:
            cursor.execute(one)


@contextmanager
def read_only() -> Iterator[None]:
    """This test's connection may not write: SQLite opened so, PostgreSQL as a standby is."""
    if connection.vendor == "sqlite":
        there, back = "PRAGMA query_only = ON", "PRAGMA query_only = OFF"
    else:
        there = "SET default_transaction_read_only = on"
        back = "SET default_transaction_read_only = off"
    sql(there)
    try:
        yield
    finally:
        sql(back)


# PostgreSQL cannot be made to fill a disk of its own here; it says so as it would.
FULL = """
CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device'
    USING ERRCODE = 'disk_full'; END $$
"""
TRIGGER = "CREATE TRIGGER full_disk BEFORE INSERT ON runs_attempt EXECUTE FUNCTION disk_full()"


@contextmanager
def full() -> Iterator[None]:
    """There is no room for another attempt with its output."""
    if connection.vendor == "sqlite":
        sql("VACUUM", "PRAGMA max_page_count = 1")  # as many as there are
        back = ["PRAGMA max_page_count = 1000000000"]
    else:
        sql(FULL, TRIGGER)
        back = ["DROP TRIGGER full_disk ON runs_attempt", "DROP FUNCTION disk_full()"]
    try:
        yield
    finally:
        sql(*back)


@pytest.mark.parametrize("trouble", [read_only, full])
def test_an_exchange_is_refused_whole_and_accepted_when_there_is_room_again(
    alice: User, api: APIClient, worker: Worker, trouble: Callable[[], Any],
    exchange: Callable[..., Any],
) -> None:  # fmt: skip
    run = factories.run(alice, 20)
    exchange(run, want=5)
    before, books = factories.count_rows(), list(run.tasks.order_by("number").values())
    body = {
        "runs": [run.uuid.hex],
        "want": 5,
        "reports": {run.uuid.hex: [
            {"task": number, "attempt": 1, "status": "done", "output": "x" * 200_000}
            for number in range(5)
        ]},
    }  # fmt: skip
    address = f"/api/worker/{worker.uuid.hex}/exchange"
    with trouble():
        for _ in range(2):
            refusal = api.post(address, body, format="json")
            told = assert_refused(refusal, 503, "unavailable")
            assert "nothing was changed" in told["detail"]
            assert int(refusal.headers["Retry-After"]) > 0
        assert factories.count_rows() == before
        assert list(run.tasks.order_by("number").values()) == books
        # What needs no writing is answered as ever.
        assert api.get(f"/api/runs/{run.uuid.hex}").json()["numComputing"] == 5
    answer = exchange(run, want=5, reports=body["reports"][run.uuid.hex])
    assert answer["stale"] == []
    assert run.attempts.count() == 5
    factories.check_books(run)


@pytest.mark.parametrize(
    ("verb", "rest", "body"),
    [
        ("POST", "run", {"numTasks": 1}),
        ("POST", "worker", {"uuid": "0" * 32, "hostname": "n", "pid": 1}),
        ("POST", "runs/RUN/task", {"worker_uuid": "WORKER"}),
        ("PUT", "runs/RUN/tasks/0", {"status": "done"}),
        ("PUT", "runs/RUN/tasks/0", {"percentCompleted": 3}),
        ("POST", "runs/RUN/restart", {"status": ["computing"]}),
        ("POST", "runs/RUN/pause", {"reason": "x"}),
        ("POST", "runs/RUN/cancel", {}),
        ("POST", "runs/RUN/tasks", {"numTasks": 3}),
        ("PATCH", "runs/RUN/policy", {"priority": 3}),
        ("DELETE", "worker/WORKER", None),
        ("DELETE", "runs/RUN", None),
    ],
)  # fmt: skip
def test_every_other_change_is_refused_in_the_same_way(
    alice: User, api: APIClient, worker: Worker, exchange: Callable[..., Any],
    verb: str, rest: str, body: dict[str, object] | None,
) -> None:  # fmt: skip
    run = factories.run(alice, 20, open=True)
    exchange(run, want=5)
    before, books = factories.count_rows(), list(run.tasks.order_by("number").values())
    names = {"RUN": run.uuid.hex, "WORKER": worker.uuid.hex}
    for name, value in names.items():
        rest = rest.replace(name, value)
    if body and "worker_uuid" in body:
        body = {"worker_uuid": worker.uuid.hex}
    with read_only():
        content = {} if body is None else {
            "data": json.dumps(body), "content_type": "application/json"
        }  # fmt: skip
        refusal = api.generic(verb, f"/api/{rest}", **content)
        assert_refused(refusal, 503, "unavailable")
        assert int(refusal.headers["Retry-After"]) > 0
    assert factories.count_rows() == before
    assert list(run.tasks.order_by("number").values()) == books
    assert Run.objects.get(pk=run.pk).state == "active"
    factories.check_books(run)


# ---- a real server, and the client


@pytest.fixture
def server() -> Iterator[Server]:
    """A real gunicorn on the test's database."""
    real_user()
    with serve(connection.settings_dict) as running:
        yield running


@pytest.fixture
def farm(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Farm]:
    """The client connected to it."""
    monkeypatch.setenv("TASKFARM_CONFIG", "/dev/null")
    with connect(server.url, "alice", factories.PASSWORD) as farm:
        yield farm


def let_write(server: Server, allowed: bool) -> None:
    """Take the disk from a server, or give it back, while it runs.

    On SQLite no process of the server can write to any file; on PostgreSQL the database becomes
    read-only for whoever connects, and the server has to connect anew.
    """
    if connection.vendor == "sqlite":
        for pid in [server.process.pid, *children(server.process.pid)]:
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most if allowed else 0, most))
        return
    name = connection.settings_dict["NAME"]
    sql(
        f"ALTER DATABASE {name} SET default_transaction_read_only = {'off' if allowed else 'on'}",
        "SELECT PG_TERMINATE_BACKEND(pid, 10000) FROM pg_stat_activity"
        " WHERE datname = CURRENT_DATABASE() AND pid <> PG_BACKEND_PID()",
    )
    for _ in range(12):  # every process of the server stumbles once over its lost connection
        requests.get(server.api + "runs", auth=("alice", factories.PASSWORD), timeout=60)


def test_the_client_waits_and_goes_on_when_the_disk_has_room_again(
    server: Server, farm: Farm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hasten(monkeypatch)
    memory = Memory(tmp_path / "told", monkeypatch)
    run = farm.create_run(600)

    def work(task: Task) -> int:
        sum(range(50_000))
        return task.number

    with Crew(run, work, processes=2) as crew:
        wait_until_done(run, 50)
        let_write(server, False)
        wait_until(lambda: len(refusals(memory)) >= 2, "the workers are refused")
        stood = done(run)
        let_write(server, True)
        assert crew.end() == 0
    assert stood < 600, "all was done before, so nothing was shown"
    for name, text, seconds in refusals(memory):
        assert name == "ServerUnavailableError"
        assert "The database is not available now" in text
        assert seconds == 5
    check_each_done_once(run, 600)
    assert attempts(run) == {1}
    assert {row["output"] for row in run.results()} == set(range(600))


def refusals(memory: Memory) -> list[tuple[str, str, float | None]]:
    """What went wrong, but for connections that the end of a session has broken."""
    return [one for one in memory.troubles() if one[2] is not None]
