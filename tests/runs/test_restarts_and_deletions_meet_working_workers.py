"""Operations over whole runs while real processes claim and report."""

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from runs import books, cancels, lifecycle, moves, pieces, queue, restarts, steering, tallies
from runs.errors import RunNotFound
from runs.models import Attempt, Run, Tally, Task, Throughput, task_id
from runs.selection import Selection
from runs.states import Outcome, RunState, TaskState
from tests import factories
from tests.runs.processes import claimers, fire, results
from tests.runs.threads import start, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)


def test_restarts_while_four_workers_claim_lose_nothing(alice: User) -> None:
    run = factories.run(alice, 400)
    with claimers(run, "work", 4) as processes:
        fire(processes)
        for turn in range(6):
            restarts.restart(run=run, everything=turn % 2 == 0)
            factories_check_tallies(run)
        results(processes)
    worker = factories.worker(alice)
    restarts.restart(run=run)  # what a restart took from a worker that had ended meanwhile
    while claims := queue.claim(run=run, worker=worker, want=100):
        for one in claims:
            queue.report_outcome(run=run, number=one.number, outcome=Outcome.DONE)
    assert tallies.read(run.id).done == 400
    factories.check_books(run)


def factories_check_tallies(run: Run) -> None:
    """Kept and counted agree at one moment, even while tasks move."""
    assert books.check(run.id) == {}


def test_a_deletion_while_four_workers_report_leaves_no_row(alice: User) -> None:
    other = factories.run(alice, 7)
    run = factories.run(alice, 3000)
    with claimers(run, "work", 4) as processes:
        fire(processes)
        while tallies.read(run.id).done < 50:
            pass
        assert lifecycle.delete_run(run=run) == 3000
        results(processes)
    for model in (Task, Attempt, Tally, Throughput):
        assert not model.objects.filter(run_id=run.id).exists(), model
    assert not Run.objects.filter(pk=run.pk).exists()
    factories.check_books(other)


