"""Compare a run with another one of the same tasks."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from runs import compare, reports, samples
from runs.errors import RunNotFound
from runs.models import Run
from runs.pages.frame import framed
from runs.pages.page import farm_page, page, run_of
from runs.pages.shown import ShownRun, show_runs

OFFERED, LOOKED_AT = 20, 200
"""Other runs to choose from, of so many of the same namespace."""
SIZE = 800


@farm_page
@require_safe
def show_comparison(request: HttpRequest, uuid: str) -> HttpResponse:
    """The run beside the one that the address names, or a choice of runs."""
    run = run_of(request, uuid)
    context = framed(run, "compare")
    wanted = request.GET.get("with", "").strip()
    if wanted:
        try:
            other = reports.find_run(request.user, wanted)
        except RunNotFound as refusal:
            context["refusal"] = refusal.detail
        else:
            here, there = context["shown"], show_runs([other])[0]
            # Time goes from the earlier run to the later one, whichever page it is asked on.
            context |= {"other": there} | comparison(
                *sorted((here, there), key=lambda one: one.run.pk)
            )
    if "other" not in context:
        context["choices"] = choices(request, run)
    return page(request, "runs/compare.html", context)


def choices(request: HttpRequest, run: Run) -> list[Run]:
    """Other runs of the same namespace that the user may see, as many tasks first, then newest."""
    near = Run.objects.visible_to(request.user).filter(namespace=run.namespace).exclude(pk=run.pk)
    found = near.select_related("owner").distinct().order_by("-id")[:LOOKED_AT]
    return sorted(found, key=lambda one: one.num_tasks != run.num_tasks)[:OFFERED]


def comparison(old: ShownRun, new: ShownRun) -> dict[str, Any]:
    """What has changed from the old run to the new one."""
    # The same numbers are drawn from both: those that both have tried.
    tried = min(tried_of(new), tried_of(old))
    both = samples.even(tried, SIZE, samples.NEIGHBOURS)
    return {
        "old": old,
        "new": new,
        "failing": compare.failed_in(new.run, old.run, new.counts.failed),
        "fixed": compare.failed_in(old.run, new.run, old.counts.failed),
        "shifts": compare.durations(
            samples.read(old.run, both, SIZE), samples.read(new.run, both, SIZE)
        ),
    }


def tried_of(shown: ShownRun) -> int:
    """How many tasks have been handed out."""
    return max(shown.run.num_tasks - shown.counts.waiting, 0)
