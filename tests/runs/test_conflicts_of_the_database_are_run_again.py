"""Deadlocks and serialization failures: the operation is run again, a bounded number of times."""

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, transaction

from runs import retrying
from runs.models import task_id
from runs.retrying import rerun_on_conflict
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


class Cause(Exception):
    """What psycopg2 raises, as far as it matters here."""

    def __init__(self, pgcode: str) -> None:
        self.pgcode = pgcode


def conflict(pgcode: str) -> OperationalError:
    """Django's error with the database's code behind it."""
    error = OperationalError("deadlock detected")
    error.__cause__ = Cause(pgcode)
    return error


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying.time, "sleep", lambda seconds: None)


@pytest.mark.parametrize("pgcode", ["40P01", "40001"])
def test_an_operation_is_run_again_until_it_succeeds(pgcode: str) -> None:
    turns: list[int] = []

    @rerun_on_conflict
    def operation() -> str:
        turns.append(1)
        if len(turns) < 4:
            raise conflict(pgcode)
        return "done"

    assert operation() == "done"
    assert len(turns) == 4


def test_it_gives_up_after_six_tries() -> None:
    turns: list[int] = []

    @rerun_on_conflict
    def operation() -> None:
        turns.append(1)
        raise conflict("40P01")

    with pytest.raises(OperationalError):
        operation()
    assert len(turns) == retrying.TRIES


def test_other_failures_are_not_repeated() -> None:
    turns: list[int] = []

    @rerun_on_conflict
    def operation() -> None:
        turns.append(1)
        raise conflict("57P01")

    with pytest.raises(OperationalError):
        operation()
    assert len(turns) == 1


def test_inside_another_transaction_only_the_outermost_may_start_again() -> None:
    turns: list[int] = []

    @rerun_on_conflict
    def operation() -> None:
        turns.append(1)
        raise conflict("40P01")

    with pytest.raises(OperationalError), transaction.atomic():
        operation()
    assert len(turns) == 1


@pytest.mark.postgresql
def test_two_operations_that_deadlock_both_end_well(alice: User) -> None:
    """Two moves that lock in opposite order, made to meet: one is rolled back and run again."""
    import threading

    from runs import moves
    from tests.runs.threads import start

    run = factories.run(alice, 2)
    meet = threading.Barrier(2, timeout=20)
    turns: list[int] = []

    @rerun_on_conflict
    def lock_both(first: int, second: int) -> None:
        turns.append(first)
        with transaction.atomic():
            moves.lock_one(task_id(run.id, first))
            if len(turns) <= 2:
                meet.wait()
            moves.lock_one(task_id(run.id, second))

    one, other = start(lambda: lock_both(0, 1)), start(lambda: lock_both(1, 0))
    one.result(timeout=30)
    other.result(timeout=30)
    assert len(turns) == 3
