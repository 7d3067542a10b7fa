"""Sweeps at the same time, ordered by events: what is lost, late or due is requeued once."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from runs import sweep, tallies, workers
from runs.models import Run, SweepLock, Worker
from runs.states import Outcome
from tests import factories
from tests.runs.threads import start, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)
Call = Callable[..., dict[str, Any]]


@pytest.fixture
def run(alice: User, worker: Worker, exchange: Call) -> Run:
    """A run of which a worker holds three tasks that has been silent for an hour."""
    run = factories.run(alice, 10, task_timeout=600, error_attempts=3, backoff=100)
    exchange(run, want=3)
    Worker.objects.update(last_seen=Now() - timedelta(hours=1))
    return run


def together(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let two threads meet after this function of the sweep, before either goes on."""
    both = threading.Barrier(2)
    function = getattr(sweep, name)

    def meet(*given: Any) -> Any:
        found = function(*given)
        both.wait(30)
        return found

    monkeypatch.setattr(sweep, name, meet)


def check_lost_once(run: Run, swept: list[sweep.Swept]) -> None:
    """Assert that three tasks were requeued, by one of the sweepers."""
    assert sorted(one.lost_tasks for one in swept) == [0, 3]
    assert sorted(one.lost_workers for one in swept) == [0, 1]
    assert list(run.attempts.values_list("outcome", flat=True)) == [Outcome.LOST] * 3
    assert tallies.read(run.id).waiting == 10
    factories.check_books(run)


def test_both_have_found_the_worker_silent_before_either_acts(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    together(monkeypatch, "silent_workers")
    sweepers = [start(sweep.sweep) for _ in range(2)]
    check_lost_once(run, [one.result(60) for one in sweepers])


@pytest.mark.postgresql
def test_one_comes_while_the_other_is_in_the_middle_of_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL the second waits for the first one's rows; SQLite begins one at a time."""
    requeued, go_on = threading.Event(), threading.Event()
    end_all = sweep.end_all

    def pause(*given: Any, **named: Any) -> Any:
        ended = end_all(*given, **named)
        if not requeued.is_set():
            requeued.set()
            assert go_on.wait(60)
        return ended

    monkeypatch.setattr(sweep, "end_all", pause)
    first = start(sweep.sweep)
    assert requeued.wait(60)
    second = start(sweep.sweep)
    wait_until_blocked()
    go_on.set()
    check_lost_once(run, [first.result(60), second.result(60)])


def test_a_worker_that_speaks_between_the_look_and_the_act_keeps_its_tasks(
    run: Run, worker: Worker, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, spoken = threading.Event(), threading.Event()
    silent_workers = sweep.silent_workers

    def wait_for_a_word() -> list[int]:
        found = silent_workers()
        looked.set()
        assert spoken.wait(60)
        return found

    monkeypatch.setattr(sweep, "silent_workers", wait_for_a_word)
    sweeper = start(sweep.sweep)
    assert looked.wait(60)
    workers.find(owner=alice, uuid=worker.uuid.hex)
    spoken.set()
    assert sweeper.result(60).lost_workers == 0
    assert not run.attempts.exists()
    assert tallies.read(run.id).computing == 3
    worker.refresh_from_db()
    assert worker.gone is None
    factories.check_books(run)


def test_attempts_that_take_too_long_are_ended_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Worker.objects.update(heartbeat=None)
    run.tasks.filter(state=1).update(started=F("started") - timedelta(hours=1))
    together(monkeypatch, "silent_workers")
    sweepers = [start(sweep.sweep) for _ in range(2)]
    assert sorted(one.result(60).overdue for one in sweepers) == [0, 3]
    assert list(run.attempts.values_list("outcome", flat=True)) == [Outcome.TIMEOUT] * 3
    factories.check_books(run)


def test_tasks_whose_backoff_is_over_wake_once(
    run: Run, exchange: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = [{"task": n, "attempt": 1, "status": "failed", "error": "E: x"} for n in range(3)]
    exchange(run, reports=failed)
    assert run.tasks.filter(not_before__gt=0).update(not_before=1) == 3
    together(monkeypatch, "silent_workers")
    sweepers = [start(sweep.sweep) for _ in range(2)]
    assert sum(one.result(60).woken for one in sweepers) == 3
    assert not run.tasks.filter(not_before__gt=0).exists()
    factories.check_books(run)


def test_of_many_that_want_to_sweep_at_once_one_does(db: None) -> None:
    SweepLock.objects.get_or_create(pk=1)
    SweepLock.objects.update(began=Now() - timedelta(seconds=10))
    ready = threading.Barrier(4)

    def take() -> bool:
        connection.ensure_connection()
        ready.wait(30)
        return sweep.my_turn()

    turns = [start(take) for _ in range(4)]
    assert sorted(one.result(60) for one in turns) == [False, False, False, True]
