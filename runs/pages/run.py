"""The page of one run: where it stands, who works on it, its tasks."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from runs import reports, workers
from runs.models import Run, Task
from runs.pages.actions import ACTIONS
from runs.pages.page import farm_page, number, page, run_of
from runs.pages.shown import ShownRun
from runs.states import TaskState
from runs.tallies import Counts

PER_PAGE = 50
MOST_WORKERS = 50
STATES = {state.label: state for state in TaskState}


@dataclass(frozen=True)
class TaskPage:
    """Some tasks by number; ``following`` starts the next page, ``previous`` ends the last one."""

    tasks: list[Task]
    following: int | None = None
    previous: int | None = None

    @property
    def ends(self) -> tuple[int, int] | None:
        """The lowest and the highest number on it; None for an empty one."""
        return (self.tasks[0].number, self.tasks[-1].number) if self.tasks else None


def tasks_page(run: Run, counts: Counts, state: TaskState | None, query: Any) -> TaskPage:
    """The page that the address asks for: from a number on, or up to one.

    A state that no task is in costs no query.
    """
    if not counts.total or (state is not None and counts.of(state) <= 0):
        return TaskPage([])
    if "until" in query:
        last = number(query["until"], 0)
        rows = reports.tasks_up_to(run, last, state=state, limit=PER_PAGE)
        if len(rows) == PER_PAGE:
            return TaskPage(rows, last + 1, rows[0].number - 1 if rows[0].number else None)
    first = number(query.get("from"), 0) if "until" not in query else 0
    rows = reports.tasks_page(run, state=state, after=first - 1, limit=PER_PAGE + 1)
    following = rows[PER_PAGE].number if len(rows) > PER_PAGE else None
    return TaskPage(rows[:PER_PAGE], following, first - 1 if first else None)


@farm_page
@require_safe
def show_run(request: HttpRequest, uuid: str) -> HttpResponse:
    """Where the run stands, its workers, and its tasks narrowed by the state of the address."""
    run = run_of(request, uuid)
    progress = reports.progress(run)
    state = STATES.get(request.GET.get("state", ""))
    context = {
        "run": run,
        "shown": ShownRun(run, progress),
        "pace": reports.pace(run, progress.counts),
        "workers": busy_workers(run, progress.counts),
        "state": state.label if state is not None else "",
        "tasks": tasks_page(run, progress.counts, state, request.GET),
        "actions": [action for action in ACTIONS if action.fits(progress.counts)],
        "api_url": request.build_absolute_uri("/api/"),
        "lead": reverse("run", kwargs={"uuid": run.uuid.hex}),
    }
    return page(request, "runs/run.html", context)


def busy_workers(run: Run, counts: Counts) -> list[tuple[Any, int]]:
    """The workers that hold tasks of the run now, with how many; no query where none computes."""
    return workers.computing(run.id, limit=MOST_WORKERS) if counts.computing > 0 else []
