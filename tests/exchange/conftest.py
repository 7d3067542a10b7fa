"""What the tests of the exchange share."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from rest_framework.test import APIClient
from taskfarm_worker import Farm, connect

from runs import pace, sweep
from runs.models import Run, Worker
from tests import factories
from tests.exchange.crew import real_user
from tests.server import serve


@pytest.fixture(autouse=True)
def _fresh_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No look of another test, and no sweep but those that a test asks for."""
    pace.forget()
    monkeypatch.setattr(pace, "FRESH", 0.0)
    monkeypatch.setattr(sweep, "_next", float("inf"))


@pytest.fixture
def worker(alice: User) -> Worker:
    """A worker that promised a heartbeat."""
    made = factories.worker(alice)
    Worker.objects.filter(pk=made.pk).update(heartbeat=10)
    made.refresh_from_db()
    return made


@pytest.fixture
def exchange(api: APIClient, worker: Worker) -> Callable[..., dict[str, Any]]:
    """One exchange of the worker with one run, over the API; answers the body of the answer."""

    def call(run: Run, by: Worker = worker, **body: Any) -> dict[str, Any]:
        named = {
            name: {run.uuid.hex: value} if name in {"reports", "done", "holding"} else value
            for name, value in body.items()
        }
        named.setdefault("runs", [run.uuid.hex])
        response = api.post(f"/api/worker/{by.uuid.hex}/exchange", named, format="json")
        assert response.status_code == 200, response.content
        return dict(response.json())

    return call


def numbers(answer: dict[str, Any]) -> list[int]:
    """The numbers of the tasks in an answer."""
    return [one["task"] for one in answer["tasks"]]


@pytest.fixture
def farm(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Farm]:
    """A real gunicorn on the test's database, and the client connected to it as alice."""
    monkeypatch.setenv("TASKFARM_CONFIG", os.devnull)
    real_user()
    with (
        serve(connection.settings_dict) as server,
        connect(server.url, "alice", factories.PASSWORD) as farm,
    ):
        yield farm
