"""The list of the user's runs: what needs attention first, then all, newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from runs import attention, estimates, rates, workers
from runs.attention import Need
from runs.filters import RunFilter
from runs.models import Run, RunEvent, RunQuerySet
from runs.pages.page import farm_page, number, page
from runs.pages.shown import ShownRun, show_runs
from runs.reports import RUN_STATES

PER_PAGE = 25
LOOKED_AT = 100
"""Newest runs among which those that need attention are looked for."""
MOST_NEEDS = 5
BEYOND = 2**31 - 1
ROUGHLY = 0.25
"""How far off the rate of a list's run may be: its tasks are not sampled."""
FILTERS = ("search", "name", "namespace", "owner", "state", "created_after", "created_before")


@dataclass(frozen=True)
class RunPage:
    """Some runs, newest first, with the cursors that lead on; None where there is no more.

    ``beyond``: the runs after them that are looked at for what needs attention.
    """

    runs: list[Run]
    older: int | None
    newer: int | None
    beyond: tuple[Run, ...] = ()


def runs_page(
    runs: RunQuerySet, *, before: int | None, after: int | None, further: int = 0
) -> RunPage:
    """The page of runs older than ``before``, or newer than ``after``, or the newest."""
    if after is not None:
        rows = list(runs.filter(id__gt=after).order_by("id")[: PER_PAGE + 1])
        more, rows = len(rows) > PER_PAGE, rows[:PER_PAGE][::-1]
        return RunPage(rows, rows[-1].id if rows else None, rows[0].id if more else None)
    most = PER_PAGE + 1 + further
    rows = list(runs.filter(id__lt=before or BEYOND).order_by("-id")[:most])
    more, beyond, rows = len(rows) > PER_PAGE, tuple(rows[PER_PAGE:]), rows[:PER_PAGE]
    newer = rows[0].id if rows and before else None
    return RunPage(rows, rows[-1].id if more else None, newer, beyond if further else ())


def cursor(request: HttpRequest, name: str) -> int | None:
    """A cursor from the address; None where there is none that makes sense."""
    return number(request.GET.get(name), -1) if number(request.GET.get(name), -1) >= 0 else None


@dataclass(frozen=True)
class Row:
    """A run of the list, with how fast it goes and who works on it."""

    shown: ShownRun
    per_minute: float | None
    left: estimates.Estimate | None
    crew: int | None


def show_rows(shown: list[ShownRun], crews: dict[int, int]) -> list[Row]:
    """The runs with rates, in one query for all that compute, and their live workers."""
    speeds = rates.lately([one.run for one in shown if one.counts.computing > 0])
    return [row(one, speeds.get(one.run.id), crews.get(one.run.id)) for one in shown]


def row(shown: ShownRun, per_minute: float | None, crew: int | None) -> Row:
    """One run of the list."""
    left = (shown.counts.waiting + shown.counts.computing) if crew else 0
    estimate = estimates.around(60 * left / per_minute, ROUGHLY) if per_minute and left else None
    return Row(shown, per_minute, estimate, crew)


@dataclass(frozen=True)
class Attention:
    """A run and why it needs attention."""

    shown: ShownRun
    need: Need


def needs(shown: list[ShownRun], crews: dict[int, int]) -> list[Attention]:
    """The runs that need attention, the most urgent first."""
    now = timezone.now()
    stops = attention.stopped(one.run for one in shown)
    found = [Attention(one, need) for one in shown if (need := need_of(one, now, stops, crews))]
    return sorted(found, key=lambda one: one.need.rank)


def need_of(
    one: ShownRun, now: datetime, stops: dict[int, RunEvent], crews: dict[int, int]
) -> Need | None:
    """Why one run needs attention, if it does."""
    run = one.run
    return attention.need_of(run, one.progress, now, stop=stops.get(run.id), crew=crews.get(run.id))


@farm_page
@require_safe
def list_runs(request: HttpRequest) -> HttpResponse:
    """The user's runs, newest first, narrowed by the filters of the address."""
    visible = Run.objects.visible_to(request.user).select_related("owner", "group")
    narrowed = RunFilter(request.GET, queryset=visible)
    found = RunPage([], None, None)
    if narrowed.is_valid():
        before, after = cursor(request, "before"), cursor(request, "after")
        further = 0 if request.GET else LOOKED_AT - PER_PAGE
        found = runs_page(narrowed.qs, before=before, after=after, further=further)
    return page(request, "runs/list.html", list_context(request, narrowed, found))


def list_context(request: HttpRequest, narrowed: RunFilter, found: RunPage) -> dict[str, Any]:
    """What the template of the list shows."""
    filtered = any(request.GET.get(name) for name in FILTERS)
    shown = show_runs([*found.runs, *found.beyond])
    crews = workers.crews([one.run.id for one in shown if one.counts.computing > 0])
    urgent = [] if request.GET else needs(shown, crews)
    return {
        "rows": show_rows(shown[: len(found.runs)], crews),
        "needs": urgent[:MOST_NEEDS],
        "more_needs": urgent[MOST_NEEDS:],
        "older": found.older,
        "newer": found.newer,
        "filter": narrowed,
        "filtered": filtered,
        "state": request.GET.get("state", ""),
        "states": RUN_STATES,
        "namespaces": sorted({run.namespace for run in found.runs if run.namespace}),
        "first_visit": not (found.runs or filtered or found.newer or request.GET),
    }
