"""Every documented change from every state: what becomes of it, and what the books say."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from runs import lifecycle, queue, tallies
from runs.errors import FarmError, InvalidInput, StaleReport, StateConflict, TaskNotFound
from runs.models import Run, Task, task_id
from runs.states import Outcome, TaskState
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
W, C, D, F, X = TaskState


def task_in(run: Run, alice: User, state: TaskState) -> Task:
    """Task 0 of the run, brought into a state."""
    worker = factories.worker(alice)
    if state in (C, D, F):
        queue.claim(run=run, worker=worker)
        queue.report_progress(run=run, number=0, percent=40)
    if state in (D, F):
        outcome = Outcome.DONE if state == D else Outcome.FAILED
        queue.report_outcome(run=run, number=0, outcome=outcome)
    return Task.objects.get(run=run, number=0)


CHANGES = [
    # from, (percent, status), to, percent after; or the refusal
    (W, (30, None), W, 30),
    (W, (None, D), D, 100),
    (W, (100, D), D, 100),
    (W, (None, F), F, 0),
    (W, (None, C), C, 0),
    (W, (20, C), C, 20),
    (W, (None, W), W, 0),
    (W, (10, W), W, 10),
    (C, (60, None), C, 60),
    (C, (None, D), D, 100),
    (C, (None, F), F, 40),
    (C, (50, F), F, 50),
    (C, (None, C), C, 40),
    (C, (70, C), C, 70),
    (C, (None, W), W, 40),
    (C, (0, W), W, 0),
    (D, (100, None), D, 100),
    (D, (None, D), D, 100),
    (D, (None, W), W, 0),
    (D, (25, W), W, 25),
    (F, (None, F), F, 40),
    (F, (None, W), W, 40),
    (D, (50, None), StaleReport, 100),
    (D, (None, F), StaleReport, 100),
    (D, (None, C), StateConflict, 100),
    (F, (50, None), StaleReport, 40),
    (F, (None, D), StaleReport, 40),
    (F, (None, C), StateConflict, 40),
    (W, (50, D), InvalidInput, 0),
    (W, (None, X), InvalidInput, 0),
    (W, (None, None), InvalidInput, 0),
]


@pytest.mark.parametrize(("start", "change", "end", "percent"), CHANGES)
def test_a_change_of_a_task(
    alice: User,
    start: TaskState,
    change: tuple[float | None, TaskState | None],
    end: TaskState | type[FarmError],
    percent: float,
) -> None:
    run = factories.run(alice, 3)
    before = task_in(run, alice, start)
    given = {"run": run, "number": 0, "percent": change[0], "state": change[1]}
    if isinstance(end, TaskState):
        lifecycle.change_task(**given)
        assert Task.objects.get(pk=before.pk).state == end
    else:
        with pytest.raises(end):
            lifecycle.change_task(**given)
        assert Task.objects.get(pk=before.pk).state == before.state
    assert Task.objects.get(pk=before.pk).percent == percent
    factories.check_books(run)


def test_a_repeated_done_is_accepted_and_counts_once(alice: User) -> None:
    run = factories.run(alice, 3)
    task_in(run, alice, C)
    for _ in range(3):
        queue.report_outcome(run=run, number=0, outcome=Outcome.DONE)
    assert run.attempts.count() == 1
    assert tallies.read(run.id).done == 1
    assert tallies.read(run.id).stale == 0


def test_a_stale_report_is_counted(alice: User) -> None:
    run = factories.run(alice, 3)
    task_in(run, alice, D)
    for report in (
        lambda: queue.report_outcome(run=run, number=0, outcome=Outcome.FAILED),
        lambda: queue.report_progress(run=run, number=0, percent=3),
    ):
        with pytest.raises(StaleReport, match="Task 0 is done"):
            report()
    assert tallies.read(run.id).stale == 2


@pytest.mark.parametrize("number", [-1, 3, 2**31, 2**63, 10**30])
def test_a_number_outside_the_run_is_no_task(alice: User, number: int) -> None:
    run = factories.run(alice, 3)
    for operation in (
        lambda: queue.report_progress(run=run, number=number, percent=3),
        lambda: queue.report_outcome(run=run, number=number, outcome=Outcome.DONE),
        lambda: queue.begin_by_hand(run=run, number=number),
        lambda: lifecycle.requeue_one(run=run, number=number),
    ):
        with pytest.raises(TaskNotFound, match="from 0 to 2"):
            operation()
    factories.check_books(run)


def test_the_attempt_tells_who_when_and_how_it_ended(alice: User) -> None:
    run, worker = factories.run(alice, 3), factories.worker(alice)
    queue.claim(run=run, worker=worker)
    queue.report_outcome(run=run, number=0, outcome=Outcome.FAILED, error="no such file")
    attempt = run.attempts.get()
    assert (attempt.number, attempt.attempt, attempt.worker) == (0, 1, worker)
    assert (attempt.outcome, attempt.error) == (Outcome.FAILED, "no such file")
    assert attempt.started <= attempt.ended


def test_a_progress_report_raises_the_runs_percentage_at_once(alice: User) -> None:
    from runs import reports

    run, worker = factories.run(alice, 4), factories.worker(alice)
    queue.claim(run=run, worker=worker, want=2)
    queue.report_progress(run=run, number=0, percent=50)
    queue.report_progress(run=run, number=1, percent=100 / 3)
    assert reports.progress(run).percent == pytest.approx((50 + 100 / 3) / 4, abs=1e-6)
    queue.report_outcome(run=run, number=0, outcome=Outcome.DONE)
    assert reports.progress(run).percent == pytest.approx((100 + 100 / 3) / 4, abs=1e-6)


IMPOSSIBLE = [
    {"state": 9},
    {"percent": 101},
    {"percent": -1},
    {"attempt": -1},
    {"state": D, "percent": 99},
    {"state": C, "attempt": 0},
    {"state": C, "attempt": 1, "started": None},
]


@pytest.mark.parametrize("fields", IMPOSSIBLE)
def test_the_database_refuses_impossible_rows(alice: User, fields: dict[str, object]) -> None:
    run = factories.run(alice, 3)
    with pytest.raises(IntegrityError), transaction.atomic():
        Task.objects.filter(run=run, number=0).update(**fields)
    for taken in ({"id": task_id(run.id, 0), "number": 0}, {"id": 17, "number": 3}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Task.objects.create(run=run, **taken)
