"""``manage.py sweep``: once, or again and again."""

import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import InterfaceError, InternalError, OperationalError
from django.db.models.functions import Now

from runs import queue, steering, sweep, tallies
from runs.models import Run, SweepLock, Task, Worker
from runs.states import RunState
from tests import factories
from tests.commands.shell import manage

pytestmark = pytest.mark.django_db(transaction=True)
NOTHING = (
    "0 workers lost with 0 tasks, 0 attempts overdue, 0 tasks woken, 0 runs expired, "
    "0 tasks cancelled, 0 deletions finished.\n"
)


def lose(run: Run, tasks: int) -> None:
    """A worker claims tasks of the run and falls silent; others are heard."""
    heard = {"began": Now(), "resumed": Now() - timedelta(hours=1)}
    SweepLock.objects.update_or_create(pk=1, defaults=heard)
    worker = factories.worker(run.owner)
    queue.claim(run=run, worker=worker, want=tasks)
    silent = Now() - timedelta(minutes=5)
    Worker.objects.filter(pk=worker.pk).update(heartbeat=10, last_seen=silent)


def test_once_tells_what_was_done(alice: User) -> None:
    run = factories.run(alice, 9)
    lose(run, 3)
    assert manage("sweep").startswith("1 workers lost with 3 tasks, ")
    assert manage("sweep") == NOTHING
    assert tallies.read(run.id).waiting == 9
    factories.check_books(run)


def test_what_cannot_be_done_is_told_after_the_rest(
    alice: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lose(factories.run(alice, 9), 3)
    monkeypatch.setattr(sweep, "wake", lambda: 1 // 0)
    out = io.StringIO()
    with pytest.raises(CommandError, match="1 could not be done"):
        call_command("sweep", stdout=out)
    assert out.getvalue().startswith("1 workers lost with 3 tasks, ")
    assert "ZeroDivisionError" in caplog.text


def test_a_service_tells_what_cannot_be_done_and_goes_on(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise KeyboardInterrupt
        lose(factories.run(alice, 9), 3)

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr(sweep, "wake", lambda: 1 // 0)
    out, err = io.StringIO(), io.StringIO()
    call_command("sweep", "--every", "7", stdout=out, stderr=err)
    assert err.getvalue().count("1 could not be done and were passed over") == 2
    assert "1 workers lost with 3 tasks, " in out.getvalue()


def bring_about(what: str, run: Run) -> None:
    """Make something of a run the next sweep's business."""
    if what == "give_up":
        lose(run, 1)
    elif what == "end_overdue":
        queue.claim(run=run, worker=factories.worker(run.owner), want=1)
        Task.objects.filter(run=run, number=0).update(started=Now() - timedelta(hours=1))
    elif what == "expire":
        Run.objects.filter(pk=run.pk).update(expire_at=Now() - timedelta(hours=1))
    else:
        Run.objects.filter(pk=run.pk).update(state=RunState.CANCELLED, unfinished=True)


@pytest.mark.parametrize(
    ("where", "what", "done"),
    [(sweep, "give_up", (1, 1, 0, 0, 0)), (sweep, "end_overdue", (0, 0, 1, 0, 0)),
     (steering, "expire", (0, 0, 0, 1, 0)), (steering, "go_on_cancelling", (0, 0, 0, 0, 3))],
)  # fmt: skip
def test_one_that_cannot_be_done_keeps_no_other_like_it_from_the_sweep(
    alice: User, monkeypatch: pytest.MonkeyPatch, where: Any, what: str, done: tuple[int, ...]
) -> None:
    runs = [factories.run(alice, 3, task_timeout=60) for _ in range(2)]
    for run in runs:
        bring_about(what, run)
    real, first = getattr(where, what), iter([True])

    def fail_once(*wish: Any) -> Any:
        if next(first, False):
            raise ValueError("what nobody can read")
        return real(*wish)

    monkeypatch.setattr(where, what, fail_once)
    for failed in (1, 0):
        swept = sweep.sweep()
        told = swept.lost_workers, swept.lost_tasks, swept.overdue, swept.expired, swept.cancelled
        assert (told, swept.failed) == (done, failed)
    for run in runs:
        factories.check_books(run)


@pytest.mark.parametrize("error", [OperationalError, InterfaceError, InternalError])
@pytest.mark.parametrize("what", ["give_up", "wake"])
def test_a_database_that_goes_away_ends_the_sweep(
    alice: User, monkeypatch: pytest.MonkeyPatch, what: str, error: type[Exception]
) -> None:
    lose(factories.run(alice, 9), 3)

    def fail(*_: Any) -> None:
        raise error("gone")

    monkeypatch.setattr(sweep, what, fail)
    with pytest.raises(error, match="gone"):
        sweep.sweep()


def test_again_and_again_until_interrupted_even_if_the_database_is_away_for_a_while(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = factories.run(alice, 9)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 5:
            raise KeyboardInterrupt
        if len(slept) % 2:
            lose(run, len(slept))

    real = sweep.sweep

    def away_at_first(**options: bool) -> sweep.Swept:
        if not slept:
            raise OperationalError("no route to host")
        return real(**options)

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr(sweep, "sweep", away_at_first)
    out, err = io.StringIO(), io.StringIO()
    call_command("sweep", "--every", "7", stdout=out, stderr=err)
    lines = out.getvalue().splitlines()
    assert [line[:27] for line in lines[:-1]] == [
        "1 workers lost with 1 tasks", "1 workers lost with 3 tasks"
    ]  # fmt: skip
    assert lines[-1] == "Stopped."
    assert slept == [7.0] * 5
    assert "no route to host" in err.getvalue()
    factories.check_books(run)


@pytest.mark.parametrize("every", ["0", "-1", "often", "nan", "1e9"])
def test_an_interval_that_makes_no_sense_is_refused(db: None, every: str) -> None:
    with pytest.raises(CommandError, match=r"no number of seconds|expected one argument"):
        manage("sweep", "--every", every)
