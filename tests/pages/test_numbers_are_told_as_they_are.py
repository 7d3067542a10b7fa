"""Percentages, rates and hints on the pages: rounded right, in step with the API."""

from datetime import timedelta

import pytest
from django.utils import timezone

from runs import queue, restarts, steering
from runs.models import Run, Tally, Throughput
from runs.selection import Selection
from runs.states import Outcome
from runs.tallies import MILLION
from runs.wording import percentage
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.mark.once
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"), (1e-9, "0.1"), (0.04, "0.1"), (100 / 60, "1.7"), (12.34, "12.3"), (50.0, "50.0"),
        (99.949, "99.9"), (99.96, "99.9"), (100 - 1e-9, "99.9"), (100.0, "100"),
    ],
)  # fmt: skip
def test_a_percentage_is_all_only_when_it_is_all(value, shown):
    assert percentage(value) == shown


def test_one_task_of_sixty_is_1_7_percent(alice, visit):
    run = factories.run(alice, 60)
    factories.advance(run, factories.worker(alice), done=1)
    page = visit(alice).get(f"/runs/{run.uuid.hex}/").content.decode()
    assert '<span class="tile-share">1.7 %</span>' in page
    assert '<span class="tile-share">98.3 %</span>' in page
    assert "<title>1.7 % ·" in page


def test_one_task_of_many_is_more_than_nothing_and_less_than_all(alice, visit):
    run = factories.run(alice, 3000)
    settled = 2999 * 100 * MILLION
    Tally.objects.filter(run=run).update(waiting=1, done=2999, settled_percent=settled)
    page = visit(alice).get(f"/runs/{run.uuid.hex}/").content.decode()
    assert '<span class="tile-share">99.9 %</span>' in page
    assert '<span class="tile-share">0.1 %</span>' in page
    assert "<title>99.9 % ·" in page


def test_a_run_of_no_tasks_is_at_0_percent_on_pages_and_in_the_api(alice, visit, api):
    run = factories.run(alice, 0, name="empty")
    info = api.get(f"/api/runs/{run.uuid.hex}").json()
    assert (info["percentDone"], info["state"]) == (0, "finished")
    page = visit(alice).get(f"/runs/{run.uuid.hex}/").content.decode()
    assert "<title>0 % · empty" in page
    assert 'class="run-percent">0 <' in visit(alice).get("/runs/").content.decode()


HINT = "No worker computes"


@pytest.fixture
def between(alice):
    """A run whose only worker has just ended its second task of five."""
    run = factories.run(alice, 5, name="tiles")
    return factories.advance(run, factories.worker(alice), done=2)


def test_a_fresh_run_asks_for_workers(alice, visit):
    run = factories.run(alice, 5)
    assert HINT in visit(alice).get(f"/runs/{run.uuid.hex}/").content.decode()
    assert "no worker" in visit(alice).get("/runs/").content.decode()


def test_between_two_tasks_a_run_has_a_rate_and_asks_for_nobody(alice, visit, between):
    page = visit(alice).get(f"/runs/{between.uuid.hex}/").content.decode()
    assert "tasks/min" in page
    assert HINT not in page
    assert "no worker" not in visit(alice).get("/runs/").content.decode()


def test_a_run_that_was_left_asks_for_workers_and_has_no_rate(alice, visit, between):
    Tally.objects.filter(run=between).update(updated=timezone.now() - timedelta(minutes=2))
    page = visit(alice).get(f"/runs/{between.uuid.hex}/").content.decode()
    assert HINT in page
    assert "tasks/min" not in page


def test_the_table_says_which_tasks_it_shows(alice, visit):
    run = factories.run(alice, 1200)
    factories.advance(run, factories.worker(alice), done=3, failed=2)
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/tasks"
    assert "Tasks by number, 0 to 24 on this page" in client.get(lead).content.decode()
    assert "1,100 to 1,124 on this page" in client.get(f"{lead}?from=1100").content.decode()
    failed = client.get(f"{lead}?state=failed").content.decode()
    assert "Failed tasks by number, 3 to 4 on this page" in failed


def test_late_reports_are_explained(alice, visit):
    run = factories.run(alice, 1)
    Tally.objects.filter(run=run).update(stale=3)
    page = visit(alice).get(f"/runs/{run.uuid.hex}/").content.decode()
    assert "Late reports refused" in page
    assert "for tasks that had ended or been handed on" in page


