"""In a real Chromium: the chart of a run has a time at each tick, whatever it spans."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from runs.models import Run, Throughput
from tests import factories

pytestmark = [pytest.mark.browser, pytest.mark.once]

LABELS = "[...document.getElementById('plot').plot.axes[0]._values].filter(Boolean)"
# The page's policy lets nobody wait for an expression: two frames on, what was to be drawn is.
DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
# Of the first bar and of its stretch: the widths in pixels.
WIDTHS = """() => {
  const plot = document.getElementById("plot").plot;
  const times = plot.data[0].filter((_, place) => plot.data[1][place] !== null);
  const from = plot.valToPos(times[0], "x", true);
  const last = plot.scales.x.max;
  const stretch = plot.valToPos(times[1] ?? last, "x", true) - from;
  const ink = plot.ctx.getImageData(from, plot.bbox.top + plot.bbox.height - 4,
                                    plot.bbox.width, 1).data;
  let bar = 0;
  let gap = 0;
  while (ink[4 * gap + 3] <= 200 && gap < 3) gap += 1;
  while (ink[4 * (gap + bar) + 3] > 200) bar += 1;
  return [bar, stretch];
}"""
TIMES = """[...document.getElementById("chart-rows").rows].map((row) => row.cells[0].textContent)"""


def run_of_minutes(minutes: int) -> Run:
    """A finished run in each of whose minutes something ended."""
    alice = User.objects.get(username="alice")
    run = factories.run(alice, 4, name="tiles")
    factories.advance(run, factories.worker(alice), done=3, failed=1)
    last = timezone.now().replace(second=0, microsecond=0)
    Throughput.objects.filter(run=run).delete()
    Throughput.objects.bulk_create(
        Throughput(run=run, minute=last - timedelta(minutes=ago), slot=1, done=3, failed=1)
        for ago in range(minutes)
    )
    return run


def opened(tab: Any, run: Run) -> Any:
    """The run's page with its chart drawn."""
    tab.open(f"/runs/{run.uuid.hex}/")
    tab.page.locator("#plot canvas").wait_for()
    tab.page.evaluate(DRAWN)
    return tab.page


@pytest.mark.parametrize("wide", [1280, 390])
def test_every_tick_has_a_time_of_its_own(tab, wide):
    tab.page.set_viewport_size({"width": wide, "height": 800})
    for minutes in (1, 2, 3, 25, 300):
        labels = opened(tab, run_of_minutes(minutes)).evaluate(LABELS)
        assert len(set(labels)) == len(labels), labels
        assert 2 <= len(labels) <= max(minutes, 5) + 1, labels


def test_a_bar_is_as_wide_as_its_minute(tab):
    for minutes in (1, 2, 25):
        bar, stretch = opened(tab, run_of_minutes(minutes)).evaluate(WIDTHS)
        assert 0.7 * stretch < bar < stretch


def test_the_axis_is_in_the_zone_of_the_words_wherever_the_browser_is(open_tab):
    tab = open_tab(timezone_id="Asia/Kathmandu")
    tab.log_in()
    page = opened(tab, run_of_minutes(25))
    told = {moment[11:16] for moment in page.evaluate(TIMES)}
    # The last tick may stand where the last minute ends.
    after = (60 * int(one[:2]) + int(one[3:]) + 1 for one in told)
    ends = {f"{minute // 60 % 24:02}:{minute % 60:02}" for minute in after}
    assert {label for label in page.evaluate(LABELS) if ":" in label} <= told | ends
    page.locator("#plot .u-over").hover()
    words = page.locator(".plot-words")
    words.wait_for()
    assert words.inner_text().split(", ")[1][:5] in told
    assert "UTC" in words.inner_text()


@pytest.mark.parametrize("minutes", [1, 3])
def test_the_axis_of_a_young_run_ends_with_this_minute(tab, minutes):
    page = opened(tab, run_of_minutes(minutes))
    end = page.evaluate("document.getElementById('plot').plot.scales.x.max")
    assert end <= timezone.now().timestamp() + 60
    shown = page.evaluate("document.getElementById('plot').plot.data[1]")
    assert len(shown) == 5
    assert shown[-1] is not None
