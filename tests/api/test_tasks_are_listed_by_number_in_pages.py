"""``GET runs/UUID/tasks``: by number, by status, in pages."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from rest_framework.test import APIClient

from runs import reports
from runs.models import Run, Task
from runs.states import TaskState
from tests import factories
from tests.api.shape import assert_refused


@pytest.fixture
def mixed(alice: User) -> Run:
    """Ten tasks: 0-2 done, 3 failed, 4-5 computing, the others waiting."""
    run = factories.run(alice, 10)
    return factories.advance(run, factories.worker(alice), done=3, failed=1, computing=2)


def numbers(api: APIClient, run: Run, query: str = "") -> list[int]:
    """The numbers of the listed tasks, all pages together."""
    address, found = f"/api/runs/{run.uuid.hex}/tasks{query}", []
    while address:
        body = api.get(address).json()
        found += [row["task"] for row in body["data"]]
        address = body["next"]
    return found


@pytest.mark.parametrize("limit", [1, 3, 5, 10, 11])
def test_all_pages_together_hold_every_task_once_in_order(
    api: APIClient, mixed: Run, limit: int
) -> None:
    assert numbers(api, mixed, f"?limit={limit}") == list(range(10))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("done", [0, 1, 2]), ("failed", [3]), ("computing", [4, 5]), ("waiting", [6, 7, 8, 9]),
        ("cancelled", []),
    ],
)  # fmt: skip
def test_tasks_of_one_status(api: APIClient, mixed: Run, status: str, expected: list[int]) -> None:
    assert numbers(api, mixed, f"?status={status}&limit=2") == expected


def test_a_row_is_what_the_task_alone_answers(api: APIClient, mixed: Run) -> None:
    address = f"/api/runs/{mixed.uuid.hex}/tasks"
    for row in api.get(address).json()["data"]:
        assert api.get(f"{address}/{row['task']}").json() == row


def test_a_row_names_the_worker_that_holds_the_task(api: APIClient, mixed: Run) -> None:
    rows = api.get(f"/api/runs/{mixed.uuid.hex}/tasks?status=computing").json()["data"]
    holder = mixed.tasks.get(number=4).worker
    assert [row["worker_uuid"] for row in rows] == [holder.uuid.hex] * 2


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?status=blub", "status"), ("?status=", "status"), ("?status=Done", "status"),
        ("?limit=0", "limit"), ("?limit=1001", "limit"), ("?limit=--1", "limit"),
        ("?after=-2", "after"), ("?after=x", "after"), ("?after=%00", "after"),
        ("?after=9223372036854775808", "after"),
    ],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_a_400(
    api: APIClient, mixed: Run, query: str, field: str
) -> None:
    response = api.get(f"/api/runs/{mixed.uuid.hex}/tasks{query}")
    assert set(assert_refused(response, 400, "invalid")["errors"]) == {field}


def test_the_farthest_page_is_empty(api: APIClient, mixed: Run) -> None:
    body = api.get(f"/api/runs/{mixed.uuid.hex}/tasks?after={2**63 - 1}").json()
    assert body == {"data": [], "next": None}


def test_an_unknown_run_has_no_list(api: APIClient) -> None:
    assert_refused(api.get(f"/api/runs/{'0' * 32}/tasks"), 404, "run_not_found")


@pytest.mark.django_db(transaction=True)
def test_waiting_tasks_are_listed_by_number_those_in_backoff_among_them(alice: User) -> None:
    run = factories.run(alice, 9, error_attempts=5, backoff=100)
    worker = factories.worker(alice)
    factories.advance(run, worker, failed=2, computing=1)
    pages = [
        [task.number for task in reports.tasks_page(run, state=TaskState.WAITING, limit=4)],
        [task.number for task in reports.tasks_up_to(run, 6, state=TaskState.WAITING, limit=4)],
    ]
    assert pages == [[0, 1, 3, 4], [3, 4, 5, 6]]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_the_few_failed_of_many_are_read_from_their_index(alice: User) -> None:
    run = factories.run(alice, 20_000)
    factories.advance(run, factories.worker(alice), failed=300)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE runs_task")
    tasks = reports.tasks_between(run, 6, reports.LAST, state=TaskState.FAILED)
    plan = tasks[:100].explain()
    assert "task_in_state" in plan, plan
    assert "Sort" not in plan, plan


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_waiting_tasks_behind_many_others_are_read_from_their_index(alice: User) -> None:
    run = factories.run(alice, 20_000)
    done = Task.objects.filter(run=run, number__lt=15_000)
    done.update(state=TaskState.DONE, percent=100, attempt=1, started=Now())
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE runs_task")
        for statement in (reports.WAITING, reports.WAITING_BACKWARDS):
            asked = [run.id, 0, reports.LAST, 50]
            cursor.execute(f"EXPLAIN {statement}", [*asked, *asked, 50])
            plan = "\n".join(row[0] for row in cursor.fetchall())
            # Those in backoff may be found by their own index; nothing walks over the others.
            assert plan.count("using task_in_state") + plan.count("using task_backoff") == 2, plan
    found = reports.tasks_page(run, state=TaskState.WAITING, limit=3)
    assert [task.number for task in found] == [15_000, 15_001, 15_002]
