"""The timeline and its trace; two runs of the same tasks beside each other; the farm's health."""

import json
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise

import pytest
from django.utils import timezone

from runs import compare, sweep, timeline
from runs.models import Attempt, SweepLock
from runs.pages import timeline as page_of_timeline
from runs.samples import Sampled
from runs.states import Outcome
from tests import factories


def text_of(response):
    return " ".join(response.content.decode().split())


@pytest.fixture
def run(alice):
    run = factories.run(alice, 12, name="tiles")
    factories.advance(run, factories.worker(alice, hostname="n1"), done=4, failed=1)
    return factories.advance(run, factories.worker(alice, hostname="n2"), done=2, computing=2)


def bar(start, end):
    zero = timezone.now()
    return timeline.Bar(
        0, 1, zero + timedelta(seconds=start), zero + timedelta(seconds=end), "done"
    )


def test_a_worker_is_busy_while_any_of_its_attempts_is_open():
    row = timeline.Row("n1:1", [bar(0, 10), bar(5, 20), bar(30, 40)])
    assert row.seconds == pytest.approx(30, abs=0.01)
    assert row.busy == pytest.approx(75, abs=0.1)


def test_attempts_at_a_time_have_lanes_of_their_own():
    bars = [bar(0, 10), bar(0, 4), bar(4, 9), bar(10, 12), bar(9, 30), bar(12, 13)]
    (shown,) = page_of_timeline.picture([timeline.Row("n1:1", bars)]).rows
    lanes = [(round(one.x), one.y) for one in shown.bars]
    assert lanes == [(0, 0), (0, 10), (133, 10), (300, 10), (333, 0), (400, 0)]
    assert (shown.lanes, shown.height) == (2, 16)


def test_the_timeline_has_a_row_for_each_worker(alice, run, visit):
    page = text_of(visit(alice).get(f"/runs/{run.uuid.hex}/timeline"))
    assert "5 attempts of n1:1" in page
    assert "4 attempts of n2:1" in page
    assert page.count("computing</title>") == 2
    assert "failed</title>" in page
    part = text_of(visit(alice).get(f"/runs/{run.uuid.hex}/timeline?first=5"))
    assert "n1:1" not in part


START = datetime(2026, 3, 1, 19, 33, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "most", "words"),
    [
        (18, 4, ["19:33:30", "19:33:35", "19:33:40", "19:33:45"]),
        (18, 2, ["19:33:30", "19:33:40"]),
        (18 * 60, 4, ["19:35", "19:40", "19:45", "19:50"]),
        (8 * 3600, 4, ["20:00", "22:00", "2 Mar", "02:00"]),
        (80 * 86_400, 2, ["10 Apr", "20 May"]),
        (0.1, 4, ["19:33:28"]),
    ],
)
def test_the_ticks_of_a_timeline_are_round_and_even(seconds, most, words):
    ticks = page_of_timeline.ticks_of(START, seconds, most)
    assert [tick.words for tick in ticks] == words
    places = [tick.place for tick in ticks]
    steps = {round(right - left, 1) for left, right in pairwise(places)}
    assert len(steps) <= 1
    assert all(0 <= place <= 100 for place in places)


@pytest.mark.parametrize(("attempts", "dense"), [(60, False), (61, True)])
def test_bars_that_are_many_have_no_edges_that_would_cover_them(alice, visit, attempts, dense):
    run = factories.run(alice, attempts)
    factories.advance(run, factories.worker(alice), done=attempts)
    page = visit(alice).get(f"/runs/{run.uuid.hex}/timeline").content.decode()
    assert page.count("<rect") == attempts
    assert ('<svg class="dense"' in page) is dense


def test_a_run_that_nobody_began_has_no_timeline(alice, visit):
    run = factories.run(alice, 3)
    assert "No attempt" in text_of(visit(alice).get(f"/runs/{run.uuid.hex}/timeline"))


@pytest.mark.parametrize("page_size", [2, 2000])
def test_the_trace_has_every_attempt_once(alice, run, visit, monkeypatch, page_size):
    monkeypatch.setattr(timeline, "PAGE", page_size)
    response = visit(alice).get(f"/runs/{run.uuid.hex}/timeline/trace")
    assert "attachment" in response["Content-Disposition"]
    events = json.loads(b"".join(response.streaming_content))["traceEvents"]
    bars = [one for one in events if one["ph"] == "X"]
    assert [one["name"] for one in bars] == [f"task {number}" for number in range(7)]
    assert {one["args"]["name"] for one in events if one["ph"] == "M"} == {"n1:1", "n2:1"}
    assert all(one["dur"] >= 0 and one["ts"] > 0 for one in bars)
    for one, other in combinations(bars, 2):  # a reader draws one above the other
        if (one["pid"], one["tid"]) == (other["pid"], other["tid"]):
            first, second = sorted((one, other), key=lambda one: one["ts"])
            assert first["ts"] + first["dur"] <= second["ts"] + 50_000
    part = visit(alice).get(f"/runs/{run.uuid.hex}/timeline/trace?first=2&last=4")
    names = [one.headers["Content-Disposition"].partition("-trace.json")[0][-4:]
             for one in (response, part)]  # fmt: skip
    assert names == [run.uuid.hex[4:8], "-2-4"], "a part is saved beside the whole"
    assert b"".join(part.streaming_content).count(b'"ph": "X"') == 3


