"""The timeline of a run: workers as rows, attempts as bars; and a download for Perfetto."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from runs import timeline
from runs.pages.frame import framed
from runs.pages.page import farm_page, number, page, run_of
from runs.timeline import Bar, Row

TASKS = 400
"""Tasks of one picture."""
WIDTH = 1000.0
THIN = 1.5
MANY = 16
"""Lanes of a row above which they are drawn thinner."""
TICKS = {"wide": 10, "middle": 4, "slim": 2}
"""Steps between ticks, at most, on a large screen, a smaller one, a phone; the styles choose."""
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
DAY = 86_400


@dataclass(frozen=True)
class ShownBar:
    """A bar with its place in the picture, which is 1000 wide, and 10 high for each lane."""

    bar: Bar
    x: float
    width: float
    y: int


@dataclass(frozen=True)
class ShownRow:
    """A worker's row of the picture, with a lane for each attempt that it makes at a time."""

    row: Row
    bars: list[ShownBar]
    lanes: int

    @property
    def height(self) -> int:
        """In pixels."""
        return max(16, self.lanes * (7 if self.lanes <= MANY else 4))


@dataclass(frozen=True)
class Tick:
    """A moment below the picture: where, in per cent of its width, and in words."""

    place: float
    words: str


@dataclass(frozen=True)
class Picture:
    """All rows over one stretch of time, with the ticks for each kind of screen."""

    rows: list[ShownRow]
    ticks: dict[str, list[Tick]]
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

    def lay(row: Row) -> ShownRow:
        ends: list[datetime] = []
        laid = []
        for bar in sorted(row.bars, key=lambda bar: bar.start):
            width = max(place(bar.end) - place(bar.start), THIN)
            lane = timeline.take_lane(ends, bar.start, bar.end)
            laid.append(ShownBar(bar, place(bar.start), width, 10 * lane))
        return ShownRow(row, laid, len(ends))

    shown = [lay(row) for row in rows]
    ticks = {kind: ticks_of(start, length, most) for kind, most in TICKS.items()}
    return Picture(shown, ticks, start, end)


def ticks_of(start: datetime, length: float, most: int) -> list[Tick]:
    """Round times with round steps between them, at most so many; never none.

    Args:
        start: the left edge of the picture.
        length: seconds until its right edge.
        most: how many steps fit.
    """
    step = next((one for one in STEPS if length <= most * one), 0)
    step = step or math.ceil(length / most / DAY) * DAY
    local = timezone.localtime(start)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    since = (local - midnight).total_seconds()
    found = []
    for count in range(math.ceil(since / step), math.floor((since + length) / step) + 1):
        moment = midnight + timedelta(seconds=count * step)
        place = round(100 * (count * step - since) / length, 2)
        found.append(Tick(place, tick_words(moment, step)))
    return found or [Tick(0.0, tick_words(local, step))]


def tick_words(moment: datetime, step: int) -> str:
    """The time as exact as the step is short; the day where one begins."""
    if step < 60:
        return f"{moment:%H:%M:%S}"
    if step >= DAY or (moment.hour, moment.minute) == (0, 0):
        return f"{moment.day} {moment:%b}"
    return f"{moment:%H:%M}"


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
    part = f"-{first}-{last}" if "first" in request.GET else ""
    name = f"run-{run.uuid.hex[:8]}{part}-trace.json"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
