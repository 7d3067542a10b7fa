"""The database away, locked or gone between two requests: 503 with Retry-After, never a 500."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from django.db import DatabaseError, InterfaceError, OperationalError, connection, connections
from django.test import Client
from rest_framework.test import APIClient

from accounts import verdicts
from runs.models import Run
from runs.states import TaskState
from tests import factories
from tests.api.shape import assert_refused
from tests.server import Server

# Inside a transaction of the test Django could not give up the connection and take another.
real_transactions = pytest.mark.django_db(transaction=True)
UNREACHABLE = "could not connect to server: Connection refused"


@contextmanager
def away(error: Exception) -> Iterator[None]:
    """Every statement fails as it does when the database has gone."""

    def refuse(*_: Any) -> None:
        raise error

    with connection.execute_wrapper(refuse):
        yield


@real_transactions
@pytest.mark.parametrize("error", [OperationalError(UNREACHABLE), InterfaceError("closed")])
@pytest.mark.parametrize(
    ("verb", "rest", "body"),
    [
        ("POST", "run", {"numTasks": 1}), ("GET", "runs", None), ("GET", "runs/RUN", None),
        ("DELETE", "runs/RUN", None), ("POST", "runs/RUN/restart", None),
        ("POST", "runs/RUN/task", {"worker_uuid": "WORKER"}), ("GET", "runs/RUN/tasks", None),
        ("GET", "runs/RUN/tasks/0", None), ("PUT", "runs/RUN/tasks/0", {"status": "done"}),
        ("PUT", "runs/RUN/tasks/0", {"percentCompleted": 1}),
        ("POST", "worker", {"uuid": "0" * 32, "hostname": "n", "pid": 1}),
    ],
)  # fmt: skip
def test_every_call_says_when_to_come_back(
    api: APIClient, run: Run, verb: str, rest: str, body: dict[str, object] | None, error: Exception
) -> None:
    worker = factories.worker(run.owner)
    assert api.get("/api/token").status_code == 200
    before = factories.count_rows()
    address = f"/api/{rest.replace('RUN', run.uuid.hex)}"
    if body and "worker_uuid" in body:
        body = {"worker_uuid": worker.uuid.hex}
    with away(error):
        response = api.generic(verb, address) if body is None else (
            getattr(api, verb.lower())(address, body, format="json")
        )  # fmt: skip
    assert_refused(response, 503, "unavailable")
    assert int(response.headers["Retry-After"]) > 0
    piecemeal = verb == "DELETE" or "restart" in rest
    assert ("cut short" in response.json()["detail"]) == piecemeal
    assert factories.count_rows() == before
    factories.check_books(run)


@real_transactions
def test_a_restart_that_is_cut_short_is_told_so_and_goes_on(api: APIClient, run: Run) -> None:
    factories.advance(run, factories.worker(run.owner), failed=2, computing=2)
    address = f"/api/runs/{run.uuid.hex}/restart"
    moved: list[str] = []

    def leave(execute: Any, sql: str, *rest: Any) -> Any:
        """Let one piece through."""
        if "UPDATE runs_task" in sql:
            moved.append(sql)
        if len(moved) > 1:
            raise OperationalError(UNREACHABLE)
        return execute(sql, *rest)

    with connection.execute_wrapper(leave):
        response = api.post(address)
    assert_refused(response, 503, "unavailable")
    assert "a restart that was cut short then goes on" in response.json()["detail"]
    states = run.tasks.values_list("state", flat=True)
    assert len(set(states)) == 2, "one piece has moved, the other has not"
    factories.check_books(run)
    assert api.post(address).status_code == 204
    assert set(states.all()) == {TaskState.WAITING}
    factories.check_books(run)


@real_transactions
def test_a_password_that_cannot_be_checked_now_is_not_wrong(api: APIClient) -> None:
    verdicts.forget_all()
    with away(OperationalError(UNREACHABLE)):
        for _ in range(20):
            assert_refused(api.get("/api/runs"), 503, "unavailable")
    # Nor does it count towards the lock.
    assert api.get("/api/runs").status_code == 200


@real_transactions
def test_a_token_that_cannot_be_checked_now_is_not_ended(api: APIClient) -> None:
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {api.get('/api/token').json()['token']}")
    with away(OperationalError(UNREACHABLE)):
        assert_refused(api.get("/api/runs"), 503, "unavailable")
    assert api.get("/api/runs").status_code == 200


def test_what_needs_no_database_answers_without_one(client: Client) -> None:
    # No database is open to this test at all: a query would fail it.
    assert client.get("/", headers={"Accept": "application/json"}).status_code == 200
    assert client.get("/api/schema/").status_code == 200
    assert_refused(client.get("/api/blub"), 404, "not_found")


def backends() -> list[int]:
    """The processes of PostgreSQL that serve others than this test."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity "
            "WHERE datname = CURRENT_DATABASE() AND pid <> PG_BACKEND_PID()"
        )
        return [pid for (pid,) in cursor.fetchall()]


def end(pids: list[int]) -> None:
    """End some processes of PostgreSQL, and wait until each has gone."""
    with connection.cursor() as cursor:
        cursor.executemany("SELECT PG_TERMINATE_BACKEND(%s, 10000)", [(pid,) for pid in pids])


@pytest.mark.postgresql
def test_a_server_whose_connections_were_ended_goes_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with requests.Session() as http:
        token = http.get(server.api + "token", auth=("alice", factories.PASSWORD)).json()["token"]
        http.auth = (token, "")
        uuid = http.post(server.api + "run", json={"numTasks": 500}).json()["uuid"]
        worker = {"uuid": "0" * 32, "hostname": "n", "pid": 1}
        assert http.post(server.api + "worker", json=worker).status_code == 201
        run = Run.objects.get()
        seen = []
        for _ in range(4):
            # Every process of the server gets a connection, then they all lose it.
            for _ in range(12):
                http.get(f"{server.api}runs/{uuid}")
            end(backends())
            for _ in range(6):
                body = {"worker_uuid": worker["uuid"]}
                claim = http.post(f"{server.api}runs/{uuid}/task", json=body)
                if claim.status_code == 503:
                    assert_refused(claim, 503, "unavailable")
                    assert int(claim.headers["Retry-After"]) > 0
                seen.append(claim.status_code)
    assert set(seen) <= {201, 503}, seen
    # Each process stumbles at most once per loss: three of six, and then all is well again.
    assert seen.count(503) <= 4 * 3, seen
    assert 503 in seen, "no connection was lost, so nothing was shown"
    factories.check_books(run)
    assert seen.count(201) == run.tasks.filter(state=1).count()
    connections.close_all()


@pytest.mark.postgresql
@real_transactions
def test_a_session_whose_server_was_killed_is_a_503(api: APIClient, run: Run) -> None:
    address = f"/api/runs/{run.uuid.hex}"
    assert api.get(address).status_code == 200
    died = DatabaseError("server closed the connection unexpectedly")  # psycopg2 gives it no code
    with away(died):
        assert_refused(api.get(address), 503, "unavailable")
    assert api.get(address).status_code == 200