def test_two_runs_are_compared(alice, run, visit):
    other = factories.run(alice, 12, name="after")
    factories.advance(other, factories.worker(alice), done=2, failed=2)
    factories.advance(other, factories.worker(alice), done=6)
    now = timezone.now()
    Attempt.objects.update(started=now, ended=now + timedelta(seconds=10))
    Attempt.objects.filter(run=run, number__lt=2).update(ended=now + timedelta(seconds=60))
    client = visit(alice)
    # The later one is told beside the earlier one, on whichever page it is asked for.
    for here, there in ((run, other), (other, run)):
        page = text_of(client.get(f"/runs/{here.uuid.hex}/compare?with={there.uuid.hex}"))
        assert "From tiles to after" in page
        assert "Newly failing: 2" in page  # 2 and 3 are done in the earlier one
        assert "Newly fixed: 1" in page  # 4
        assert "Slower: 0" in page
        assert "Faster: 2" in page


def test_runs_of_as_many_tasks_are_offered_first(alice, run, visit):
    same = factories.run(alice, run.num_tasks, name="the same")
    more = factories.run(alice, run.num_tasks + 1, name="newer, of others")
    page = text_of(visit(alice).get(f"/runs/{run.uuid.hex}/compare"))
    assert page.index(same.uuid.hex) < page.index(more.uuid.hex)


def test_shifts_are_those_by_half_at_least():
    def sample(*seconds):
        return [Sampled(place, Outcome.DONE, one, "n1") for place, one in enumerate(seconds)]

    found = compare.durations(sample(10, 10, 10, 10, 0.01), sample(11, 30, 2, 10, 0.05))
    assert [one.number for one in found.slower] == [1]
    assert [one.number for one in found.faster] == [2]
    assert (found.compared, found.factor) == (5, pytest.approx(1.1))


def test_a_run_is_compared_only_with_those_that_one_may_see(alice, bob, run, visit):
    secret = factories.run(bob, 3, name="secret")
    near = factories.run(alice, 3, name="near")
    client, path = visit(alice), f"/runs/{run.uuid.hex}/compare"
    page = text_of(client.get(path))
    assert near.uuid.hex in page
    assert secret.uuid.hex not in page
    for wanted in (secret.uuid.hex, "x", "%00"):
        page = text_of(client.get(f"{path}?with={wanted}"))
        assert "secret" not in page
        assert "There is no run" in page


@pytest.mark.parametrize("size", [20, 2000])
def test_they_cost_few_queries(alice, visit, size, django_assert_num_queries):
    run, other = factories.run(alice, size), factories.run(alice, size)
    for one in (run, other):
        factories.advance(one, factories.worker(alice), done=6, failed=2, computing=2)
    client = visit(alice)
    # 1 session, 2 user, 3 run, 4 tallies, 5 in flight, 6 ended, 7 open
    with django_assert_num_queries(7):
        client.get(f"/runs/{run.uuid.hex}/timeline")
    # 6 the other, 7 its tallies, 8 in flight, 9 failing, 10 fixed, 11 and 12 samples
    with django_assert_num_queries(12):
        client.get(f"/runs/{run.uuid.hex}/compare?with={other.uuid.hex}")


def test_health_is_for_staff(alice, staff, run, visit, django_assert_num_queries):
    assert visit(alice).get("/health/").status_code == 404
    client = visit(staff)
    page = text_of(client.get("/health/"))
    assert "Health of the farm" in page
    assert "Django" in page


@pytest.mark.postgresql
def test_health_tells_of_tables_and_snapshots(staff, run, visit):
    page = text_of(visit(staff).get("/health/"))
    assert "runs_task" in page
    assert "Dead rows" in page


def test_health_tells_of_slow_sweeps(staff, visit):
    client = visit(staff)
    assert "A sweep takes" not in text_of(client.get("/health/"))
    sweep.sweep()
    page = text_of(client.get("/health/"))
    assert "A sweep takes</dt><dd>under 1 s" in page
    assert "The next one is due" not in page
    SweepLock.objects.update(last_seconds=7)
    assert "A sweep takes</dt><dd>7 s" in text_of(client.get("/health/"))
    assert "The next one is due after 5 s" in text_of(client.get("/health/"))
