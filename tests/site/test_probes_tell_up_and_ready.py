"""``/healthz`` and ``/readyz``: for load balancers and containers."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from django.db import InterfaceError, OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.test.utils import CaptureQueriesContext

from taskfarm_site import monitoring
from tests.server import ROOT, environment, serve_at

LAST = ("runs", "0010_run_window")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not looked at the migrations yet."""
    monkeypatch.setattr(monitoring, "_migrated", False)


def test_it_is_up_without_a_database(client: Client) -> None:
    # No database is open to this test at all: a query would fail it.
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "up"})
    assert client.post("/healthz").status_code == 405


@pytest.mark.django_db
def test_it_is_ready_and_looks_at_the_migrations_once(client: Client) -> None:
    assert client.get("/readyz").json() == {"status": "ready"}
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/readyz").status_code == 200
    assert [one["sql"] for one in queries] == ["SELECT 1"]


@pytest.mark.django_db
def test_a_migration_that_is_not_applied_is_named_until_it_is(client: Client) -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied(*LAST)
    for _ in range(2):
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "runs.0010_run_window: run manage.py migrate" in answer.json()["detail"]
    recorder.record_applied(*LAST)
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError("refused"), InterfaceError("closed")])
def test_a_database_that_is_away_is_said_to_be(client: Client, error: Exception) -> None:
    assert client.get("/readyz").status_code == 200

    def refuse(*_: Any) -> None:
        raise error

    with connection.execute_wrapper(refuse):
        answer = client.get("/readyz")
        assert client.get("/healthz").status_code == 200
    assert answer.status_code == 503
    assert answer.json() == {"detail": monitoring.AWAY, "code": "unavailable"}
    assert client.get("/readyz").status_code == 200


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_was_lost_while_idle_is_no_lost_database(client: Client) -> None:
    assert client.get("/readyz").status_code == 200
    connection.connection.close()
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_https_is_not_asked_of_monitors(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/healthz").status_code == 200
    assert Client().get("/readyz").status_code == 200
    assert Client().get("/metrics").status_code == 403
    assert Client().get("/").status_code == 301
    assert Client().get("/runs/").status_code == 301


@pytest.mark.once
def test_a_server_on_an_empty_database_is_up_and_becomes_ready(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/farm.sqlite3"
    with serve_at(url) as server:
        assert requests.get(f"{server.url}/healthz", timeout=30).status_code == 200
        answer = requests.get(f"{server.url}/readyz", timeout=30)
        assert answer.status_code == 503
        assert "migrations are not applied" in answer.json()["detail"]
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env=environment(url, server.port), check=True)
        ready = {requests.get(f"{server.url}/readyz", timeout=30).status_code for _ in range(6)}
        assert ready == {200}
