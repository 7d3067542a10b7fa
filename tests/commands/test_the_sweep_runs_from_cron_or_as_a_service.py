"""``manage.py sweep``: once, or again and again."""

import io
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.db.models.functions import Now

from runs import queue, sweep, tallies
from runs.models import Run, SweepLock, Worker
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
