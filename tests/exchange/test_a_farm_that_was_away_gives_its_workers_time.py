"""Nobody is given up for a silence that was the farm's own; a crowd of idle workers is thinned."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.db.models.functions import Now

from runs import pace, sweep
from runs.models import SweepLock, Worker
from tests import factories
from tests.commands.shell import manage
from tests.exchange.conftest import numbers

pytestmark = pytest.mark.django_db(transaction=True)
Call = Callable[..., dict[str, Any]]


def pass_time(seconds: float, *workers: Worker, swept: bool = False) -> None:
    """Let so much time have passed in which these workers were silent, and nobody swept."""
    span = timedelta(seconds=seconds)
    Worker.objects.filter(pk__in=[one.pk for one in workers]).update(
        last_seen=F("last_seen") - span
    )
    moved = {"resumed": F("resumed") - span}
    SweepLock.objects.update(**moved, **({} if swept else {"began": F("began") - span}))


def test_workers_that_come_back_find_their_tasks_still_theirs(
    alice: User, worker: Worker, exchange: Call
) -> None:
    run = factories.run(alice, 10)
    assert sweep.my_turn(10) is False, "it has just been created"
    exchange(run, want=2)
    pass_time(3600, worker)  # the farm was down for an hour
    assert sweep.my_turn(10)
    assert sweep.sweep().lost_workers == 0
    pass_time(41, worker, swept=True)  # it is there again, this worker is not
    assert sweep.sweep().lost_workers == 1
    assert numbers(exchange(run, want=2)) == [0, 1]
    factories.check_books(run)


def test_a_silent_worker_is_lost_while_others_are_heard(alice: User, worker: Worker) -> None:
    sweep.my_turn(10)
    pass_time(60, worker, swept=True)
    assert sweep.sweep().lost_workers == 1


def test_a_sweep_from_cron_gives_nobody_up_while_nobody_is_heard(
    alice: User, worker: Worker
) -> None:
    sweep.my_turn(10)
    pass_time(120, worker)  # the web server may be down
    assert manage("sweep").startswith("0 workers lost")
    assert sweep.my_turn(600)
    assert manage("sweep").startswith("1 workers lost")


@pytest.mark.parametrize(
    ("heartbeat", "gap", "away"),
    [(10, 25, False), (10, 31, True), (600, 1700, False), (600, 1900, True), (None, 500, False)],
)
def test_the_farm_was_away_if_the_caller_would_be_lost_itself(
    db: None, heartbeat: float | None, gap: float, away: bool
) -> None:
    sweep.my_turn(10)
    pass_time(gap)
    before = SweepLock.objects.get().resumed
    assert sweep.my_turn(heartbeat)
    assert (SweepLock.objects.get().resumed > before) is away


def test_only_one_of_many_sweeps(db: None) -> None:
    sweep.my_turn(10)
    SweepLock.objects.update(began=Now() - timedelta(seconds=10))
    assert [sweep.my_turn(10) for _ in range(3)] == [True, False, False]


def test_a_crowd_of_idle_workers_is_told_to_come_more_seldom(
    alice: User, exchange: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace.time, "monotonic", lambda: 1000.5)
    run = factories.run(alice, 1)
    exchange(run, want=1)
    waits = [exchange(run, want=1)["retryAfter"] for _ in range(40)]
    assert waits[0] == pace.SOON
    assert waits[-1] == 40 / pace.IDLE
    assert waits == sorted(waits)