def test_a_run_that_finished_with_failures_says_so_wherever_it_is_shown(alice, visit):
    run = factories.run(alice, 3)
    factories.advance(run, factories.worker(alice), done=2)
    client = visit(alice)
    for path in ("/runs/", f"/runs/{run.uuid.hex}/"):
        assert "with failures" not in client.get(path).content.decode()
    factories.advance(run, factories.worker(alice), failed=1)
    for path in ("/runs/", f"/runs/{run.uuid.hex}/"):
        assert "with failures" in client.get(path).content.decode()


def test_a_run_that_finished_with_cancelled_tasks_says_so(alice, visit):
    run = factories.run(alice, 2)
    steering.cancel(run=run, who="alice")
    restarts.restart(run=run, selection=Selection(numbers=((0, 0),)))
    factories.advance(run, factories.worker(alice), done=1)
    client = visit(alice)
    for path in ("/runs/", f"/runs/{run.uuid.hex}/"):
        assert "with cancelled tasks" in client.get(path).content.decode()


def test_an_open_run_of_which_all_is_done_says_so(alice, visit):
    run = factories.run(alice, 1, open=True)
    factories.advance(run, factories.worker(alice), done=1)
    assert (
        "open: more tasks may come" in visit(alice).get(f"/runs/{run.uuid.hex}/").content.decode()
    )


def test_the_mean_progress_is_not_taken_for_the_share_that_is_done(alice, visit, api):
    run = factories.run(alice, 4, name="tiles")
    worker = factories.worker(alice)
    factories.advance(run, worker, done=3)
    (claim,) = queue.claim(run=run, worker=worker)
    queue.report_progress(run=run, number=claim.number, percent=98)
    queue.report_outcome(run=run, number=claim.number, outcome=Outcome.FAILED, error="boom")
    assert api.get(f"/api/runs/{run.uuid.hex}").json()["percentDone"] == 99.5
    page = visit(alice).get(f"/runs/{run.uuid.hex}/").content.decode()
    assert '99.5<span> %</span> <span class="percent-word">mean progress</span>' in page
    assert '<span class="tile-share">75.0 %</span>' in page
    assert (
        '<span class="percent-word">progress</span>' in visit(alice).get("/runs/").content.decode()
    )


def test_a_time_per_task_says_whether_it_is_the_median_or_the_mean(alice, visit):
    run = factories.run(alice, 4)
    factories.advance(run, factories.worker(alice), done=3)
    client = visit(alice)
    assert "Median time per task" in client.get(f"/runs/{run.uuid.hex}/").content.decode()
    assert "Mean time" in client.get(f"/runs/{run.uuid.hex}/workers").content.decode()


def elapsed_of(client, run):
    page = " ".join(client.get(f"/runs/{run.uuid.hex}/").content.decode().split())
    return page.partition("<dt>Elapsed</dt><dd>")[2].partition("<")[0]


def test_a_restart_that_is_taken_back_leaves_the_elapsed_time_as_it_was(alice, visit):
    run = factories.run(alice, 6)
    factories.advance(run, factories.worker(alice), done=3, failed=3)
    ended = timezone.now() - timedelta(minutes=50)
    Run.objects.filter(pk=run.pk).update(started=ended - timedelta(minutes=20))
    Tally.objects.filter(run=run).update(updated=ended)
    Throughput.objects.filter(run=run).update(minute=ended.replace(second=0, microsecond=0))
    run.refresh_from_db()
    client = visit(alice)
    assert elapsed_of(client, run) == "20 min"
    restarts.restart(run=run, by="alice")
    assert elapsed_of(client, run).startswith("1 h 10")
    restarts.undo(run=run, event=run.events.get(), by="alice")
    assert elapsed_of(client, run) == "20 min"
    factories.check_books(run)


def test_a_restart_of_which_something_was_done_stays_in_the_elapsed_time(alice, visit):
    run = factories.run(alice, 6)
    factories.advance(run, factories.worker(alice), done=3, failed=3)
    ended = timezone.now() - timedelta(minutes=50)
    Run.objects.filter(pk=run.pk).update(started=ended - timedelta(minutes=20))
    Tally.objects.filter(run=run).update(updated=ended)
    run.refresh_from_db()
    restarts.restart(run=run, by="alice")
    factories.advance(run, factories.worker(alice), done=1)
    restarts.undo(run=run, event=run.events.get(), by="alice")
    assert elapsed_of(visit(alice), run).startswith("1 h 10")
