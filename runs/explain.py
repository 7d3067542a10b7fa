"""Why does a task not move? A word for programs and a sentence for people."""

from dataclasses import dataclass
from datetime import datetime

from runs import attempts, events, pace, queue, sweep
from runs.cancels import CANCEL_TASKS
from runs.dialect import database_now, fetch
from runs.models import Run, RunEvent, Task
from runs.selection import may_have_meant
from runs.states import Outcome, RunState, TaskState

CLOCK = "SELECT {clock}"
MOST_EVENTS = 100
"""Cancellations that are looked through for the one that meant a task."""


@dataclass(frozen=True)
class Explanation:
    """``code`` for programs, ``reason`` for people; ``seconds`` until it may move, where known."""

    state: str
    code: str
    reason: str
    seconds: float | None = None


def explain(run: Run, task: Task) -> Explanation:
    """Say why the task is where it is, and what comes next."""
    state = TaskState(task.state)
    code, reason, seconds = {
        TaskState.WAITING: _waiting,
        TaskState.COMPUTING: _computing,
        TaskState.DONE: _done,
        TaskState.FAILED: _failed,
        TaskState.CANCELLED: _cancelled,
    }[state](run, task)
    joint = " " if state == TaskState.FAILED else ": "
    return Explanation(state.label, code, f"{state.label}{joint}{reason}", seconds)


Told = tuple[str, str, float | None]


def _waiting(run: Run, task: Task) -> Told:
    """Why it is not handed out."""
    if run.state == RunState.PAUSED:
        return "run_paused", f"the run is paused{_by(events.latest(run, 'pause'))}", None
    if run.state == RunState.CANCELLED:
        last = events.latest(run, "cancel", "expire")
        return "run_cancelled", f"the run is cancelled{_by(last)}", None
    now = database_now()
    if run.start_after and run.start_after > now:
        seconds = (run.start_after - now).total_seconds()
        return "not_yet", f"the run starts at {_at(run.start_after)}", seconds
    if run.expire_at and run.expire_at <= now:
        return "expired", f"the run's time was up at {_at(run.expire_at)}", None
    if task.number >= queue.claim_end(run):
        gate = f"the run first tries its {run.canary_tasks} canaries"
        return "canary", f"{gate}; {run.canary_percent:g} % of them must succeed", None
    if task.not_before:
        seconds = max(0.0, task.not_before - float(fetch(CLOCK, [])[0][0]))
        if seconds:
            return "backoff", f"backoff, next try in {_span(seconds)}", seconds
    ahead = "" if pace.look(run).active else "; no worker computes for this run now"
    return "in_line", f"it is in line to be handed out{ahead}", None


def _computing(run: Run, task: Task) -> Told:
    """Who computes it, for how long, and whether that is long."""
    where = f"on {task.worker.hostname}" if task.worker else "by hand"
    now = database_now()
    seconds = (now - task.started).total_seconds() if task.started else 0.0
    usual = pace.median_seconds(run)
    many = f", {seconds / usual:.0f} × the median" if usual and seconds > 2 * usual else ""
    silent = ""
    if task.worker and task.worker.heartbeat:
        quiet = now - task.worker.last_seen
        if quiet > sweep.bears(task.worker.heartbeat):
            silent = f"; its worker has been silent for {_span(quiet.total_seconds())}"
    return "computing", f"{where} for {_span(seconds)}{many}{silent}", None


def _done(run: Run, task: Task) -> Told:
    """When it was done."""
    return "done", f"since {_at(task.updated)}, at attempt {task.attempt}", None


def _failed(run: Run, task: Task) -> Told:
    """After how many attempts, and what the last one said."""
    after = "after 1 attempt" if task.attempt == 1 else f"after {task.attempt} attempts"
    last = run.attempts.filter(number=task.number, attempt=task.attempt).first()
    if last is None:
        return "failed", after, None
    how = {
        Outcome.LOST: "its worker was lost",
        Outcome.TIMEOUT: "it took too long",
    }.get(Outcome(last.outcome), attempts.headline(last.error))
    return "failed", f"{after}: {how}", None


def _cancelled(run: Run, task: Task) -> Told:
    """Who called it off, alone or with others."""
    return "cancelled", f"called off{_by(_called_off_by(run, task))}", None


def _called_off_by(run: Run, task: Task) -> RunEvent | None:
    """The last event before the task's last change that called tasks off, this one among them."""
    found = RunEvent.objects.filter(run=run, what__in=("cancel", "expire", CANCEL_TASKS))
    if task.updated is not None:
        found = found.filter(at__lte=task.updated)
    for event in found.order_by("-id")[:MOST_EVENTS]:
        told = event.details.get("selection", {})
        if event.what != CANCEL_TASKS or may_have_meant(told, task.number):
            return event
    return None


def _by(event: RunEvent | None) -> str:
    """`` since 14:02 by NAME: REASON``."""
    if event is None:
        return ""
    who = event.who or "its policy"
    return f" since {_at(event.at)} by {who}" + (f": {event.why}" if event.why else "")


def _at(moment: datetime | None) -> str:
    """A moment as people read it."""
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "an unknown time"


def _span(seconds: float) -> str:
    """A span of time in its two largest units."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
