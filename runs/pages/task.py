"""The page of one task: where it stands and why, its input, what was tried; set it back."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from runs import explain, inputs, lifecycle, reports
from runs.pages.page import farm_page, page, run_of
from runs.states import TaskState

MOST_ATTEMPTS = 50
OPEN = (TaskState.WAITING, TaskState.COMPUTING)


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
        "waits_fresh": task.state == TaskState.WAITING,
        "cancellable": task.state in OPEN,
        "why": explain.explain(run, task),
        "attempts": attempts,
        "input": inputs.read(run, [number]).get(number),
    }
    return page(request, "runs/task.html", context)


@farm_page
@require_http_methods(["GET", "HEAD", "POST"])
def requeue_task(request: HttpRequest, uuid: str, number: int) -> HttpResponseBase:
    """Ask whether the task shall wait again; see to it when the answer is posted."""
    run = run_of(request, uuid)
    task = reports.find_task(run, number)
    if request.method != "POST":
        return page(request, "runs/confirm_task.html", {"run": run, "task": task})
    lifecycle.requeue_one(run=run, number=number, by=request.user.get_username())
    messages.success(request, f"Task {number} waits for a worker again.")
    return redirect("task", uuid=run.uuid.hex, number=number)
