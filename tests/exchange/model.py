"""What must be true of runs and their tasks, kept by the simplest code that can be right.

``test_random_histories_of_everything_keep_the_books.py`` does each step twice: with the farm, and
here; and then compares.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from runs.states import Outcome, TaskState

W, C, D, F, X = TaskState
BUDGETS = {
    Outcome.FAILED: "error_attempts",
    Outcome.LOST: "lost_attempts",
    Outcome.TIMEOUT: "timeout_attempts",
}


@dataclass
class Ended:
    """An attempt that is over: its number, how it ended, whose it was."""

    attempt: int
    outcome: Outcome
    worker: int | None


@dataclass(eq=False)
class Task:
    """One task. ``moved`` is the step of its last change; ``due`` that its backoff is over."""

    state: TaskState = W
    percent: float = 0.0
    attempt: int = 0
    worker: int | None = None
    forgiven: int = 0
    backoff: bool = False
    due: bool = False
    overdue: bool = False
    moved: int = 0
    ended: list[Ended] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        """Waits, and in no backoff."""
        return self.state == W and not self.backoff

    def take(self, worker: int | None) -> None:
        """Somebody begins an attempt."""
        self.state, self.worker, self.backoff, self.overdue = C, worker, False, False
        self.attempt += 1

    def close(self, outcome: Outcome) -> None:
        """The attempt is over, for whatever reason."""
        self.ended.append(Ended(self.attempt, outcome, self.worker))

    def wait(self, *, backoff: bool = False) -> None:
        """Wait again."""
        self.state, self.worker, self.backoff, self.due = W, None, backoff, False

    def requeue(self, outcome: Outcome, percent: float | None) -> None:
        """A person puts it back, and forgives what it has spent."""
        if self.state == C:
            self.close(outcome)
        self.wait()
        self.forgiven = self.attempt
        self.percent = self.percent if percent is None else percent

    def spent(self, outcome: Outcome) -> int:
        """How many attempts have ended so since a person last restarted it."""
        return sum(one.outcome == outcome and one.attempt > self.forgiven for one in self.ended)


@dataclass
class Restart:
    """A restart that may be undone: the states that tasks had, and the step at which it was."""

    event: int
    before: dict[int, TaskState]
    step: int
    count: int
    undone: bool = False


@dataclass(eq=False)
class Run:
    """A run with its policy and its tasks."""

    row: Any
    policy: dict[str, Any]
    tasks: list[Task]
    state: str = "active"
    released: bool = True
    started: bool = False
    unfinished: bool = False
    stale: int = 0
    floor_is_true: bool = True
    step: int = 0
    restarts: list[Restart] = field(default_factory=list)

    def count(self, *states: TaskState) -> int:
        """How many tasks are in one of the states."""
        return sum(task.state in states for task in self.tasks)

    @property
    def over(self) -> bool:
        """Nothing waits and nothing computes."""
        return self.count(W, C) == 0

    @property
    def over_for_good(self) -> bool:
        """Nobody needs to ask again."""
        return self.state == "cancelled" or (self.over and not self.policy["open"])

    @property
    def canaries(self) -> int:
        """How many tasks go first, where some do."""
        return min(self.policy["canary_tasks"] or len(self.tasks), len(self.tasks))

    def touch(self, tasks: Iterable[Task]) -> None:
        """Note that these tasks were changed now."""
        self.step += 1
        for task in tasks:
            task.moved = self.step

    def held(self, worker: int) -> set[tuple[int, int]]:
        """What a worker holds: task numbers and attempts."""
        return {
            (number, task.attempt)
            for number, task in enumerate(self.tasks)
            if task.state == C and task.worker == worker
        }

    def share(self) -> int:
        """How many tasks one worker gets at most."""
        active = {task.worker for task in self.tasks if task.state == C} - {None}
        return max(1, self.count(W) // (2 * max(len(active), 1)))

    def candidates(self) -> tuple[list[int], list[int]]:
        """What may be handed out now: the numbers that are ready, and those whose backoff is over.

        The second are handed out only where there is none of the first.
        """
        if self.state != "active":
            return [], []
        end = len(self.tasks) if self.released else self.canaries
        first = [(number, task) for number, task in enumerate(self.tasks[:end]) if task.state == W]
        ready = [number for number, task in first if task.ready]
        return ready, [number for number, task in first if task.backoff and task.due]

    def may_be_stopped_by(self, told: Iterable[Any]) -> bool:
        """Whether reports may be one failure too many: they are judged before tasks go out."""
        failures = (Outcome.FAILED, Outcome.TIMEOUT)
        limited = self.policy["fail_count"] is not None
        return limited and any(one.ending and one.ending.outcome in failures for one in told)

    def end(self, task: Task, outcome: Outcome) -> bool:
        """An attempt ended; answers whether the task is failed for good."""
        task.close(outcome)
        if outcome == Outcome.DONE:
            task.state, task.percent = D, 100.0
        elif outcome == Outcome.RELEASED:
            task.wait()
        elif task.spent(outcome) >= self.policy[BUDGETS[outcome]]:
            task.state = F
            return True
        else:
            task.wait(backoff=outcome == Outcome.FAILED and self.policy["backoff"] > 0)
        return False

    def end_all(self, tasks: list[Task], outcome: Outcome) -> None:
        """Several attempts ended in the same way, nobody reporting it."""
        hopeless = [self.end(task, outcome) for task in tasks]
        self.touch(tasks)
        if any(hopeless):
            self.enforce(failed=True)

    def known(self, number: int, attempt: int, worker: int) -> Outcome | None:
        """How an attempt of a worker's has ended, if it has."""
        for one in self.tasks[number].ended if number < len(self.tasks) else ():
            if (one.attempt, one.worker) == (attempt, worker):
                return one.outcome
        return None

    def ended_by(self, worker: int) -> list[tuple[int, int]]:
        """Attempts of a worker's that are over: task numbers and attempts."""
        return [
            (number, one.attempt)
            for number, task in enumerate(self.tasks)
            for one in task.ended
            if one.worker == worker
        ]

    def cancel(self) -> None:
        """Call the run off; sweeps look after it until they find nothing any more."""
        self.state, self.unfinished = "cancelled", True
        self.call_off()

    def finish_cancelling(self) -> None:
        """What a sweep does with a run that was called off."""
        if self.unfinished:
            self.unfinished = self.state == "cancelled" and self.count(W, C) > 0
        if self.unfinished:
            self.call_off()

    def call_off(self) -> None:
        """Cancel what waits or computes."""
        tasks = [task for task in self.tasks if task.state in (W, C)]
        for task in tasks:
            if task.state == C:
                task.close(Outcome.CANCELLED)
            task.state, task.backoff = X, False
        self.touch(tasks)

    def hold(self) -> None:
        """Pause by policy."""
        self.state = "paused" if self.state == "active" else self.state

    def enforce(self, *, failed: bool) -> None:
        """What the policy does after attempts ended."""
        if not self.released:
            needed = self.policy["canary_percent"] * self.canaries / 100
            if self.count(D) >= needed:
                self.released = True
            elif self.count(D, F, X) >= self.canaries:
                self.hold()
        most = self.policy["fail_count"]
        if failed and most is not None and self.count(F) >= most:
            if not self.policy["fail_now"]:
                self.hold()
            elif self.state != "cancelled":
                self.cancel()
