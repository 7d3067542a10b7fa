"""A minute that is past keeps one row, however many processes wrote in it; sums stay exact."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from runs import lifecycle, queue, rates, throughput
from runs.models import Run, Throughput
from runs.states import Outcome
from tests import factories
from tests.runs.threads import start, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(alice: User) -> Run:
    return factories.run(alice, 9)


def write(run: Run, ago: int, slot: int, done: int) -> None:
    """A row of so many minutes ago."""
    this = timezone.now().replace(second=0, microsecond=0)
    Throughput.objects.create(
        run=run, slot=slot, minute=this - timedelta(minutes=ago), done=done, failed=1, seconds=0.5
    )


def kept(run: Run) -> list[tuple[int, int, int, float]]:
    rows = Throughput.objects.filter(run=run).order_by("minute", "slot")
    return [(one.slot, one.done, one.failed, one.seconds) for one in rows]


def test_rows_of_a_past_minute_become_one_and_the_present_is_left_alone(run: Run) -> None:
    for slot in (5, 6, 7):
        write(run, 90, slot, done=slot)
        write(run, 89, slot, done=1)
        write(run, 30, slot, done=1)
    before = rates.minutes(run)
    assert throughput.fold(run.id) == 6
    assert kept(run) == [
        (0, 18, 3, 1.5),
        (0, 3, 3, 1.5),
        *[(slot, 1, 1, 0.5) for slot in (5, 6, 7)],
    ]
    assert rates.minutes(run) == before
    assert throughput.fold(run.id) == 0


def test_what_comes_late_is_added_to_what_was_folded(run: Run) -> None:
    write(run, 90, 5, done=2)
    throughput.fold(run.id)
    write(run, 90, 6, done=3)
    assert throughput.fold(run.id) == 1
    assert kept(run) == [(0, 5, 2, 1.0)]


def test_writers_fold_now_and_then(run: Run, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "FOLD_ONCE_IN", 1)
    write(run, 90, 5, done=2)
    write(run, 90, 6, done=2)
    worker = factories.worker(alice)
    (claim,) = queue.claim(run=run, worker=worker)
    queue.report_outcome(run=run, number=claim.number, outcome=Outcome.DONE)
    assert kept(run)[0][:3] == (0, 4, 2)
    assert sum(row[1] for row in kept(run)) == 5


def test_a_fold_does_not_bring_a_deleted_run_back(run: Run) -> None:
    write(run, 90, 5, done=2)
    Run.objects.filter(pk=run.pk).update(deleted=timezone.now())
    throughput.fold(run.id)
    assert kept(run) == []
    lifecycle.sweep_deleted()
    assert not Throughput.objects.exists()


@pytest.mark.postgresql
def test_two_who_fold_at_once_count_nothing_twice(run: Run) -> None:
    for slot in (5, 6):
        write(run, 90, slot, done=2)
    with transaction.atomic():
        assert throughput.fold(run.id) == 2
        other = start(lambda: throughput.fold(run.id))
        wait_until_blocked()
    assert other.result(timeout=30) == 0
    assert kept(run) == [(0, 4, 2, 1.0)]
