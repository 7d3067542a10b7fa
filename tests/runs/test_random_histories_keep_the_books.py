"""A hypothesis state machine drives the documented protocol against a model in plain Python."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runs import lifecycle, queue, reports, restarts, tallies
from runs.errors import FarmError, StaleReport, StateConflict
from runs.models import Attempt, Run, Task
from runs.states import Outcome, TaskState
from tests import factories

W, C, D, F, X = TaskState
SIZE = 8
numbers = st.integers(0, SIZE - 1)
percents = st.one_of(st.sampled_from([0.0, 50.0, 100.0]), st.floats(0, 100, allow_subnormal=False))


class Model:
    """What must be true of one task, kept by the simplest code that can be right."""

    def __init__(self) -> None:
        self.state, self.percent, self.attempt, self.worker = W, 0.0, 0, None
        self.ended: list[Outcome] = []

    def end(self, outcome: Outcome) -> None:
        self.ended.append(outcome)

    def take(self, worker: Any) -> None:
        self.state, self.worker = C, worker
        self.attempt += 1

    def finish(self, outcome: Outcome) -> None:
        if self.state == W:
            self.take(None)
        self.end(outcome)
        self.state = D if outcome == Outcome.DONE else F
        self.percent = 100.0 if outcome == Outcome.DONE else self.percent

    def requeue(self, outcome: Outcome, percent: float | None) -> None:
        if self.state == C:
            self.end(outcome)
        self.state, self.worker = W, None
        self.percent = self.percent if percent is None else percent


class Farm(RuleBasedStateMachine):
    """Two workers, a person who restarts, and reports that come at any time, in any order."""

    owner: User

    @initialize(floor=st.integers(0, SIZE + 2))
    def create(self, floor: int) -> None:
        self.run = factories.run(self.owner, SIZE)
        Run.objects.filter(pk=self.run.pk).update(claim_floor=floor)
        self.workers = [factories.worker(self.owner, pid=pid) for pid in range(2)]
        self.tasks = [Model() for _ in range(SIZE)]
        self.stale = 0

    def fresh(self) -> Run:
        return Run.objects.get(pk=self.run.pk)

    def refused(self, error: type[FarmError], operation: Any, **given: Any) -> None:
        with pytest.raises(error):
            operation(run=self.run, **given)
        self.stale += error is StaleReport

    @rule(which=st.integers(0, 1), want=st.integers(1, 3))
    def claim(self, which: int, want: int) -> None:
        worker = self.workers[which]
        claims = queue.claim(run=self.fresh(), worker=worker, want=want)
        waiting = [number for number, task in enumerate(self.tasks) if task.state == W]
        assert len(claims) <= want
        assert bool(claims) == bool(waiting), "a waiting task was withheld"
        for one in claims:
            task = self.tasks[one.number]
            assert task.state == W, "handed out twice"
            task.take(worker)
            assert (one.percent, one.attempt) == (task.percent, task.attempt)

    @rule(number=numbers, percent=percents)
    def progress(self, number: int, percent: float) -> None:
        task = self.tasks[number]
        if task.state in (W, C):
            queue.report_progress(run=self.run, number=number, percent=percent)
            task.percent = percent
        elif task.state == D and percent == 100:
            queue.report_progress(run=self.run, number=number, percent=percent)
        else:
            self.refused(StaleReport, queue.report_progress, number=number, percent=percent)

    @rule(number=numbers, outcome=st.sampled_from([Outcome.DONE, Outcome.FAILED]))
    def report(self, number: int, outcome: Outcome) -> None:
        task = self.tasks[number]
        if task.state in (W, C):
            queue.report_outcome(run=self.run, number=number, outcome=outcome)
            task.finish(outcome)
        elif task.state == (D if outcome == Outcome.DONE else F):
            queue.report_outcome(run=self.run, number=number, outcome=outcome)
        else:
            self.refused(StaleReport, queue.report_outcome, number=number, outcome=outcome)

    @rule(number=numbers, percent=st.none() | percents)
    def set_waiting(self, number: int, percent: float | None) -> None:
        task = self.tasks[number]
        lifecycle.requeue_one(run=self.run, number=number, percent=percent)
        if percent is None and task.state == D:
            percent = 0.0
        task.requeue(Outcome.RELEASED, percent)

    @rule(number=numbers, percent=st.none() | percents)
    def set_computing(self, number: int, percent: float | None) -> None:
        task = self.tasks[number]
        given = {"number": number, "percent": percent}
        if task.state in (D, F):
            self.refused(StateConflict, queue.begin_by_hand, **given)
            return
        queue.begin_by_hand(run=self.run, **given)
        if task.state == W:
            task.take(None)
        task.percent = task.percent if percent is None else percent

    @rule(everything=st.booleans())
    def restart(self, everything: bool) -> None:
        restarts.restart(run=self.run, everything=everything)
        for task in self.tasks:
            if everything or task.state != D:
                task.requeue(Outcome.CANCELLED, 0.0 if everything else None)

    @rule()
    def fold(self) -> None:
        tallies.fold(self.run.id)

    @rule(floor=st.integers(0, SIZE + 2))
    def spoil_the_floor(self, floor: int) -> None:
        Run.objects.filter(pk=self.run.pk).update(claim_floor=floor)

    @precondition(lambda self: hasattr(self, "tasks"))
    @invariant()
    def the_books_are_right(self) -> None:
        rows = Task.objects.filter(run=self.run).order_by("number")
        assert [(row.state, row.percent, row.attempt, row.worker if row.state == C else None)
                for row in rows] == [
            (task.state, task.percent, task.attempt, task.worker if task.state == C else None)
            for task in self.tasks
        ]  # fmt: skip
        factories.check_books(self.run)
        kept = Attempt.objects.filter(run=self.run).order_by("number", "attempt")
        assert [one.outcome for one in kept] == [end for task in self.tasks for end in task.ended]
        assert tallies.read(self.run.id).stale == self.stale
        mean = sum(task.percent for task in self.tasks) / SIZE
        assert reports.progress(self.run).percent == pytest.approx(mean, abs=2e-6)


@pytest.mark.django_db(transaction=True)
def test_any_history_of_the_documented_protocol_keeps_the_books(alice: User) -> None:
    Farm.owner = alice
    run_state_machine_as_test(
        Farm,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
