"""The timeline of a run: workers as rows, attempts as bars; and a download for Perfetto."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_safe

from runs import timeline
from runs.pages.frame import framed
from runs.pages.page import farm_page, number, page, run_of
from runs.timeline import Bar, Row

TASKS = 400
"""Tasks of one picture."""
WIDTH = 1000.0
THIN = 1.5
TICKS = 5


@dataclass(frozen=True)
class ShownBar:
    """A bar with its place in the picture, which is 1000 wide."""

    bar: Bar
    x: float
    width: float


@dataclass(frozen=True)
class ShownRow:
    """A worker's row of the picture."""

    row: Row
    bars: list[ShownBar]


@dataclass(frozen=True)
class Picture:
    """All rows over one stretch of time, with the moments of its ticks."""

    rows: list[ShownRow]
    ticks: list[tuple[float, datetime]]
    start: datetime
    end: datetime


def picture(rows: list[Row]) -> Picture | None:
    """Lay the rows out; None where there is nothing to show."""
    bars = [bar for row in rows for bar in row.bars]
    if not bars:
        return None
    start, end = min(bar.start for bar in bars), max(bar.end for bar in bars)
    length = max((end - start).total_seconds(), 0.001)

    def place(moment: datetime) -> float:
        return round(WIDTH * (moment - start).total_seconds() / length, 2)

    shown = [
        ShownRow(row, [
            ShownBar(bar, place(bar.start), max(place(bar.end) - place(bar.start), THIN))
            for bar in row.bars
        ])
        for row in rows
    ]  # fmt: skip
    ticks = [
        (100 * tick / TICKS, start + timedelta(seconds=length * tick / TICKS))
        for tick in range(TICKS)
    ]
    return Picture(shown, ticks, start, end)


def window(request: HttpRequest, tried: int) -> tuple[int, int]:
    """The numbers that the address asks for; else the last ones that were handed out."""
    first = number(request.GET.get("first"), max(tried - TASKS, 0))
    return first, first + TASKS - 1


@farm_page
@require_safe
def show_timeline(request: HttpRequest, uuid: str) -> HttpResponse:
    """A stretch of the run's time."""
    run = run_of(request, uuid)
    context = framed(run, "timeline")
    tried = run.num_tasks - context["shown"].counts.waiting
    first, last = window(request, tried)
    context |= {
        "first": first,
        "last": min(last, max(run.num_tasks - 1, 0)),
        "picture": picture(timeline.rows(run, first, last) if run.started else []),
        "earlier": max(first - TASKS, 0) if first else None,
        "later": last + 1 if last + 1 < run.num_tasks else None,
    }
    return page(request, "runs/timeline.html", context)


@farm_page
@require_safe
def download_trace(request: HttpRequest, uuid: str) -> StreamingHttpResponse:
    """The attempts as a trace; of the whole run, or of the tasks ``first`` to ``last``."""
    run = run_of(request, uuid)
    first = number(request.GET.get("first"), 0)
    last = number(request.GET.get("last"), run.num_tasks)
    response = StreamingHttpResponse(
        timeline.trace(run, first, last), content_type="application/json"
    )
    name = f"run-{run.uuid.hex[:8]}-trace.json"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
