"""Estimates: a range around what really will be, from the rate, or from the sampled durations."""

import itertools
from datetime import timedelta

import pytest
from django.utils import timezone

from runs import estimates, rates, samples, tallies
from runs.models import Attempt, Run, Throughput
from runs.rates import Minute
from runs.tallies import Counts
from tests import factories


@pytest.fixture
def run(alice):
    run = factories.run(alice, 1000)
    return factories.advance(run, factories.worker(alice), done=40, failed=2, computing=2)


def minute(run, ago, done, seconds=0.0):
    this = timezone.now().replace(second=0, microsecond=0)
    Throughput.objects.create(
        run=run, slot=1, minute=this - timedelta(minutes=ago), done=done, seconds=seconds
    )


def known(mean, deviation=0.0, count=100):
    return estimates.Durations(count, mean, deviation, mean, mean + 2 * deviation)


def test_a_sample_tells_how_long_tasks_take(run):
    for place, attempt in enumerate(Attempt.objects.filter(run=run).order_by("number")):
        Attempt.objects.filter(pk=attempt.pk).update(
            ended=attempt.started + timedelta(seconds=10 + place % 2)
        )
    found = estimates.durations(samples.draw(run, tallies.read(run.id)))
    assert found is not None
    assert found.count == 40
    assert found.mean == pytest.approx(10.5, abs=0.01)
    assert found.long == pytest.approx(11, abs=0.01)


def test_a_sample_is_bounded_and_spread(run):
    numbers = samples.tried(run, Counts(waiting=100, done=900), 50)
    assert len(numbers) == 50
    assert numbers == sorted(numbers)
    assert numbers[0] < 18
    assert 882 <= numbers[-1] < 900


def test_a_steady_rate_gives_a_narrow_range_around_the_truth(run):
    Throughput.objects.all().delete()
    Run.objects.update(started=timezone.now() - timedelta(hours=1))
    run.refresh_from_db()
    for ago in range(12):
        minute(run, ago, 10)
    found = estimates.time_left(
        run, Counts(waiting=98, computing=2), known(30.0), rates.minutes(run), 5
    )
    assert found is not None
    assert found.least <= 600 <= found.most <= 2 * 600
    assert found.least >= 600 / 2


def test_a_young_run_is_judged_by_durations_and_workers(run):
    found = estimates.time_left(run, Counts(waiting=100), known(60.0, 6.0), [], 10)
    assert found is not None
    assert found.least < 600 < found.most < 2 * 600


def test_workers_that_nobody_could_count_leave_an_estimate(run):
    left = Counts(waiting=100, computing=1)
    one = estimates.time_left(run, left, known(60.0, 6.0), [], 1)
    assert one is not None
    assert estimates.time_left(run, left, known(60.0, 6.0), [], None) == one
    assert estimates.time_left(run, left, known(60.0, 6.0), [], 0) is None


def test_the_tail_is_in_the_far_end(run):
    short = estimates.time_left(run, Counts(computing=1), known(10.0), [], 1)
    long = estimates.time_left(run, Counts(computing=1), known(10.0, 100.0), [], 1)
    assert short is not None
    assert long is not None
    assert long.most > short.most + 100


@pytest.mark.parametrize("counts", [Counts(done=5), Counts(waiting=5)])
def test_nobody_can_tell_without_work_or_workers(run, counts):
    assert estimates.time_left(run, counts, known(1.0), [], 0) is None


def test_the_work_left_counts_what_computes_by_half():
    found = estimates.work_left(Counts(waiting=9, computing=2), known(60.0))
    assert found is not None
    assert found.least == found.most == 600.0
    assert estimates.work_left(Counts(done=3), known(60.0)) is None


def test_the_work_spent_is_the_sum_of_all_minutes(run):
    Throughput.objects.all().delete()
    rates.forget()
    for ago in (0, 1, 2000):
        minute(run, ago, 1, seconds=1800.0)
    assert rates.spent(run) == rates.Spent(5400.0, True)


def test_stretches_are_equal_and_lose_nothing(run):
    Throughput.objects.all().delete()
    for ago in (0, 1, 300, 700):
        minute(run, ago, 3)
    rows, step = rates.buckets(rates.minutes(run), end=timezone.now())
    assert len(rows) <= 120
    assert sum(one.done for one in rows) == 12
    assert {b.at - a.at for a, b in itertools.pairwise(rows)} == {timedelta(minutes=step)}


def test_an_old_run_is_charted_over_its_last_day_of_work(run):
    Throughput.objects.all().delete()
    minute(run, 100_000, 7)
    minute(run, 99_999, 5)
    minute(run, 110_000, 3)
    found = rates.minutes(run)
    assert [one.done for one in found] == [7, 5]
    rows, step = rates.buckets(found, end=found[-1].at)
    assert ([one.done for one in rows], step) == ([7, 5], 1)
    assert isinstance(rows[0], Minute)
