"""Cancelling, expiring, deleting and undoing go through to the end, whoever else is at it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from rest_framework.test import APIClient

from runs import appending, cancels, lifecycle, moves, restarts, steering, sweep, tallies
from runs.errors import StateConflict
from runs.models import Run, RunEvent, Task, TaskInput
from tests import factories
from tests.exchange.conftest import numbers

pytestmark = pytest.mark.django_db(transaction=True)
Call = Callable[..., dict[str, Any]]


def test_a_sweep_beside_a_cancel_does_not_end_it(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find the same tasks; who comes second finds them cancelled, and that is not the end."""
    monkeypatch.setattr(cancels, "PIECE", 10)
    run = factories.run(alice, 100)
    lock, raced = moves.lock, []

    def lock_after_a_sweep(run_id: int, condition: str, *values: object) -> Any:
        found = lock(run_id, condition, *values)
        if found and not raced:  # what a sweep that came first would leave
            raced.append(True)
            rows = [row for row in found if row.state in cancels.OPEN_STATES]
            tallies.add(run_id, moves.cancel(rows, why="by the sweep"))
            return lock(run_id, "id {in_list}", moves.as_list([row.id for row in found]))
        return found

    monkeypatch.setattr(moves, "lock", lock_after_a_sweep)
    assert steering.cancel(run=run, who="alice") == 90
    assert tallies.read(run.id).cancelled == 100
    factories.check_books(run)


def test_a_cancel_that_was_cut_short_is_finished_by_sweeps_or_by_another(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancels, "PIECE", 10)
    runs = [factories.run(alice, 100) for _ in range(2)]
    for run in runs:
        steering.cancel_by_policy(run, why="too much failed")
        assert tallies.read(run.id).cancelled == 10 * steering.PIECES
    assert steering.cancel(run=runs[0], who="alice") == 60
    for _ in range(8):
        sweep.sweep()
    assert tallies.read(runs[1].id).cancelled == 100
    assert not Run.objects.filter(unfinished=True).exists()
    with pytest.raises(StateConflict):
        steering.cancel(run=Run.objects.get(pk=runs[0].pk), who="alice")


def test_a_sweep_looks_after_all_cancelled_runs_until_it_finds_nothing_there(alice: User) -> None:
    """As it finds tasks that a claim, or somebody's PUT, has moved since they were called off."""
    runs = [factories.run(alice, 6) for _ in range(2)]
    for run in runs:
        steering.cancel(run=run, who="alice")
    for _ in range(2):
        for run in runs:
            lifecycle.requeue_one(run=run, number=2)
        assert sweep.sweep().cancelled == 2
        assert [tallies.read(run.id).cancelled for run in runs] == [6, 6]
    assert Run.objects.filter(unfinished=True).count() == 2
    sweep.sweep()
    assert not Run.objects.filter(unfinished=True).exists()


def test_few_tasks_of_a_run_do_not_wait_for_the_many_of_another(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancels, "PIECE", 2)
    large, small = factories.run(alice, 100), factories.run(alice, 2)
    Run.objects.update(state="cancelled", unfinished=True)
    sweep.sweep()
    assert tallies.read(small.id).cancelled == 2
    assert tallies.read(large.id).cancelled == 2 * (steering.PIECES - 1)


def test_what_computes_is_called_off_first(
    alice: User, exchange: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancels, "PIECE", 2)
    run = factories.run(alice, 100)
    assert numbers(exchange(run, want=3)) == [0, 1, 2]
    steering.cancel_by_policy(run, why="too much failed")
    uuid = run.uuid.hex
    assert exchange(run, holding=[[0, 1], [1, 1], [2, 1]])["drop"] == [
        [uuid, 0, 1], [uuid, 1, 1], [uuid, 2, 1]
    ]  # fmt: skip


def test_a_run_that_grew_is_deleted_whole(alice: User) -> None:
    run = factories.run(alice, 1, open=True)
    appending.append(run=Run.objects.get(pk=run.pk), values=["a"] * 30)
    lifecycle.delete_run(run=run)  # who deletes it still thinks that it has one task
    assert not Task.objects.exists()
    assert not TaskInput.objects.exists()


def test_a_run_whose_time_is_up_is_not_restarted(alice: User, api: APIClient) -> None:
    run = factories.run(alice, 3)
    Run.objects.filter(pk=run.pk).update(expire_at=Now() - timedelta(seconds=1))
    sweep.sweep()
    answer = api.post(f"/api/runs/{run.uuid.hex}/restart")
    assert answer.status_code == 409
    assert "expireAt" in answer.json()["detail"]
    assert tallies.read(run.id).cancelled == 3


def test_a_policy_is_obeyed_from_the_moment_it_is_set(alice: User, exchange: Call) -> None:
    run = factories.run(alice, 20)
    exchange(run, want=4)
    exchange(run, done=[[0, 1], [1, 1]], reports=[{"task": 2, "attempt": 1, "status": "failed"}])
    steering.change_policy(run=Run.objects.get(pk=run.pk), who="alice", canary_tasks=2)
    assert Run.objects.get(pk=run.pk).released
    steering.change_policy(run=Run.objects.get(pk=run.pk), who="alice", fail_count=1)
    assert Run.objects.get(pk=run.pk).state == "paused"


def test_an_undo_that_was_cut_short_can_be_repeated(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = factories.run(alice, 10)
    factories.advance(run, factories.worker(alice), done=5, failed=5)
    restarts.restart(run=run, everything=True, by="alice")
    event = RunEvent.objects.get(what="restart")
    put_back = moves.put_back

    def die_at_failed(run: Run, rows: Any, state: Any) -> Any:
        if state.label == "failed":
            raise KeyboardInterrupt
        return put_back(run, rows, state)

    monkeypatch.setattr(moves, "put_back", die_at_failed)
    with pytest.raises(KeyboardInterrupt):
        restarts.undo(run=run, event=event, by="alice")
    monkeypatch.setattr(moves, "put_back", put_back)
    assert restarts.undo(run=run, event=RunEvent.objects.get(pk=event.pk), by="alice") == 5
    counts = tallies.read(run.id)
    assert (counts.done, counts.failed, counts.waiting) == (5, 5, 0)
    factories.check_books(run)
