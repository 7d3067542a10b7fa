"""Claims under real concurrency: every task once, in order, without waiting for each other."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from runs import moves, queue, tallies, workers
from runs.dialect import spell
from runs.models import Run, Worker, task_id
from runs.states import RunState, TaskState
from tests import factories
from tests.runs.processes import claimers, fire, results
from tests.runs.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


def test_eight_processes_share_two_thousand_tasks_and_none_gets_another_ones(alice: User) -> None:
    run = factories.run(alice, 2000)
    with claimers(run, "claim", 8) as processes:
        fire(processes)
        claims = results(processes)
    assert sorted(number for number, _ in claims) == list(range(2000))
    assert {attempt for _, attempt in claims} == {1}
    assert tallies.read(run.id).computing == 2000
    factories.check_books(run)


def test_eight_processes_that_report_everything_twice_finish_each_task_once(alice: User) -> None:
    run = factories.run(alice, 600)
    with claimers(run, "twice", 8) as processes:
        fire(processes)
        claims = results(processes)
    assert sorted(number for number, _ in claims) == list(range(600))
    assert tallies.read(run.id).done == 600
    assert run.attempts.count() == 600
    assert sum(run.throughput.values_list("done", flat=True)) == 600
    factories.check_books(run)


def test_tasks_come_in_the_order_of_their_numbers(alice: User) -> None:
    run, worker = factories.run(alice, 10), factories.worker(alice)
    claims = queue.claim(run=run, worker=worker, want=3) + queue.claim(run=run, worker=worker)
    assert [one.number for one in claims] == [0, 1, 2, 3]


def test_no_more_than_waits_is_handed_out(alice: User) -> None:
    run, worker = factories.run(alice, 3), factories.worker(alice)
    assert len(queue.claim(run=run, worker=worker, want=10)) == 3
    assert queue.claim(run=run, worker=worker, want=10) == []
    assert queue.claim(run=run, worker=worker, want=0) == []


@pytest.mark.parametrize("state", [RunState.PAUSED, RunState.CANCELLED])
def test_a_run_that_is_not_active_hands_out_nothing(alice: User, state: RunState) -> None:
    run, worker = factories.run(alice, 3), factories.worker(alice)
    Run.objects.filter(pk=run.pk).update(state=state)
    run.refresh_from_db()
    assert queue.claim(run=run, worker=worker) == []


@pytest.mark.postgresql
def test_a_claim_passes_over_a_task_that_another_transaction_holds(alice: User) -> None:
    run, worker = factories.run(alice, 3), factories.worker(alice)
    with transaction.atomic():
        moves.lock_one(task_id(run.id, 0))
        claimed = in_thread(lambda: queue.claim(run=run, worker=worker))
    assert [one.number for one in claimed] == [1]
    assert [one.number for one in queue.claim(run=run, worker=worker)] == [0]


def test_a_claim_that_is_rolled_back_leaves_no_trace(alice: User) -> None:
    run, worker = factories.run(alice, 3), factories.worker(alice)
    with transaction.atomic():
        queue.claim(run=run, worker=worker, want=2)
        transaction.set_rollback(True)  # the server dies here
    assert tallies.read(run.id).waiting == 3
    assert [one.attempt for one in queue.claim(run=run, worker=worker)] == [1]
    factories.check_books(run)


@pytest.mark.postgresql
@pytest.mark.parametrize("want", [1, 500])
def test_a_claim_finds_its_tasks_by_index_from_the_floor_on_without_sorting_the_rest(
    alice: User, want: int
) -> None:
    """In a run that autovacuum has not seen yet; claims would slow down with its size."""
    run = factories.run(alice, 20_000)
    with connection.cursor() as cursor:
        values = [run.id, 100, 20_000, want, 1]
        cursor.execute("EXPLAIN " + spell(queue.READY, "postgresql"), values)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "task_in_state" in plan
    assert "Sort" not in plan, plan
    assert "Seq Scan on runs_task" not in plan


def test_the_first_claim_starts_the_run(alice: User) -> None:
    run, worker = factories.run(alice, 3), factories.worker(alice)
    queue.claim(run=run, worker=worker)
    run.refresh_from_db()
    first = run.started
    assert first is not None
    queue.claim(run=run, worker=worker)
    run.refresh_from_db()
    assert run.started == first
    assert run.tasks.filter(state=TaskState.COMPUTING, worker=worker).count() == 2


def test_a_worker_that_claims_or_reports_has_been_seen(alice: User) -> None:
    """Claims note it every ten seconds; a report on a task counts as a sign of life, too."""
    run, worker = factories.run(alice, 3), factories.worker(alice)
    long_ago = worker.started - timedelta(hours=1)
    Worker.objects.update(last_seen=long_ago)
    queue.claim(run=run, worker=workers.find(owner=alice, uuid=worker.uuid.hex))
    worker.refresh_from_db()
    assert worker.last_seen > long_ago
    Worker.objects.update(last_seen=long_ago)
    queue.report_progress(run=run, number=0, percent=3)
    [(seen, count)] = workers.computing(run.id, limit=10)
    assert (count, seen.pk) == (1, worker.pk)
    assert seen.last_seen > long_ago
