"""A hypothesis state machine drives the whole farm against a model in plain Python (``model.py``).

Exchanges that are right, late, repeated or made up; the documented calls in between; lost workers,
timeouts, retries, backoff, thresholds, canaries; people who pause, cancel, restart, undo and
append: in any order, in two runs at once. After each step the books say what the model says.
"""

import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F as Column
from django.db.models import Sum
from django.db.models.functions import Now
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

from runs import (
    appending,
    exchange,
    lifecycle,
    queue,
    reports,
    restarts,
    steering,
    sweep,
    tallies,
    workers,
)  # fmt: skip
from runs.attempts import Ending
from runs.errors import FarmError, InvalidInput, StaleReport, StateConflict
from runs.exchange import Answer, Wish
from runs.models import Attempt, RunEvent, Worker
from runs.models import Run as Row
from runs.models import Task as TaskRow
from runs.queue import Report
from runs.selection import Selection
from runs.states import Outcome, TaskState
from tests import factories
from tests.exchange.model import Restart, Run, Task

W, C, D, F, X = TaskState
SIZE, MOST = 6, 9
ANYBODY = st.integers(0, 2)
"""Workers: two that promised heartbeats, and one that did not."""
EITHER = st.integers(0, 1)
NUMBERS = st.integers(0, MOST)
PERCENTS = st.sampled_from([0.0, 12.5, 33.3, 100.0]) | st.floats(0, 100, allow_subnormal=False)
ENDS = st.sampled_from([Outcome.DONE, Outcome.FAILED, Outcome.RELEASED])
POLICIES = st.fixed_dictionaries({
    "error_attempts": st.integers(1, 3),
    "lost_attempts": st.integers(1, 2),
    "timeout_attempts": st.integers(1, 2),
    "backoff": st.sampled_from([0.0, 100.0]),
    "task_timeout": st.sampled_from([None, 60.0, 60.0]),
    "fail_count": st.sampled_from([None, None, 2, 4]),
    "fail_now": st.booleans(),
    "canary_tasks": st.sampled_from([None, None, 2]),
    "canary_percent": st.sampled_from([50.0, 100.0]),
    "open": st.booleans(),
    "priority": st.integers(0, 1),
})  # fmt: skip


