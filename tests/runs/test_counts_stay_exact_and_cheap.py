"""The tallies: slots, folding, recounts, and the queries that reads cost."""

import os

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs import books, lifecycle, queue, reports, tallies
from runs.models import Run, Tally, Throughput
from runs.states import Outcome
from runs.tallies import Counts
from tests import factories
from tests.runs.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def short_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots that are left after three writes."""
    monkeypatch.setattr(tallies, "SLOT_LIFETIME", 3)
    monkeypatch.setattr(tallies._slot, "left", 0)


@pytest.mark.usefixtures("short_slots")
def test_a_writer_leaves_its_slot_before_its_versions_pile_up(alice: User) -> None:
    run, worker = factories.run(alice, 30), factories.worker(alice)
    for _ in range(10):
        queue.claim(run=run, worker=worker)
    assert run.tallies.count() >= 4
    factories.check_books(run)


@pytest.mark.usefixtures("short_slots")
def test_slots_are_folded_before_they_are_many(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "FOLD_ABOVE", 5)
    run, worker = factories.run(alice, 60), factories.worker(alice)
    for _ in range(60):
        queue.claim(run=run, worker=worker)
        assert run.tallies.count() <= 8
    assert tallies.read(run.id) == Counts(computing=60)


def test_folding_keeps_the_counts_and_the_last_movement(alice: User) -> None:
    run, worker = factories.run(alice, 9), factories.worker(alice)
    factories.advance(run, worker, done=2, failed=1, computing=1)
    in_thread(lambda: tallies.add(run.id, Counts(stale=2)))
    Tally.objects.create(run=run, slot=5, waiting=-3, computing=3, updated=run.created)
    Tally.objects.create(run=run, slot=6, waiting=3, computing=-3, updated=run.created)
    before = tallies.look([run.id])
    assert tallies.fold(run.id) >= 3
    assert run.tallies.count() == 1
    assert tallies.look([run.id]) == before


def test_a_fold_does_not_bring_a_deleted_run_back(alice: User) -> None:
    run = factories.run(alice, 9)
    Tally.objects.create(run=run, slot=5, waiting=0, updated=run.created)
    lifecycle.delete_run(run=run)
    assert tallies.fold(run.id) == 0
    assert not Tally.objects.exists()


@pytest.mark.postgresql
def test_a_write_to_a_slot_that_is_being_folded_is_not_lost(alice: User) -> None:
    from django.db import transaction

    from tests.runs.threads import start, wait_until_blocked

    run = factories.run(alice, 9)
    Tally.objects.create(run=run, slot=5, waiting=0, updated=run.created)

    def write_to(slot: int) -> None:
        mine = tallies._slot  # of this thread
        mine.number, mine.left, mine.pid = slot, 10, os.getpid()
        tallies.add(run.id, Counts(stale=1))

    with transaction.atomic():
        tallies.fold(run.id)  # in here: not yet visible to others, its rows locked
        slot, _ = tallies.current_slot()
        writer = start(lambda: write_to(slot))
        wait_until_blocked()
    writer.result(timeout=20)
    assert tallies.read(run.id) == Counts(waiting=9, stale=1)


def test_a_recount_finds_and_mends_what_is_wrong(alice: User) -> None:
    run, worker = factories.run(alice, 9), factories.worker(alice)
    factories.advance(run, worker, done=2, failed=1, computing=1)
    assert books.check(run.id) == {}
    first = run.tallies.order_by("-done").first()  # a run may have several
    assert first is not None
    Tally.objects.filter(pk=first.pk).update(done=7, settled_percent=3)
    found = books.check(run.id)
    assert found["done"] == (7, 2)
    assert found["settled_percent"][1] == 2 * 100_000_000
    assert books.check(run.id, repair=True) == found
    assert books.check(run.id) == {}
    factories.check_books(run)


def test_throughput_counts_what_ends_and_the_seconds_it_took(alice: User) -> None:
    run, worker = factories.run(alice, 9), factories.worker(alice)
    factories.advance(run, worker, done=3, failed=2)
    rows = Throughput.objects.filter(run=run)
    assert sum(row.done for row in rows) == 3
    assert sum(row.failed for row in rows) == 2
    assert all(row.seconds >= 0 and row.minute.second == 0 for row in rows)


def statements(run: Run) -> list[str]:
    """The statements that looking at a run costs."""
    with CaptureQueriesContext(
        connection,
    ) as queries:
        reports.progress(run)
    return [query["sql"] for query in queries.captured_queries]


def test_looking_at_a_run_costs_the_same_whatever_its_size(alice: User) -> None:
    small, large = factories.run(alice, 10), factories.run(alice, 50_000)
    for run in (small, large):
        factories.advance(run, factories.worker(alice), computing=2)
        # 1. the sum of its tallies  2. the percentages of the tasks in flight
        assert len(statements(run)) == 2


def test_an_empty_run_is_finished_at_no_percent(alice: User) -> None:
    run = factories.run(alice, 0)
    progress = reports.progress(run)
    assert (progress.percent, progress.over) == (0.0, True)
    assert reports.state_of(run, progress.counts) == "finished"


def test_the_percentage_of_a_sum_is_exact(alice: User) -> None:
    run, worker = factories.run(alice, 3), factories.worker(alice)
    for percent in (100 / 3, 0.1, 99.9999999, 1e-9, 12.3456785):
        queue.report_progress(run=run, number=1, percent=percent)
        factories.check_books(run)
    queue.claim(run=run, worker=worker, want=3)
    factories.check_books(run)
    queue.report_outcome(run=run, number=1, outcome=Outcome.FAILED)
    factories.check_books(run)
