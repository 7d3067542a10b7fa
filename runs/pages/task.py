"""The page of one task: where it stands and why, its input, what was tried."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from runs import explain, inputs, reports
from runs.models import Task
from runs.pages.page import farm_page, page, run_of
from runs.states import TaskState

MOST_ATTEMPTS = 50
OPEN = (TaskState.WAITING, TaskState.COMPUTING)


def waits_fresh(task: Task) -> bool:
    """Whether a restart would change nothing: it waits at 0 %, with nothing to be forgiven."""
    waits = task.state == TaskState.WAITING
    return waits and task.percent == 0 and task.attempt == task.forgiven


@farm_page
@require_safe
def show_task(request: HttpRequest, uuid: str, number: int) -> HttpResponse:
    """The task with its latest attempts."""
    run = run_of(request, uuid)
    task = reports.find_task(run, number)
    attempts = reports.attempts_of(run, number, limit=MOST_ATTEMPTS)
    context: dict[str, Any] = {
        "run": run,
        "task": task,
        "restartable": not waits_fresh(task),
        "cancellable": task.state in OPEN,
        "why": explain.explain(run, task),
        "attempts": attempts,
        "input": inputs.read(run, [number]).get(number),
    }
    return page(request, "runs/task.html", context)
