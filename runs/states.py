"""The states of tasks, runs and attempts, each with who moves it next.

This is the only place that lists them: models, API, pages, the chart in the docs and the tests
read them from here. A transition happens only in ``queue.py`` and ``lifecycle.py``.
"""

from dataclasses import dataclass

from django.db import models


class TaskState(models.IntegerChoices):
    """Where a task stands. Kept as a small number, shown by its name in lower case."""

    WAITING = 0, "waiting"
    """Nobody works on it. A claim hands it to a worker; a person may cancel it."""
    COMPUTING = 1, "computing"
    """A worker holds it. The worker's report ends it; a restart or a lost worker requeues it."""
    DONE = 2, "done"
    """Finished at 100 %. Only a restart by a person moves it again."""
    FAILED = 3, "failed"
    """Its last attempt failed, was lost or took too long, and none is left. Only a restart by a
    person moves it again."""
    CANCELLED = 4, "cancelled"
    """Called off by a person or by policy. Only a restart by a person moves it again."""


class RunState(models.TextChoices):
    """What people or policy want of a run. *Finished* is derived from its tasks, never stored."""

    ACTIVE = "active"
    """Hands out tasks. A person may pause or cancel it."""
    PAUSED = "paused"
    """Hands out nothing; reports still count. A person resumes or cancels it."""
    CANCELLED = "cancelled"
    """Called off. A restart of its tasks makes it active again."""


class Outcome(models.IntegerChoices):
    """How an attempt ended. Attempts are written once, at their end, and never changed."""

    DONE = 1, "done"
    """The worker reported success."""
    FAILED = 2, "failed"
    """The worker reported an error."""
    LOST = 3, "lost"
    """The worker fell silent."""
    TIMEOUT = 4, "timeout"
    """The attempt took longer than the run allows."""
    RELEASED = 5, "released"
    """The worker gave the task back."""
    CANCELLED = 6, "cancelled"
    """A person or policy ended it: a restart, a cancel, a delete."""


@dataclass(frozen=True)
class Transition:
    """One arrow of the chart: ``start`` → ``end``, who moves it, and under which guard."""

    start: TaskState
    end: TaskState
    mover: str
    guard: str


W, C, D, F, X = TaskState
TRANSITIONS = (
    Transition(W, C, "claim", "row lock with SKIP LOCKED; the run is active, inside its window"),
    Transition(C, D, "report: done", "the task is still in this attempt's hands"),
    Transition(C, F, "report: failed", "the same, or lost or overdue; no attempt is left"),
    Transition(
        C, W, "requeue", "failed, lost or overdue with an attempt left; released; restarted"
    ),
    Transition(D, W, "restart", "a person"),
    Transition(F, W, "restart", "a person"),
    Transition(X, W, "restart", "a person"),
    Transition(W, D, "marked done", "a script, through the documented PUT; undo of a restart"),
    Transition(W, F, "marked failed", "a script, through the documented PUT; undo of a restart"),
    Transition(W, X, "cancel", "a person or policy; undo of a restart"),
    Transition(C, X, "cancel", "a person or policy; the open attempt becomes stale"),
)