@pytest.mark.postgresql
def test_what_a_restart_sets_free_is_not_cancelled_by_a_sweep_that_is_under_way(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = factories.run(alice, 40)
    steering.cancel_by_policy(run, why="too much failed", pieces=0)  # all of it is left to a sweep
    reached, go_on, lock = threading.Event(), threading.Event(), moves.lock

    def slowly(*args: Any) -> Any:
        if TaskState.WAITING in args:
            reached.set()
            assert go_on.wait(30)
        return lock(*args)

    monkeypatch.setattr(cancels.moves, "lock", slowly)
    sweep = start(lambda: steering.go_on_cancelling(run.id, 1))
    assert reached.wait(30)
    monkeypatch.setattr(cancels.moves, "lock", lock)
    chosen = Selection(numbers=((0, 19),))
    fresh = Run.objects.get(pk=run.pk)
    restart = start(lambda: restarts.restart(run=fresh, selection=chosen))
    wait_until_blocked()
    go_on.set()
    assert sweep.result(30) == (40, 1)
    assert restart.result(30) == 20
    run.refresh_from_db()
    assert run.state == RunState.ACTIVE
    free = run.tasks.filter(state=TaskState.WAITING).values_list("number", flat=True)
    assert sorted(free) == list(range(20))
    factories.check_books(run)


@pytest.mark.postgresql
def test_a_cancel_beside_a_restart_leaves_nothing_waiting_for_good(alice: User) -> None:
    run = factories.run(alice, 30)
    steering.cancel(run=run, who="alice")
    restarts.restart(run=run, selection=Selection(numbers=((0, 0),)))
    first, second = (Run.objects.get(pk=run.pk) for _ in range(2))
    with transaction.atomic():
        moves.lock_one(task_id(run.id, 29))
        restart = start(lambda: restarts.restart(run=first))
        wait_until_blocked()  # it has looked at the run's state
        cancel = start(lambda: steering.cancel(run=second, who="bob"))
        wait_until_blocked(2)
    assert restart.result(30) == 29
    assert cancel.result(30) == 30
    run.refresh_from_db()
    assert (run.state, tallies.read(run.id).cancelled) == (RunState.CANCELLED, 30)
    factories.check_books(run)


def test_a_sweep_does_not_let_go_of_a_run_that_was_cancelled_again_meanwhile(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = factories.run(alice, 9)
    steering.cancel(run=run, who="alice")

    def meanwhile(*args: Any) -> tuple[int, int]:
        """Nothing is found; and now somebody revives the run, and its policy cancels it."""
        monkeypatch.undo()
        fresh = Run.objects.get(pk=run.pk)
        restarts.restart(run=fresh)
        steering.cancel_by_policy(fresh, why="too much failed", pieces=0)
        return 0, 0

    monkeypatch.setattr(steering, "finish_cancelling", meanwhile)
    steering.go_on_cancelling(run.id, 1)
    assert steering.cancelled_runs() == [run.id]


@pytest.mark.parametrize("steer", [steering.pause, steering.resume, steering.cancel])
def test_a_run_that_is_deleted_meanwhile_is_not_found(alice: User, steer: Any) -> None:
    run = factories.run(alice, 5)
    lifecycle.delete_run(run=run)
    with pytest.raises(RunNotFound):
        steer(run=run, who="alice")
    with pytest.raises(RunNotFound):
        steering.change_policy(run=run, who="alice", priority=3)


def test_a_run_is_deleted_once(alice: User) -> None:
    run = factories.run(alice, 5)
    lifecycle.delete_run(run=run)
    with pytest.raises(RunNotFound):
        lifecycle.delete_run(run=run)


def test_a_deletion_that_was_cut_short_hides_the_run_and_can_be_finished(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "PIECE", 10)
    run = factories.run(alice, 100)
    erase = lifecycle._erase_piece

    def die_half_way(run_id: int, first: int, last: int) -> int:
        if first >= 50:
            raise KeyboardInterrupt
        return erase(run_id, first, last)

    monkeypatch.setattr(lifecycle, "_erase_piece", die_half_way)
    with pytest.raises(KeyboardInterrupt):
        lifecycle.delete_run(run=run)
    assert not Run.objects.visible_to(alice).exists()
    assert Task.objects.count() == 50
    monkeypatch.setattr(lifecycle, "_erase_piece", erase)
    assert lifecycle.sweep_deleted() == 1
    assert factories.count_rows() == {
        "Run": 0, "Worker": 0, "Task": 0, "TaskInput": 0, "Attempt": 0, "Tally": 0,
        "Throughput": 0, "FailureTally": 0, "RunEvent": 0, "SweepLock": 0,
    }  # fmt: skip


@pytest.mark.postgresql
def test_a_report_that_meets_a_restart_waits_and_sees_what_it_did(alice: User) -> None:
    run, worker = factories.run(alice, 2), factories.worker(alice)
    factories.advance(run, worker, computing=1)
    with transaction.atomic():
        rows = moves.lock_one(task_id(run.id, 0))
        slow = start(lambda: queue.report_outcome(run=run, number=0, outcome=Outcome.DONE))
        wait_until_blocked()
        change = moves.requeue(
            run, rows, percent=0.0, outcome=Outcome.CANCELLED, why="restarted by alice"
        )
        tallies.add(run.id, change)
    slow.result(timeout=20)
    # The documented report names no attempt: it counts as one by hand at the restarted task.
    assert list(run.attempts.values_list("attempt", "outcome").order_by("attempt")) == [
        (1, Outcome.CANCELLED),
        (2, Outcome.DONE),
    ]
    factories.check_books(run)


@pytest.mark.postgresql
def test_two_restarts_at_once_requeue_each_task_once(alice: User) -> None:
    run, worker = factories.run(alice, 30), factories.worker(alice)
    factories.advance(run, worker, computing=20)
    with transaction.atomic():
        moves.lock_one(task_id(run.id, 0))
        first = start(lambda: restarts.restart(run=run))
        wait_until_blocked()
        second = start(lambda: restarts.restart(run=run))
    assert first.result(timeout=20) + second.result(timeout=20) == 20
    assert run.attempts.count() == 20
    factories.check_books(run)


def test_a_restart_of_few_among_many_does_not_walk_the_run(
    alice: User, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: object
) -> None:
    run, worker = factories.run(alice, 20_000), factories.worker(alice)
    factories.advance(run, worker, done=3, failed=2, computing=2)
    monkeypatch.setattr(lifecycle, "PIECE", 10)
    # tallies; per state: BEGIN, lock, attempts, tasks, floor, tally, COMMIT; a fresh slot: 2 more.
    # One of them reads when the run had ended, for an undo.
    with django_assert_max_num_queries(18):  # type: ignore[operator]
        assert restarts.restart(run=run) == 4
    factories.check_books(run)


def test_a_restart_of_a_cancelled_run_makes_it_hand_out_tasks_again(alice: User) -> None:
    run, worker = factories.run(alice, 3), factories.worker(alice)
    Run.objects.filter(pk=run.pk).update(state=RunState.CANCELLED)
    run.refresh_from_db()
    restarts.restart(run=run)
    assert len(queue.claim(run=Run.objects.get(pk=run.pk), worker=worker, want=9)) == 3


@pytest.mark.parametrize("few", [0, 20_000])
def test_a_restart_finds_the_same_tasks_both_ways(
    alice: User, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(pieces, "FEW", few)
    monkeypatch.setattr(pieces, "PIECE", 7)
    run, worker = factories.run(alice, 50), factories.worker(alice)
    factories.advance(run, worker, done=5, failed=4, computing=6)
    assert restarts.restart(run=run, by="alice") == 10
    assert list(run.tasks.filter(state=TaskState.DONE).values_list("number", flat=True)) == [
        0, 1, 2, 3, 4
    ]  # fmt: skip
    whys = set(run.attempts.filter(outcome=Outcome.CANCELLED).values_list("error", flat=True))
    assert whys == {"restarted by alice"}
    factories.check_books(run)
