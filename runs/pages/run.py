"""The page of one run: where it stands, how fast it goes, who works on it, who did what."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from runs import estimates, rates, samples, steering, uploads, workers
from runs.models import Run
from runs.pages import history
from runs.pages.actions import ACTIONS, CANCEL, DELETE, RESTART, Action
from runs.pages.frame import framed
from runs.pages.page import farm_page, page, run_of
from runs.pages.shown import ShownRun
from runs.rates import Minute
from runs.states import TaskState
from runs.tallies import Counts

MOST_WORKERS = 12
MOST_EVENTS = 6


@dataclass(frozen=True)
class Outlook:
    """How fast the run goes, how long it will go on, what it has cost and will.

    Attributes:
        per_minute: tasks that ended per minute lately; None where none did.
        crew: how many live workers hold tasks of it; None where nobody knows.
        left: how long it will go on; None where nobody could tell.
        spent: the work in all ended attempts.
        work: the work in what is left.
        known: how long sampled attempts took.
    """

    per_minute: float | None
    crew: int | None
    left: estimates.Estimate | None
    spent: rates.Spent
    work: estimates.Estimate | None
    known: estimates.Durations | None


def outlook(run: Run, counts: Counts, found: list[Minute]) -> Outlook:
    """Put it together: at most three queries beside the minutes, none of them for a fresh run."""
    sample = samples.draw(run, counts, together=samples.NEIGHBOURS) if run.started else []
    known = estimates.durations(sample)
    crew = estimates.workers(run, counts)
    over = counts.over or run.started is None
    return Outlook(
        per_minute=None if over else rates.per_minute(run, found),
        crew=crew,
        left=estimates.time_left(run, counts, known, found, crew),
        spent=rates.spent(run) if run.started else rates.Spent(0.0, True),
        work=estimates.work_left(counts, known),
        known=known,
    )


@dataclass(frozen=True)
class Chart:
    """Tasks per minute over time: equal stretches, and how long each is."""

    rows: list[Minute]
    step: int
    done: int
    failed: int
    best: float


def chart(shown: ShownRun, found: list[Minute]) -> Chart | None:
    """The chart's numbers; None where nothing has ended yet."""
    if not found:
        return None
    end = shown.ended or timezone.now()
    rows, step = rates.buckets(found, end=min(end, found[-1].at + rates.LONGEST))
    return Chart(
        rows=rows,
        step=step,
        done=sum(one.done for one in rows),
        failed=sum(one.failed for one in rows),
        best=max((one.done + one.failed) / step for one in rows),
    )


@dataclass(frozen=True)
class Offer:
    """A button that leads to the page of an action."""

    name: str
    title: str
    icon: str
    query: str = ""
    danger: bool = False


def offers(shown: ShownRun) -> tuple[list[Offer], list[Offer]]:
    """What is offered at once, and what in the menu behind it."""
    fitting = [action for action in ACTIONS if action.fits(shown)]
    menu = [offer(action) for action in fitting if action in (CANCEL, DELETE)]
    front = [offer(action) for action in fitting if action not in (CANCEL, DELETE)]
    if RESTART in fitting and shown.counts.of(TaskState.FAILED):
        front.insert(0, failed_again(shown))
    # Two buttons at most, and the menu.
    return front[:2], front[2:] + menu


def offer(action: Action) -> Offer:
    """The button of an action."""
    return Offer(action.name, action.title, action.icon, danger=action.danger)


def failed_again(shown: ShownRun) -> Offer:
    """The button that most people look for."""
    return Offer("restart", "Restart failed", "restart", "?state=failed")


@farm_page
@require_safe
def show_run(request: HttpRequest, uuid: str) -> HttpResponse:
    """Where the run stands, how fast it goes, its workers, its history."""
    run = run_of(request, uuid)
    steering.expire_late(run)
    context = framed(run, "run")
    shown: ShownRun = context["shown"]
    found = rates.minutes(run) if run.started else []
    told = history.told(run, limit=MOST_EVENTS + 1)
    front, menu = offers(shown)
    context |= {
        "outlook": outlook(run, shown.counts, found),
        "chart": chart(shown, found),
        "workers": busy_workers(run, shown.counts),
        "events": told[:MOST_EVENTS],
        "more_events": len(told) > MOST_EVENTS,
        "undoable": next((one for one in told if one.undo_until), None),
        "incomplete": uploads.is_incomplete(run),
        "held": steering.waits_for_upload(run),
        "front": front,
        "menu": menu,
        "api_url": request.build_absolute_uri("/api/"),
        "farm_url": request.build_absolute_uri("/"),
    }
    return page(request, "runs/run.html", context)


def busy_workers(run: Run, counts: Counts) -> list[tuple[Any, int]]:
    """The workers that hold tasks of the run now, with how many; no query where none computes."""
    return workers.computing(run.id, limit=MOST_WORKERS) if counts.computing > 0 else []
