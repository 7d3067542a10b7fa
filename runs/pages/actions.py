"""What a person can do to a run: asked on a page that tells the size of it, then done by a POST."""

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from runs import cancels, counting, lifecycle, reports, restarts, steering, uploads
from runs.counting import Touched
from runs.errors import InvalidInput, StateConflict
from runs.models import Run
from runs.pages import history, selecting
from runs.pages.page import farm_page, page, run_of
from runs.pages.shown import ShownRun
from runs.selection import Selection
from runs.states import RunState, TaskState
from runs.wording import tasks

ENDED_OR_HELD = (TaskState.COMPUTING, TaskState.FAILED, TaskState.CANCELLED, TaskState.DONE)
OPEN = (TaskState.WAITING, TaskState.COMPUTING)
BACK = ("run", "run-tasks", "run-failures", "run-map", "run-workers")
"""The pages that an action may lead back to, by ``back`` in its address."""


@dataclass(frozen=True)
class Order:
    """What somebody has answered: for which run, for which of its tasks, why."""

    run: Run
    selection: Selection
    by: str
    why: str = ""


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
        perform: does it; answers how many tasks it touched, None where it does not count them.
        done: what is said afterwards, with ``{tasks}``.
        danger: it cannot be taken back.
        always: it is offered even when it touches no task.
        run_states: the states of a run from which it exists.
        selective: it can be done to some of the tasks.
    """

    name: str
    title: str
    question: str
    answer: str
    fate: str
    icon: str
    meaning: str
    states: tuple[TaskState, ...]
    perform: Callable[[Order], int | None]
    done: str
    danger: bool = False
    always: bool = False
    run_states: tuple[RunState, ...] = tuple(RunState)
    selective: bool = False

    def touched(self, shown: ShownRun, selection: Selection) -> dict[TaskState, Touched]:
        """How many tasks of each state it touches as things stand."""
        selection = selection if self.selective else Selection()
        return counting.count(shown.run, shown.counts, selection, self.states)

    def fits(self, shown: ShownRun) -> bool:
        """Whether there is anything to do."""
        some = self.always or any(shown.counts.of(state) > 0 for state in self.states)
        return some and shown.run.state in self.run_states


def restart(order: Order) -> int:
    """Restart the selected tasks; those that were done start from 0."""
    again = TaskState.DONE in order.selection.states
    return restarts.restart(
        run=order.run, selection=order.selection, everything=again, by=order.by, why=order.why
    )


def restart_all(order: Order) -> int:
    """Restart everything from 0."""
    return restarts.restart(run=order.run, everything=True, by=order.by, why=order.why)


def pause(order: Order) -> int | None:
    """Pause the run."""
    steering.pause(run=order.run, who=order.by, why=order.why)
    return None


def resume(order: Order) -> int | None:
    """Resume the run."""
    steering.resume(run=order.run, who=order.by, why=order.why)
    return None


def cancel(order: Order) -> int:
    """Cancel the run, or some of its tasks."""
    if order.selection == Selection():
        return steering.cancel(run=order.run, who=order.by, why=order.why)
    return cancels.cancel_selected(
        run=order.run, selection=order.selection, by=order.by, why=order.why
    )


def delete(order: Order) -> int:
    """Delete the run."""
    return lifecycle.delete_run(run=order.run)


PAUSE = Action(
    name="pause",
    title="Pause",
    question="Pause this run?",
    answer="Pause and hold back",
    fate="will be held back",
    icon="paused",
    meaning="Nothing more is handed out until somebody resumes the run. "
    "What computes now goes on, and its reports count.",
    states=(TaskState.WAITING,),
    perform=pause,
    done="Paused {run}: {tasks} held back until it is resumed.",
    run_states=(RunState.ACTIVE,),
)
RESUME = Action(
    name="resume",
    title="Resume",
    question="Resume this run?",
    answer="Resume and hand out",
    fate="will be handed out again",
    icon="active",
    meaning="Workers get tasks again. A gate that the canaries had closed is opened.",
    states=(TaskState.WAITING,),
    perform=resume,
    done="Resumed {run}: {tasks} can be handed out.",
    always=True,
    run_states=(RunState.PAUSED,),
)
RESTART = Action(
    name="restart",
    title="Restart unfinished",
    question="Restart unfinished tasks?",
    answer="Restart",
    fate="will be restarted",
    icon="restart",
    meaning="These tasks wait again and keep their percentage, so that a worker can resume them. "
    "One that is done starts from 0. If a worker still computes one, its report will be refused.",
    states=restarts.UNFINISHED,
    perform=restart,
    done="Restarted {tasks}.",
    selective=True,
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
    perform=restart_all,
    done="Restarted {tasks} from the start.",
    danger=True,
)
CANCEL = Action(
    name="cancel",
    title="Cancel",
    question="Cancel what is left?",
    answer="Cancel",
    fate="will be cancelled",
    icon="cancelled",
    meaning="What waits is never handed out; what computes is called off, and its worker is told. "
    "Tasks that have ended stay what they are. A restart takes cancelled tasks up again.",
    states=OPEN,
    perform=cancel,
    done="Cancelled {tasks}.",
    danger=True,
    run_states=(RunState.ACTIVE, RunState.PAUSED),
    selective=True,
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
    perform=delete,
    done="Deleted {run} with {tasks}.",
    danger=True,
    always=True,
)
NOTHING_TOUCHED = "Nothing was changed: no task of this selection is as it was when you were asked."
ACTIONS = (PAUSE, RESUME, RESTART, RESTART_ALL, CANCEL, DELETE)


@farm_page
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, uuid: str, action: Action) -> HttpResponseBase:
    """Ask before an action; do it when the answer is posted."""
    run = run_of(request, uuid)
    try:
        selection = selecting.from_query(request.GET) if action.selective else Selection()
        selection.check_numbers(run.num_tasks)
    except InvalidInput as refusal:
        messages.error(request, f"{refusal.detail} Nothing was changed.")
        return redirect("run", uuid=run.uuid.hex)
    if request.method != "POST":
        return ask(request, run, action, selection)
    return answer(request, run, action, selection)


def ask(request: HttpRequest, run: Run, action: Action, selection: Selection) -> HttpResponseBase:
    """The page that tells what would happen, and to how many tasks."""
    parts = action.touched(ShownRun(run, reports.progress(run)), selection)
    question = f"{action.answer} these tasks?" if selection != Selection() else action.question
    context = {
        "run": run,
        "action": action,
        "question": question,
        "selection": selecting.words(selection, run),
        "touched": number_of(counting.total(parts)),
        "parts": [(state.label, one) for state, one in parts.items() if one.count],
        "undoable": action in (RESTART, RESTART_ALL) and undoable(parts),
        "incomplete": action is RESUME and uploads.is_incomplete(run),
        "back": back(request),
    }
    return page(request, "runs/confirm.html", context)


def undoable(parts: dict[TaskState, Touched]) -> bool:
    """Whether a restart of these can be taken back: one of a single task cannot."""
    some = any(parts[state].count for state in restarts.UNDOABLE if state in parts)
    return some and counting.total(parts).count > 1


def answer(
    request: HttpRequest, run: Run, action: Action, selection: Selection
) -> HttpResponseBase:
    """Do it, say what was done, and go back to where the wish came from."""
    why = request.POST.get("why", "").replace("\x00", "").strip()[:1000]
    order = Order(run, selection, request.user.get_username(), why)
    try:
        touched = action.perform(order)
    except StateConflict as refusal:
        messages.error(request, refusal.detail)
        return redirect("run", uuid=run.uuid.hex)
    if touched is None:
        counts = reports.progress(run).counts
        touched = sum(counts.of(state) for state in action.states)
    if action.selective and not touched:
        messages.warning(request, NOTHING_TOUCHED)
    else:
        told = action.done.format(tasks=tasks(touched), run=run.title)
        messages.success(request, told, extra_tags=way_back(run, action, order.by))
    return redirect("run-list") if action is DELETE else redirect(back(request), uuid=run.uuid.hex)


def way_back(run: Run, action: Action, by: str) -> str:
    """Where what this person has just done can be undone; empty where it cannot."""
    last = history.told(run, limit=1) if action in (RESTART, RESTART_ALL) else []
    mine = last and last[0].undo_until and last[0].who == by
    return reverse("run-undo", args=[run.uuid.hex, last[0].id]) if mine else ""


def back(request: HttpRequest) -> str:
    """The name of the page that the wish came from."""
    name = request.GET.get("back", "run")
    return name if name in BACK else "run"


def number_of(found: Touched) -> str:
    """``1 task``, ``12,000 tasks``, ``at least 50,000 tasks``."""
    return tasks(found.count) if found.exact else f"at least {tasks(found.count)}"
