"""Query budgets: the same number of queries whatever the size."""

import pytest

from runs import pace, rates, reports, restarts, steering
from runs.models import Run
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
    # 1 session, 2 user, 3 runs with owner and group, 4 tallies of all, 5 tasks in flight of all,
    # 6 throughput of the last minutes, 7 who computes
    with django_assert_num_queries(7):
        client.get("/runs/")
    chosen = "&".join(f"run={run.uuid.hex}" for run in Run.objects.all())
    with django_assert_num_queries(5):
        client.get(f"/runs/actions/pause?{chosen}")


@pytest.mark.parametrize("runs", [1, 25])
def test_the_list_of_runs_that_policies_have_stopped(alice, visit, runs, django_assert_num_queries):
    for number in range(runs):
        run = factories.run(alice, 9, name=f"run {number}", fail_count=1, fail_now=number % 2 > 0)
        factories.advance(run, factories.worker(alice, pid=number + 1), failed=1)
        steering.enforce_policy(run, failed=True)
    client = visit(alice)
    # 1 session, 2 user, 3 runs with owner and group, 4 tallies of all, 5 who stopped all of them
    with django_assert_num_queries(5):
        client.get("/runs/")


@pytest.mark.parametrize("size", [20, 2000])
def test_the_page_of_a_run(alice, visit, size, django_assert_num_queries):
    run = factories.run(alice, size)
    for pid in range(5):
        factories.advance(run, factories.worker(alice, pid=pid), done=1, failed=1, computing=1)
    client = visit(alice)
    # 1 session, 2 user, 3 run with owner and group, 4 tallies, 5 tasks in flight,
    # 6 throughput of the last day, 7 events, 8 sampled attempts, 9 how many workers,
    # 10 the work spent, 11 who computes, 12 those workers
    rates.forget()
    with django_assert_num_queries(12):
        client.get(f"/runs/{run.uuid.hex}/")
    # 10 is kept for half a minute.
    with django_assert_num_queries(11):
        client.get(f"/runs/{run.uuid.hex}/")


@pytest.mark.parametrize("size", [20, 2000])
def test_the_pages_beside_it(alice, visit, size, django_assert_num_queries):
    run = factories.run(alice, size)
    factories.advance(run, factories.worker(alice), done=5, failed=5, computing=5)
    for _ in range(size // 20):
        restarts.restart(run=run, by="alice")
        factories.advance(run, factories.worker(alice), failed=1)
    client = visit(alice)
    # 1 session, 2 user, 3 run with owner and group, 4 tallies, 5 tasks in flight
    for page, more in {
        "tasks": 1, "tasks?state=failed": 1, "tasks?state=cancelled": 0, "history": 1, "policy": 0,
        "restart": 0, "restart?state=failed": 0, "tasks?tasks=0-4": 2, "tasks?state=waiting": 1,
        "pause": 0, "cancel": 0,
    }.items():  # fmt: skip
        in_flight = 1 if reports.progress(run).counts.computing else 0
        with django_assert_num_queries(4 + in_flight + more, info=page):
            client.get(f"/runs/{run.uuid.hex}/{page}")


def test_the_page_of_a_task(alice, visit, django_assert_num_queries):
    run = factories.run(alice, 3)
    for _ in range(5):
        factories.advance(run, factories.worker(alice), failed=1)
        restarts.restart(run=run)
    client = visit(alice)
    # 1 session, 2 user, 3 run with owner and group, 4 task with worker, 5 attempts with workers,
    # why it waits: 6 the time, 7 tallies, 8 workers of the run
    pace.forget()
    with django_assert_num_queries(8):
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
