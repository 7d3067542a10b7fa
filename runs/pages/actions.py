"""What a person can do to a run: asked on a page that tells the size of it, then done by a POST."""

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from runs import lifecycle, reports, restarts
from runs.models import Run
from runs.pages.page import farm_page, page, run_of
from runs.states import TaskState
from runs.tallies import Counts
from runs.wording import tasks

ENDED_OR_HELD = (TaskState.COMPUTING, TaskState.FAILED, TaskState.CANCELLED, TaskState.DONE)


@dataclass(frozen=True)
class Action:
    """One thing to do to a run.

    Attributes:
        name: its word in addresses.
        title: what its button says.
        question: what its page asks.
        answer: what the button of that page says, before the number of tasks.
        fate: what becomes of the tasks.
        icon: its picture.
        meaning: what will happen.
        states: the states whose tasks it touches.
        perform: does it for a person of this name; answers how many tasks it touched.
        done: what is said afterwards, with ``{tasks}``.
        danger: it cannot be taken back.
        always: it is offered even when it touches no task.
    """

    name: str
    title: str
    question: str
    answer: str
    fate: str
    icon: str
    meaning: str
    states: tuple[TaskState, ...]
    perform: Callable[[Run, str], int]
    done: str
    danger: bool = False
    always: bool = False

    def touched(self, counts: Counts) -> int:
        """How many tasks it touches as things stand."""
        return sum(counts.of(state) for state in self.states)

    def fits(self, counts: Counts) -> bool:
        """Whether there is anything to do."""
        return self.always or self.touched(counts) > 0

    def parts(self, counts: Counts) -> list[tuple[str, int]]:
        """The touched tasks by state."""
        return [(state.label, counts.of(state)) for state in self.states if counts.of(state)]


RESTART = Action(
    name="restart",
    title="Restart unfinished",
    question="Restart unfinished tasks?",
    answer="Restart",
    fate="will be restarted",
    icon="restart",
    meaning="These tasks wait again and keep their percentage, so that a worker can resume them. "
    "Tasks that are done stay done. A worker that still computes one of them is too late.",
    states=restarts.UNFINISHED,
    perform=lambda run, by: restarts.restart(run=run, by=by),
    done="Restarted {tasks}.",
)
RESTART_ALL = Action(
    name="restart-all",
    title="Restart all",
    question="Restart all tasks?",
    answer="Restart",
    fate="will be restarted from 0",
    icon="restart",
    meaning="Every task starts from 0 again, those that are done included. "
    "Their attempts stay on record. Waiting tasks that were begun before lose that start, too.",
    states=ENDED_OR_HELD,
    perform=lambda run, by: restarts.restart(run=run, everything=True, by=by),
    done="Restarted {tasks} from the start.",
    danger=True,
)
DELETE = Action(
    name="delete",
    title="Delete",
    question="Delete this run?",
    answer="Delete run and",
    fate="will be deleted",
    icon="trash",
    meaning="The run goes with all its tasks and attempts, for good. "
    "Workers that still compute for it are told that it is gone.",
    states=tuple(TaskState),
    perform=lambda run, by: lifecycle.delete_run(run=run),
    done="Deleted {run} with {tasks}.",
    danger=True,
    always=True,
)
ACTIONS = (RESTART, RESTART_ALL, DELETE)


@farm_page
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, uuid: str, action: Action) -> HttpResponseBase:
    """Ask before an action; do it when the answer is posted."""
    run = run_of(request, uuid)
    if request.method != "POST":
        counts = reports.progress(run).counts
        context = {
            "run": run,
            "action": action,
            "touched": tasks(action.touched(counts)),
            "parts": action.parts(counts),
        }
        return page(request, "runs/confirm.html", context)
    touched = action.perform(run, request.user.get_username())
    messages.success(request, action.done.format(tasks=tasks(touched), run=run.title))
    return redirect("run-list") if action is DELETE else redirect("run", uuid=run.uuid.hex)
