"""The list of the user's runs."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from runs.filters import RunFilter
from runs.models import Run, RunQuerySet
from runs.pages.page import farm_page, number, page
from runs.pages.shown import show_runs
from runs.reports import RUN_STATES

PER_PAGE = 25
BEYOND = 2**31 - 1
FILTERS = ("search", "name", "namespace", "owner", "state", "created_after", "created_before")


@dataclass(frozen=True)
class RunPage:
    """Some runs, newest first, with the cursors that lead on; None where there is no more."""

    runs: list[Run]
    older: int | None
    newer: int | None


def runs_page(runs: RunQuerySet, *, before: int | None, after: int | None) -> RunPage:
    """The page of runs older than ``before``, or newer than ``after``, or the newest."""
    if after is not None:
        rows = list(runs.filter(id__gt=after).order_by("id")[: PER_PAGE + 1])
        more, rows = len(rows) > PER_PAGE, rows[:PER_PAGE][::-1]
        return RunPage(rows, rows[-1].id if rows else None, rows[0].id if more else None)
    rows = list(runs.filter(id__lt=before or BEYOND).order_by("-id")[: PER_PAGE + 1])
    more, rows = len(rows) > PER_PAGE, rows[:PER_PAGE]
    newer = rows[0].id if rows and before else None
    return RunPage(rows, rows[-1].id if more else None, newer)


def cursor(request: HttpRequest, name: str) -> int | None:
    """A cursor from the address; None where there is none that makes sense."""
    return number(request.GET.get(name), -1) if number(request.GET.get(name), -1) >= 0 else None


@farm_page
@require_safe
def list_runs(request: HttpRequest) -> HttpResponse:
    """The user's runs, newest first, narrowed by the filters of the address."""
    visible = Run.objects.visible_to(request.user).select_related("owner", "group")
    narrowed = RunFilter(request.GET, queryset=visible)
    found = RunPage([], None, None)
    if narrowed.is_valid():
        before, after = cursor(request, "before"), cursor(request, "after")
        found = runs_page(narrowed.qs, before=before, after=after)
    return page(request, "runs/list.html", list_context(request, narrowed, found))


def list_context(request: HttpRequest, narrowed: RunFilter, found: RunPage) -> dict[str, Any]:
    """What the template of the list shows."""
    filtered = any(request.GET.get(name) for name in FILTERS)
    return {
        "shown": show_runs(found.runs),
        "older": found.older,
        "newer": found.newer,
        "filter": narrowed,
        "filtered": filtered,
        "state": request.GET.get("state", ""),
        "states": RUN_STATES,
        "namespaces": sorted({run.namespace for run in found.runs if run.namespace}),
        "first_visit": not (found.runs or filtered or found.newer or request.GET),
    }
