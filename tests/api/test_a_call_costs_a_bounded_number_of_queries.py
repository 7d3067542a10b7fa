"""Query budgets of the calls that workers make all the time, in small runs and in large ones.

What is counted is every statement that the database is sent, BEGIN and COMMIT included, from the
authenticated caller's request to its answer: ``transaction=True`` makes the transactions real, and
on PostgreSQL, where the driver sends BEGIN by itself, one is counted for each COMMIT.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from runs import tallies
from runs.models import Run, Worker
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
SIZES = [10, 100_000]


class Budget:
    """A run of some size, a worker, and the statements that a call sends."""

    def __init__(self, alice: User, api: APIClient, size: int) -> None:
        self.api = api
        self.run: Run = factories.run(alice, size)
        self.worker: Worker = factories.worker(alice)
        self.address = f"/api/runs/{self.run.uuid.hex}"
        self.claim()  # authenticates, notes the start of the run

    def claim(self) -> Any:
        """Ask for a task."""
        body = {"worker_uuid": self.worker.uuid.hex}
        return self.api.post(f"{self.address}/task", body, format="json")

    def put(self, number: int, **body: object) -> Any:
        """Change a task."""
        return self.api.put(f"{self.address}/tasks/{number}", body, format="json")

    @contextmanager
    def at_most(self, most: int) -> Iterator[None]:
        """Assert that no more statements are sent within, and that they are counted at all."""
        # Once in 500 writes a process takes a fresh slot and looks whether to fold; not now.
        tallies._slot.left = max(tallies._slot.left, 100)
        with CaptureQueriesContext(connection) as context:
            yield
        sent = [query["sql"] for query in context]
        begun = [one for one in sent if one.startswith("BEGIN")]
        ended = [one for one in sent if one == "COMMIT"]
        count = len(sent) + len(ended) - len(begun)
        assert 0 < count <= most, f"{count} statements:\n" + "\n".join(sent)


@pytest.fixture(params=SIZES)
def budget(request: pytest.FixtureRequest, alice: User, api: APIClient) -> Budget:
    """The budget of a run of each size."""
    return Budget(alice, api, request.param)


def test_a_claim(budget: Budget) -> None:
    # 1 the worker, 2 the run, 3 BEGIN, 4 lock and take the task, 5 the tally, 6 COMMIT
    with budget.at_most(7):
        assert budget.claim().status_code == 201


def test_a_claim_that_finds_nothing(alice: User, api: APIClient) -> None:
    # 1 the worker, 2 the run, 3 BEGIN, 4 look for a task, 5 COMMIT
    budget = Budget(alice, api, 1)
    with budget.at_most(7):
        assert budget.claim().status_code == 204


def test_progress(budget: Budget) -> None:
    # 1 the run, 2 the task
    with budget.at_most(4):
        assert budget.put(0, percentCompleted=50).status_code == 204


def test_an_outcome(budget: Budget) -> None:
    # 1 the run, 2 BEGIN, 3 lock the task, 4 its attempt, 5 the task, 6 the tally, 7 the throughput,
    # 8 COMMIT
    with budget.at_most(8):
        assert budget.put(0, status="done").status_code == 204


@pytest.mark.parametrize("info", ["", "percentDone", "numWaiting", "numDone"])
def test_information_about_a_run(budget: Budget, info: str) -> None:
    # 1 the run with owner and group, 2 the tallies, 3 the tasks in flight
    with budget.at_most(3):
        assert budget.api.get(f"{budget.address}?info={info}").status_code == 200


def test_information_about_a_task(budget: Budget) -> None:
    # 1 the run, 2 the task with its worker
    with budget.at_most(2):
        assert budget.api.get(f"{budget.address}/tasks/0").status_code == 200


def test_the_list_of_tasks(budget: Budget) -> None:
    # 1 the run, 2 the tasks with their workers
    with budget.at_most(2):
        assert budget.api.get(f"{budget.address}/tasks?status=waiting").status_code == 200


@pytest.mark.parametrize("size", [1, 60])
def test_the_list_of_runs(alice: User, api: APIClient, size: int) -> None:
    # 1 the runs with owner and group, 2 their tallies
    budget = Budget(alice, api, 1)
    for _ in range(size):
        factories.run(alice, 1)
    with budget.at_most(2):
        assert len(api.get("/api/runs").json()["data"]) == size + 1


@pytest.mark.parametrize("groups", [0, 3])
def test_groups_cost_no_query_of_their_own(alice: User, api: APIClient, groups: int) -> None:
    for number in range(groups):
        alice.groups.create(name=f"group {number}")
    budget = Budget(alice, api, 10)
    with budget.at_most(4):
        assert budget.put(0, percentCompleted=50).status_code == 204


def test_a_token_costs_no_query(api: APIClient, alice: User) -> None:
    api.get("/api/token")
    with CaptureQueriesContext(connection) as context:
        assert api.get("/api/token").status_code == 200
    assert list(context) == []


def test_the_registration_of_a_worker(budget: Budget) -> None:
    # 1 BEGIN, 2 the worker, 3 COMMIT
    body = {"uuid": "0" * 32, "hostname": "n", "pid": 1}
    with budget.at_most(3):
        assert budget.api.post("/api/worker", body, format="json").status_code == 201
