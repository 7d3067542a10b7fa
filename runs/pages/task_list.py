"""The tasks of a run, narrowed by the selection in the address and paged by number."""

from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from runs import finding, reports
from runs.errors import InvalidInput
from runs.models import Run, Task
from runs.pages import selecting
from runs.pages.actions import CANCEL, RESTART, Action
from runs.pages.frame import framed
from runs.pages.page import farm_page, number, page, run_of
from runs.pages.shown import ShownRun
from runs.selection import Selection
from runs.states import TaskState
from runs.tallies import Counts

PER_PAGE = 25


@dataclass(frozen=True)
class TaskPage:
    """Some tasks by number; ``following`` starts the next page, ``previous`` ends the last one.

    ``through``: the last number that was looked at where a filter found less than a page.
    """

    tasks: list[Task]
    following: int | None = None
    previous: int | None = None
    through: int | None = None

    @property
    def ends(self) -> tuple[int, int] | None:
        """The lowest and the highest number on it; None for an empty one."""
        return (self.tasks[0].number, self.tasks[-1].number) if self.tasks else None


def tasks_page(run: Run, counts: Counts, selection: Selection, query: Any) -> TaskPage:
    """The page that the address asks for: from a number on, or up to one.

    A state that no task is in costs no query.
    """
    state = selection.states[0] if selection.states else None
    if not counts.total or (state is not None and counts.of(state) <= 0):
        return TaskPage([])
    first = number(query.get("from"), 0)
    if selection.narrow or len(selection.states) > 1:
        found = finding.find(run, counts, selection, first=first, limit=PER_PAGE)
        return TaskPage(found.tasks, found.following, through=found.through)
    if "until" in query:
        last = number(query["until"], 0)
        rows = reports.tasks_up_to(run, last, state=state, limit=PER_PAGE)
        if len(rows) == PER_PAGE:
            return TaskPage(rows, last + 1, rows[0].number - 1 if rows[0].number else None)
        first = 0
    rows = reports.tasks_page(run, state=state, after=first - 1, limit=PER_PAGE + 1)
    following = rows[PER_PAGE].number if len(rows) > PER_PAGE else None
    return TaskPage(rows[:PER_PAGE], following, first - 1 if first else None)


@dataclass(frozen=True)
class Offer:
    """What can be done to all tasks of the selection: a link to the page that asks."""

    action: Action
    query: str


def offers(shown: ShownRun, selection: Selection) -> list[Offer]:
    """The actions that can touch a task of the selection; none for all tasks of the run."""
    if selection == Selection():
        return []
    query = selecting.to_query(selection, back="run-tasks")
    return [
        Offer(action, query)
        for action, states in ((RESTART, RESTARTED), (CANCEL, CANCEL.states))
        if action.fits(shown)
        and (not selection.states or any(state in states for state in selection.states))
    ]


RESTARTED = (*RESTART.states, TaskState.DONE)


@farm_page
@require_safe
def list_tasks(request: HttpRequest, uuid: str) -> HttpResponse:
    """The run's tasks, and what can be done to those of the selection."""
    run = run_of(request, uuid)
    context = framed(run, "tasks")
    shown: ShownRun = context["shown"]
    selection, refusal = Selection(), ""
    try:
        selection = selecting.from_query(request.GET)
    except InvalidInput as error:
        refusal = error.detail
    else:
        context["tasks"] = tasks_page(run, shown.counts, selection, request.GET)
        context["offers"] = offers(shown, selection)
    context |= {
        "refusal": refusal,
        "selection": selecting.words(replace(selection, states=())),
        "state": selection.states[0].label if len(selection.states) == 1 else "",
        "states": [state.label for state in selection.states],
    }
    return page(request, "runs/tasks.html", context)
