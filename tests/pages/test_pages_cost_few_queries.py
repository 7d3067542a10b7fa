"""Query budgets: the same number of queries whatever the size."""

import pytest

from runs import restarts
from tests import factories


def grow(alice, count):
    worker = factories.worker(alice)
    for number in range(count):
        run = factories.run(alice, 60, name=f"run {number}", group=None)
        factories.advance(run, worker, done=2, failed=1, computing=3)
    return run


@pytest.mark.parametrize("runs", [1, 25])
def test_the_list_of_runs(alice, visit, runs, django_assert_num_queries):
    grow(alice, runs)
    client = visit(alice)
    # 1 session, 2 user, 3 runs with owner and group, 4 tallies of all, 5 tasks in flight of all
    with django_assert_num_queries(5):
        client.get("/runs/")


@pytest.mark.parametrize("size", [20, 2000])
def test_the_page_of_a_run(alice, visit, size, django_assert_num_queries):
    run = factories.run(alice, size)
    for pid in range(5):
        factories.advance(run, factories.worker(alice, pid=pid), done=1, failed=1, computing=1)
    client = visit(alice)
    # 1 session, 2 user, 3 run with owner and group, 4 tallies, 5 tasks in flight,
    # 6 throughput of the last minutes, 7 who computes, 8 those workers, 9 tasks with workers
    with django_assert_num_queries(9):
        client.get(f"/runs/{run.uuid.hex}/")
    with django_assert_num_queries(9):
        client.get(f"/runs/{run.uuid.hex}/?state=failed")
    # No task is cancelled: no 9.
    with django_assert_num_queries(8):
        client.get(f"/runs/{run.uuid.hex}/?state=cancelled")


def test_the_page_of_a_task(alice, visit, django_assert_num_queries):
    run = factories.run(alice, 3)
    for _ in range(5):
        factories.advance(run, factories.worker(alice), failed=1)
        restarts.restart(run=run)
    client = visit(alice)
    # 1 session, 2 user, 3 run with owner and group, 4 task with worker, 5 attempts with workers
    with django_assert_num_queries(5):
        client.get(f"/runs/{run.uuid.hex}/tasks/0")


@pytest.mark.parametrize("runs", [1, 25])
@pytest.mark.parametrize(
    ("model", "queries"),
    # 1 session, 2 user, 3 primary keys for the pager (1,000 at most), 4 the page;
    # runs: 5 tallies of all, 6 tasks in flight of all
    [("run", 6), ("task", 4), ("attempt", 4), ("worker", 4)],
)
def test_lists_in_the_admin(visit, alice, runs, model, queries, django_assert_num_queries):
    grow(alice, runs)
    client = visit(factories.user("root", is_staff=True, is_superuser=True))
    with django_assert_num_queries(queries) as spent:
        response = client.get(f"/admin/runs/{model}/")
    assert response.status_code == 200
    assert not [query for query in spent.captured_queries if "COUNT(" in query["sql"]]