class WholeFarm(RuleBasedStateMachine):
    """Two runs, three workers, and people."""

    owner: User

    @initialize(policies=st.tuples(POLICIES, POLICIES))
    def create(self, policies: tuple[dict[str, Any], dict[str, Any]]) -> None:
        for model in apps.get_app_config("runs").get_models():
            model.objects.all().delete()  # a sweep would go on with the history before
        self.runs = [
            Run(
                factories.run(self.owner, SIZE, **policy), dict(policy),
                [Task() for _ in range(SIZE)], released=policy["canary_tasks"] is None,
            )
            for policy in policies
        ]  # fmt: skip
        self.workers = [factories.worker(self.owner, pid=pid) for pid in range(3)]
        self.index = {worker.pk: number for number, worker in enumerate(self.workers)}
        Worker.objects.filter(pk__in=[one.pk for one in self.workers[:2]]).update(heartbeat=10)
        self.silent: list[int] = []
        self.gone: set[int] = set()
        self.last: dict[int, Wish] = {}

    # ---- helpers

    def fresh(self, run: Run) -> Row:
        """The run as a request reads it."""
        return Row.objects.select_related("owner").get(pk=run.row.pk)

    def heard(self, who: int) -> Worker:
        """A worker calls: it is there again."""
        self.silent = [one for one in self.silent if one != who]
        self.gone.discard(who)
        return workers.find(owner=self.owner, uuid=self.workers[who].uuid.hex)

    def claimed(self, run: Run, who: int, numbers: list[int], want: int) -> None:
        """Check what was handed out, and note it."""
        ready, due = run.candidates()
        could = ready or due
        if run.floor_is_true or not ready:
            assert numbers == could[:want], "not the lowest that could be had"
        assert set(numbers) <= set(could), "handed out what was not to be had"
        assert bool(numbers) == bool(could), "a waiting task was withheld"
        assert len(numbers) <= want
        for number in numbers:
            run.tasks[number].take(who)
        run.touch(run.tasks[number] for number in numbers)
        run.started = run.started or bool(numbers)

    def expect(self, error: type[FarmError] | None, run: Run, operation: Any, **given: Any) -> Any:
        """Do it to the run as a request would; either it works, or this is what it says."""
        if error is None:
            return operation(run=self.fresh(run), **given)
        with pytest.raises(error):
            operation(run=self.fresh(run), **given)
        run.stale += error is StaleReport
        return None

    # ---- exchanges

    def make(self, who: int, wish: Wish) -> None:
        """One exchange, compared with what the model says about each part of it."""
        self.last[who] = wish
        answer = exchange.exchange(user=self.owner, worker=self.heard(who), wish=wish)
        runs = {run.row.uuid.hex: run for run in self.runs}
        serving = sorted((runs[uuid] for uuid in wish.runs), key=self.rank)
        reported = [runs[uuid] for uuid in [*wish.reports, *wish.runs]]
        ordered = [*(run for run in reported if run not in serving), *serving]
        handed: list[tuple[str, int, int]] = []
        stale: list[tuple[str, int, int]] = []
        for run in ordered:
            told = wish.reports.get(run.row.uuid.hex, [])
            want = min(wish.want - len(handed), run.share()) if run in serving else 0
            if not told and want < 1:
                continue
            uuid = run.row.uuid.hex
            late, ended = self.take_in(run, who, told)
            if want > 0 and ended is not None and run.may_be_stopped_by(told):
                run.enforce(failed=ended)
                ended = None
            stale += [(uuid, one.number, one.attempt) for one in late]
            held = run.held(who)
            got = [(one.number, one.attempt) for one in answer.tasks if one.run == uuid]
            numbers = [number for number, attempt in got if (number, attempt) not in held]
            if want > 0:
                self.claimed(run, who, numbers, want)
            else:
                assert numbers == []
            handed += [(uuid, number, run.tasks[number].attempt) for number in numbers]
            if ended is not None:
                run.enforce(failed=ended)
        assert [tuple(one) for one in answer.stale] == stale
        self.reconciled(who, wish, answer, handed)
        if wish.want and not answer.tasks:
            assert answer.finished == all(run.over_for_good for run in serving)
            assert (answer.retry_after is None) == answer.finished

    @staticmethod
    def rank(run: Run) -> tuple[int, int]:
        """The highest priority first, then the oldest."""
        return -run.policy["priority"], run.row.pk

    def take_in(self, run: Run, who: int, told: list[Report]) -> tuple[list[Report], bool | None]:
        """The reports of an exchange: those that are stale, and whether a task failed for good.

        None in place of the second where no attempt ended.
        """
        ended: dict[int, Outcome] = {}
        late: list[Report] = []
        percents: dict[int, float] = {}
        held = run.held(who)
        for one in told:
            if (one.number, one.attempt) not in held or one.number in ended:
                late.append(one)
            elif one.ending is not None:
                ended[one.number] = one.ending.outcome
                percents.pop(one.number, None)
            elif one.percent is not None:
                percents[one.number] = one.percent
        for number, percent in percents.items():
            run.tasks[number].percent = percent
        hopeless = [run.end(run.tasks[number], outcome) for number, outcome in ended.items()]
        run.touch(run.tasks[number] for number in [*percents, *ended])
        stale = []
        for one in late:
            known = run.known(one.number, one.attempt, who)
            if known is None or (one.ending is not None and one.ending.outcome != known):
                stale.append(one)
        run.stale += len(stale)
        return stale, any(hopeless) if ended else None

    def reconciled(
        self, who: int, wish: Wish, answer: Answer, handed: list[tuple[str, int, int]]
    ) -> None:
        """Check what is handed out again and what is to be dropped."""
        theirs = {(run.row.uuid.hex, *pair) for run in self.runs for pair in run.held(who)}
        again = {(one.run, one.number, one.attempt) for one in answer.tasks} - set(handed)
        assert len(answer.tasks) == len(handed) + len(again), "something twice in one answer"
        for one in answer.tasks:
            run = next(run for run in self.runs if run.row.uuid.hex == one.run)
            assert one.percent == run.tasks[one.number].percent
        if wish.holding is None:
            assert again == set(answer.drop) == set()
            return
        ours = {(uuid, *pair) for uuid, pairs in wish.holding.items() for pair in pairs}
        assert set(answer.drop) == ours - theirs
        assert again == theirs - ours - set(handed)

    @rule(data=st.data(), who=ANYBODY, which=EITHER, want=st.integers(0, 4))
    def exchange_rightly(self, data: Any, who: int, which: int, want: int) -> None:
        """A worker reports on some of what it holds, asks for more, says what it will hold."""
        run = self.runs[which]
        told: list[Report] = []
        for number, attempt in sorted(run.held(who)):
            kind = data.draw(st.sampled_from(["nothing", "progress", "end"]))
            if kind == "progress":
                told.append(Report(number, attempt, percent=data.draw(PERCENTS)))
            elif kind == "end":
                told.append(Report(number, attempt, ending=Ending(data.draw(ENDS), error="E: x")))
        over = {(one.number, one.attempt) for one in told if one.ending is not None}
        old = sorted([*over, *run.ended_by(who)])
        if old and data.draw(st.booleans()):  # once more, and perhaps otherwise
            pair = data.draw(st.sampled_from(old))
            told.append(Report(*pair, ending=Ending(data.draw(ENDS), error="E: y")))
        holding = {one.row.uuid.hex: one.held(who) - over for one in self.runs}
        uuid = run.row.uuid.hex
        says = data.draw(st.booleans())
        reported = {uuid: told} if told else {}
        self.make(who, Wish(reported, holding if says else None, want, [uuid]))

    @rule(who=ANYBODY, which=EITHER, ends=st.lists(ENDS, min_size=2, max_size=4))
    def work_a_while(self, who: int, which: int, ends: list[Outcome]) -> None:
        """A worker takes some tasks and ends what it holds, one after the other."""
        run = self.runs[which]
        uuid = run.row.uuid.hex
        self.make(who, Wish(want=len(ends), runs=[uuid]))
        held = sorted(run.held(who))
        told = [
            Report(*pair, ending=Ending(outcome, error=f"E: {outcome.label}"))
            for pair, outcome in zip(held, ends, strict=False)
        ]
        if told:  # the first once more, perhaps otherwise: its first word counts
            told.append(Report(*held[0], ending=Ending(Outcome.DONE)))
            self.make(who, Wish({uuid: told}, want=1, runs=[uuid]))

    @rule(
        who=ANYBODY,
        runs=st.lists(EITHER, unique=True),
        told=st.lists(
            st.tuples(EITHER, NUMBERS, st.integers(1, 4), PERCENTS | ENDS), max_size=4
        ),
        holding=st.none() | st.sets(st.tuples(EITHER, NUMBERS, st.integers(1, 3)), max_size=3),
        want=st.integers(0, 3),
    )  # fmt: skip
    def exchange_wildly(
        self, who: int, runs: list[int], told: Any, holding: Any, want: int
    ) -> None:
        """A confused worker says anything about anything, attempts of others included."""
        uuids = [run.row.uuid.hex for run in self.runs]
        reported: dict[str, list[Report]] = {}
        for which, number, attempt, what in told:
            ending = Ending(what, error="E: x") if isinstance(what, Outcome) else None
            percent = None if ending else what
            reported.setdefault(uuids[which], []).append(Report(number, attempt, percent, ending))
        held: dict[str, set[tuple[int, int]]] | None = None
        if holding is not None:
            held = {uuid: set() for uuid in uuids}
            for which, number, attempt in holding:
                held[uuids[which]].add((number, attempt))
        self.make(who, Wish(reported, held, want, [uuids[which] for which in runs]))

    @rule(who=ANYBODY)
    def exchange_once_more(self, who: int) -> None:
        """The network brings an exchange a second time, however old."""
        if who in self.last:
            self.make(who, self.last[who])

    # ---- the documented calls

    @rule(who=ANYBODY, which=EITHER)
    def claim(self, who: int, which: int) -> None:
        run = self.runs[which]
        claims = queue.claim(run=self.fresh(run), worker=self.heard(who))
        self.claimed(run, who, [one.number for one in claims], 1)
        assert [(run.tasks[one.number].attempt, run.tasks[one.number].percent)
                for one in claims] == [(one.attempt, one.percent) for one in claims]  # fmt: skip

    @rule(which=EITHER, number=NUMBERS, percent=PERCENTS)
    def put_progress(self, which: int, number: int, percent: float) -> None:
        run, task = self.pick(which, number)
        accepted = task.state in (W, C)
        error = None if accepted or (task.state == D and percent == 100) else StaleReport
        given = {"number": self.number(run, number), "percent": percent}
        self.expect(error, run, lifecycle.change_task, **given)
        if accepted:
            task.percent = percent
            run.touch([task])

    @rule(which=EITHER, number=NUMBERS, state=st.sampled_from([D, F]))
    def put_outcome(self, which: int, number: int, state: TaskState) -> None:
        run, task = self.pick(which, number)
        given = {"number": self.number(run, number), "state": state}
        if task.state not in (W, C, state):
            self.expect(StaleReport, run, lifecycle.change_task, **given)
            return
        self.expect(None, run, lifecycle.change_task, **given)
        if task.state in (W, C):
            if task.state == W:
                task.take(None)
            run.end(task, Outcome.DONE if state == D else Outcome.FAILED)
            run.touch([task])
        run.enforce(failed=state == F)

    @rule(which=EITHER, number=NUMBERS, percent=st.none() | PERCENTS)
    def put_computing(self, which: int, number: int, percent: float | None) -> None:
        run, task = self.pick(which, number)
        given = {"number": self.number(run, number), "percent": percent, "state": C}
        error = None if task.state in (W, C) else StateConflict
        self.expect(error, run, lifecycle.change_task, **given)
        if error is None:
            if task.state == W:
                task.take(None)
            task.percent = task.percent if percent is None else percent
            run.touch([task])

    @rule(which=EITHER, number=NUMBERS, percent=st.none() | PERCENTS)
    def put_waiting(self, which: int, number: int, percent: float | None) -> None:
        run, task = self.pick(which, number)
        given = {"number": self.number(run, number), "percent": percent, "state": W}
        self.expect(None, run, lifecycle.change_task, **given)
        if percent is None and task.state == D:
            percent = 0.0
        if task.state != W or percent not in (None, task.percent):
            task.requeue(Outcome.RELEASED, percent)
            run.touch([task])

    def pick(self, which: int, number: int) -> tuple[Run, Task]:
        """A run and one of its tasks."""
        run = self.runs[which]
        return run, run.tasks[self.number(run, number)]

    @staticmethod
    def number(run: Run, number: int) -> int:
        """A number that the run has."""
        return number % len(run.tasks)

    # ---- time

    @rule(who=ANYBODY, now=st.booleans())
    def fall_silent(self, who: int, now: bool) -> None:
        past = Now() - timedelta(hours=1)
        Worker.objects.filter(pk=self.workers[who].pk).update(last_seen=past)
        self.silent = [*(one for one in self.silent if one != who), who]
        self.sweep(now)

    @rule(which=EITHER, nth=NUMBERS, now=st.booleans())
    def take_too_long(self, which: int, nth: int, now: bool) -> None:
        run = self.runs[which]
        busy = [number for number, task in enumerate(run.tasks) if task.state == C]
        if busy:
            number = busy[nth % len(busy)]
            rows = TaskRow.objects.filter(run=run.row, number=number)
            rows.update(started=Column("started") - timedelta(hours=1))
            run.tasks[number].overdue = True
        self.sweep(now)

    @rule(which=EITHER, nth=NUMBERS, now=st.booleans())
    def let_a_backoff_pass(self, which: int, nth: int, now: bool) -> None:
        run = self.runs[which]
        off = [number for number, task in enumerate(run.tasks) if task.backoff]
        if off:
            number = off[nth % len(off)]
            rows = TaskRow.objects.filter(run=run.row, number=number)
            assert rows.filter(not_before__gt=0).update(not_before=1) == 1
            run.tasks[number].due = True
        self.sweep(now)

    def sweep(self, now: bool) -> None:
        """Sweep, if it is time."""
        if not now:
            return
        swept = sweep.sweep()
        lost = [who for who in self.silent if who < 2 and who not in self.gone]
        assert swept.lost_workers == len(lost)
        for who in lost:
            self.gone.add(who)
            for run in self.runs:
                tasks = [task for task in run.tasks if task.state == C and task.worker == who]
                run.end_all(tasks, Outcome.LOST)
        for run in self.runs:
            if run.policy["task_timeout"]:
                tasks = [task for task in run.tasks if task.state == C and task.overdue]
                run.end_all(tasks, Outcome.TIMEOUT)
        for run in self.runs:
            for task in run.tasks:
                task.backoff = task.backoff and not task.due
            run.finish_cancelling()

    @rule(who=ANYBODY)
    def sign_off(self, who: int) -> None:
        sweep.sign_off(self.heard(who))
        self.gone.add(who)
        for run in self.runs:
            tasks = [task for task in run.tasks if task.state == C and task.worker == who]
            run.end_all(tasks, Outcome.RELEASED)

    # ---- people

    @rule(which=EITHER)
    def pause(self, which: int) -> None:
        run = self.runs[which]
        allowed = run.state == "active" and not run.over_for_good
        self.expect(None if allowed else StateConflict, run, steering.pause, who="alice")
        run.state = "paused" if allowed else run.state

    @rule(which=EITHER)
    def resume(self, which: int) -> None:
        run = self.runs[which]
        allowed = run.state == "paused"
        self.expect(None if allowed else StateConflict, run, steering.resume, who="alice")
        if allowed:
            run.state, run.released = "active", run.released or run.started

    @rule(which=EITHER)
    def cancel(self, which: int) -> None:
        run = self.runs[which]
        expected = run.count(W, C)
        if run.over_for_good and expected == 0:
            self.expect(StateConflict, run, steering.cancel, who="alice")
            return
        assert self.expect(None, run, steering.cancel, who="alice") == expected
        if run.state == "cancelled":
            run.call_off()
        else:
            run.cancel()

    @rule(which=EITHER, errors=st.integers(1, 3), most=st.none() | st.integers(1, 6))
    def change_policy(self, which: int, errors: int, most: int | None) -> None:
        run = self.runs[which]
        given = {"error_attempts": errors, "fail_count": most}
        self.expect(None, run, steering.change_policy, who="alice", **given)
        run.policy |= given
        run.enforce(failed=True)

    @rule(
        which=EITHER,
        everything=st.booleans(),
        chosen=st.sampled_from([(), (), (D,), (F,), (C,), (W,), (X, F), (W, D)]),
        span=st.none() | st.tuples(NUMBERS, NUMBERS),
    )
    def restart(
        self,
        which: int,
        everything: bool,
        chosen: tuple[TaskState, ...],
        span: tuple[int, int] | None,
    ) -> None:
        run = self.runs[which]
        numbers = ((min(span), max(span)),) if span else ()
        selection = Selection(states=chosen, numbers=numbers)
        beyond = InvalidInput if span and max(span) >= len(run.tasks) else None
        count = self.expect(
            beyond, run, restarts.restart, everything=everything, selection=selection, by="alice"
        )
        if beyond:
            return
        if run.state == "cancelled":
            run.call_off()
        meant = chosen or (tuple(TaskState) if everything else (C, F, X))
        among = [
            task
            for number, task in enumerate(run.tasks)
            if not span or min(span) <= number <= max(span)
        ]
        wanted = any(task.state in meant for task in among)
        run.state = "active" if run.state == "cancelled" and wanted else run.state
        moved = {
            number: task.state
            for number, task in enumerate(run.tasks)
            if task.state in meant
            and (not span or min(span) <= number <= max(span))
            and not (task.state == W and task.percent == 0 and task.attempt == task.forgiven)
        }
        assert count == len(moved)
        for number, state in moved.items():
            zero = everything or state == D
            run.tasks[number].requeue(Outcome.CANCELLED, 0.0 if zero else None)
        run.touch(run.tasks[number] for number in moved)
        if moved:
            event = RunEvent.objects.filter(run=run.row, what="restart").latest("id")
            before = {number: state for number, state in moved.items() if state in (D, F, X)}
            run.restarts.append(Restart(event.pk, before, run.step, count))
            time.sleep(0.002)  # SQLite's clock has milliseconds: what comes next is later

    @rule(which=EITHER, back=st.integers(0, 2))
    def undo(self, which: int, back: int) -> None:
        run = self.runs[which]
        if back >= len(run.restarts):
            return
        one = run.restarts[-1 - back]
        given = {"event": RunEvent.objects.get(pk=one.event), "by": "alice"}
        if one.undone or one.count < 2:
            self.expect(StateConflict, run, restarts.undo, **given)
            return
        untouched = {
            number: state
            for number, state in one.before.items()
            if (task := run.tasks[number]).state == W
            and task.forgiven == task.attempt
            and task.moved <= one.step
        }
        assert self.expect(None, run, restarts.undo, **given) == len(untouched)
        one.undone = True
        for number, state in untouched.items():
            task = run.tasks[number]
            task.state, task.percent = state, 100.0 if state == D else task.percent
        run.touch(run.tasks[number] for number in untouched)

    @rule(which=EITHER, count=st.integers(1, 2))
    def append(self, which: int, count: int) -> None:
        run = self.runs[which]
        if len(run.tasks) + count > MOST:
            return
        takes = run.state != "cancelled" and (run.policy["open"] or not run.started)
        error = None if takes else StateConflict
        added = self.expect(error, run, appending.append, num_tasks=count, who="alice")
        if takes:
            assert added == (len(run.tasks), count)
            run.tasks += [Task() for _ in range(count)]

    @rule(which=EITHER)
    def fold(self, which: int) -> None:
        tallies.fold(self.runs[which].row.id)

    @rule(which=EITHER, floor=st.integers(0, MOST + 2))
    def spoil_the_floor(self, which: int, floor: int) -> None:
        """Make the hint wrong: it must stay a hint."""
        run = self.runs[which]
        Row.objects.filter(pk=run.row.pk).update(claim_floor=floor)
        run.floor_is_true = False

    # ---- what holds after every step

    @precondition(lambda self: hasattr(self, "runs"))
    @invariant()
    def the_books_are_right(self) -> None:
        for run in self.runs:
            self.check_tasks(run)
            self.check_attempts(run)
            row = self.fresh(run)
            assert (row.state, row.released, row.num_tasks) == (
                run.state, run.released, len(run.tasks)
            )  # fmt: skip
            factories.check_books(row)
            assert tallies.read(row.id).stale == run.stale
            percent = reports.progress(row).percent
            mean = sum(task.percent for task in run.tasks) / len(run.tasks)
            assert 0 <= percent <= 100
            assert percent == pytest.approx(mean, abs=2e-6)

    def check_tasks(self, run: Run) -> None:
        """Each task is where it should be, in one hand at most."""
        rows = TaskRow.objects.filter(run=run.row).order_by("number").values_list(
            "state", "percent", "attempt", "forgiven", "not_before", "worker_id"
        )  # fmt: skip
        assert [
            (state, percent, attempt, forgiven, not_before > 0,
             self.index.get(worker) if state == C else None)
            for state, percent, attempt, forgiven, not_before, worker in rows
        ] == [
            (task.state, task.percent, task.attempt, task.forgiven, task.backoff,
             task.worker if task.state == C else None)
            for task in run.tasks
        ]  # fmt: skip

    def check_attempts(self, run: Run) -> None:
        """Each attempt that ended is written down once, as what it was."""
        kept = Attempt.objects.filter(run=run.row).order_by("number", "attempt")
        assert [
            (number, attempt, outcome, self.index.get(worker))
            for number, attempt, outcome, worker in kept.values_list(
                "number", "attempt", "outcome", "worker_id"
            )
        ] == [
            (number, one.attempt, one.outcome, one.worker)
            for number, task in enumerate(run.tasks)
            for one in task.ended
        ]
        minutes = run.row.throughput.aggregate(done=Sum("done"), failed=Sum("failed"))
        ends = Counter(one.outcome for task in run.tasks for one in task.ended)
        assert (minutes["done"] or 0, minutes["failed"] or 0) == (
            ends[Outcome.DONE], ends[Outcome.FAILED]
        )  # fmt: skip

    def teardown(self) -> None:
        """Whatever has happened: a task that waits is found by somebody who keeps asking."""
        for run in getattr(self, "runs", ()):
            Row.objects.filter(pk=run.row.pk).update(state="active", released=True)
            TaskRow.objects.filter(run=run.row, not_before__gt=0).update(not_before=1)
            wish = Wish(want=MOST, runs=[run.row.uuid.hex])
            waiting = run.count(W)
            for _ in range(waiting):
                exchange.exchange(user=self.owner, worker=self.heard(2), wish=wish)
            assert tallies.read(run.row.id).waiting == 0, "a waiting task was never found"


@pytest.mark.django_db(transaction=True)
def test_any_history_of_the_whole_farm_keeps_the_books(alice: User) -> None:
    alice.group_ids = []  # as authentication finds them
    WholeFarm.owner = alice
    if connection.vendor == "postgresql":  # nothing crashes here: no need to wait for the disk
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off")
    run_state_machine_as_test(
        WholeFarm,
        settings=settings(
            max_examples=40,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
