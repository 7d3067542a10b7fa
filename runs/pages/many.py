"""Actions on several runs at once: asked with the number of tasks of each, then done to each."""

from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from runs import uploads
from runs.errors import Conflict, InvalidInput, NotFound
from runs.models import Run
from runs.pages.actions import CANCEL, DELETE, PAUSE, RESTART, RESUME, Action, Order
from runs.pages.page import farm_page, page
from runs.pages.shown import ShownRun, show_runs
from runs.selection import Selection
from runs.states import TaskState
from runs.wording import tasks

MOST = 50
"""Runs of one action."""
ALL = Selection()
FAILED = Selection(states=(TaskState.FAILED,))


@dataclass(frozen=True)
class Plan:
    """An action on many runs: which, to which of their tasks."""

    action: Action
    title: str
    selection: Selection = ALL

    def fits(self, shown: ShownRun, count: int) -> bool:
        """Whether there is anything to do to a run, of which it touches so many tasks."""
        return self.action.fits(shown) and (count > 0 or self.action.always)

    def touched(self, shown: ShownRun) -> int:
        """How many tasks of a run it touches; 0 where the action does not exist for it."""
        if not self.action.fits(shown):
            return 0
        return sum(one.count for one in self.action.touched(shown, self.selection).values())


PLANS = {
    "pause": Plan(PAUSE, "Pause"),
    "resume": Plan(RESUME, "Resume"),
    "restart-failed": Plan(RESTART, "Restart failed", FAILED),
    "restart": Plan(RESTART, "Restart unfinished"),
    "cancel": Plan(CANCEL, "Cancel"),
    "delete": Plan(DELETE, "Delete"),
}


def chosen(request: HttpRequest) -> list[Run]:
    """The runs of the address that the user may see; others are passed over in silence.

    Raises:
        InvalidInput: there are none, or more than one action takes.
    """
    uuids = set()
    for text in request.GET.getlist("run"):
        with suppress(ValueError):
            uuids.add(UUID(hex=text))
    if len(uuids) > MOST:
        raise InvalidInput(
            f"{len(uuids)} runs were chosen, and {MOST} at most can be changed together, so "
            "nothing was changed. Choose fewer."
        )
    visible = Run.objects.visible_to(request.user).filter(uuid__in=uuids)
    runs = list(visible.select_related("owner", "group").distinct().order_by("-id"))
    if not runs:
        raise InvalidInput("Choose a run first: none was chosen, so nothing was changed.")
    return runs


@farm_page
@require_http_methods(["GET", "HEAD", "POST"])
def act_on_many(request: HttpRequest, name: str) -> HttpResponseBase:
    """Ask before an action on the chosen runs; do it when the answer is posted."""
    plan = PLANS.get(name)
    if plan is None:
        raise Http404(f"There is no action {name[:40]!r}.")
    try:
        runs = chosen(request)
    except InvalidInput as refusal:
        messages.error(request, refusal.detail)
        return redirect("run-list")
    rows = [(shown, plan.touched(shown)) for shown in show_runs(runs)]
    if request.method != "POST":
        fitting = [(shown, count) for shown, count in rows if plan.fits(shown, count)]
        total = tasks(sum(count for _, count in rows))
        context = {"plan": plan, "rows": rows, "runs": len(fitting), "touched": total}
        if plan.action is RESUME:
            context["incomplete"] = uploads.incomplete(shown.run for shown, _ in fitting)
        return page(request, "runs/confirm_many.html", context)
    why = request.POST.get("why", "").replace("\x00", "").strip()[:1000]
    by = request.user.get_username()
    done = [perform(plan, shown, count, by, why) for shown, count in rows]
    some = [count for count in done if count is not None]
    runs_word = "1 run" if len(some) == 1 else f"{len(some)} runs"
    messages.success(request, f"{plan.title}: {runs_word}, {tasks(sum(some))}.")
    return redirect("run-list")


def perform(plan: Plan, shown: ShownRun, count: int, by: str, why: str) -> int | None:
    """Do it to one run; answers how many tasks it touched, None where there was nothing to do."""
    if not plan.fits(shown, count):
        return None
    try:
        touched = plan.action.perform(Order(shown.run, plan.selection, by, why))
    except (Conflict, NotFound):  # somebody was faster
        return None
    return count if touched is None else touched
