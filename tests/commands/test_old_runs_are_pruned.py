"""``manage.py prune``: what is over and old goes, and nothing else."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError
from django.db.models.functions import Now

from runs import appending, queue, restarts, retention, steering
from runs.models import Run, Tally, Worker
from tests import factories
from tests.commands.shell import manage

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


def age(run: Run, days: float) -> Run:
    """Let a run have been created, and have moved last, so many days ago."""
    then = Now() - timedelta(days=days)
    Run.objects.filter(pk=run.pk).update(created=then)
    Tally.objects.filter(run=run).update(updated=then)
    return run


def over(owner: User, name: str, days: float, *, failed: int = 0) -> Run:
    """A run of five ended tasks that came to rest so many days ago."""
    run = factories.run(owner, 5, name=name)
    return age(
        factories.advance(run, factories.worker(owner), done=5 - failed, failed=failed), days
    )


def names() -> set[str]:
    """The runs that are left."""
    return set(Run.objects.values_list("name", flat=True))


def test_what_is_over_and_old_goes_with_all_its_rows(alice: User, bob: User) -> None:
    over(alice, "old", 91)
    over(bob, "old and failed", 100, failed=2)
    over(alice, "young", 89)
    age(factories.run(alice, 5, name="waits"), 200)
    computing = factories.run(alice, 5, name="computes")
    age(factories.advance(computing, factories.worker(alice), done=4, computing=1), 200)
    age(factories.run(alice, 0, name="empty"), 200)
    age(factories.run(alice, 0, name="empty and open", open=True), 200)
    told = manage("prune", "--older-than", "90d")
    assert "Deleted 3 runs with 10 tasks" in told
    assert [line.split("  ")[-1].strip() for line in told.splitlines()[:-1]] == [
        "old", "old and failed", "empty"
    ]  # fmt: skip
    assert names() == {"young", "waits", "computes", "empty and open"}
    for run in Run.objects.all():
        factories.check_books(run)


def test_everything_of_a_run_goes(alice: User) -> None:
    run = factories.run(alice, 0, open=True)
    appending.append(run=run, values=["a", "b"])
    steering.cancel(run=run, who="alice", why="enough")
    age(run, 92)
    manage("prune", "--older-than", "13w")
    Worker.objects.all().delete()
    assert sum(factories.count_rows().values()) == 0


def test_runs_with_failures_are_kept_on_request(alice: User) -> None:
    over(alice, "clean", 91)
    over(alice, "failed", 91, failed=1)
    assert "Deleted 1 runs" in manage("prune", "--older-than", "90d", "--keep-failures")
    assert names() == {"failed"}
    assert Run.objects.get().attempts.count() == 5


def test_a_dry_run_tells_the_same_and_changes_nothing(alice: User) -> None:
    over(alice, "one", 91)
    over(alice, "two", 91, failed=1)
    Worker.objects.update(last_seen=Now() - timedelta(days=500))
    before = factories.count_rows()
    told = manage("prune", "--older-than", "90d", "--dry-run").splitlines()
    assert factories.count_rows() == before
    assert told[-1] == "Would delete 2 runs with 10 tasks."
    assert manage("prune", "--older-than", "90d").splitlines()[:-1] == told[:-1]


def test_an_open_run_that_was_cancelled_goes(alice: User) -> None:
    run = factories.run(alice, 3, name="open", open=True)
    steering.cancel(run=run, who="alice")
    age(run, 91)
    manage("prune", "--older-than", "90d")
    assert names() == set()


def test_many_runs_are_looked_at_page_by_page(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAGE", 2)
    for number in range(7):
        over(alice, f"run {number}", 91 if number % 3 else 1)
    assert "Deleted 4 runs" in manage("prune", "--older-than", "90d")
    assert names() == {"run 0", "run 3", "run 6"}


def restart(run: Run) -> None:
    """Somebody wants it again."""
    restarts.restart(run=run, everything=True)


def add(run: Run) -> None:
    """Somebody adds to it."""
    Run.objects.filter(pk=run.pk).update(open=True)


def delete(run: Run) -> None:
    """Somebody else deletes it."""
    Run.objects.filter(pk=run.pk).update(deleted=Now())


@pytest.mark.parametrize("meanwhile", [restart, add, delete])
def test_a_run_that_is_wanted_again_meanwhile_stays(
    alice: User, meanwhile: Callable[[Run], None]
) -> None:
    run = over(alice, "old", 91)
    (found,) = retention.find_old(90 * DAY)
    meanwhile(run)
    assert not retention.delete_old(found, 90 * DAY)
    assert names() == {"old"}


def test_workers_that_touched_no_run_that_is_left_go_too(alice: User) -> None:
    over(alice, "old", 400)
    kept = factories.run(alice, 5, name="kept")
    held = factories.worker(alice, hostname="holds a task")
    queue.claim(run=kept, worker=held, want=1)
    age(kept, 200)
    seen = {"holds a task": 199.9, "before any run": 202, "since": 150, "young": 1}
    Worker.objects.exclude(pk=held.pk).update(last_seen=Now() - timedelta(days=399))
    for host, days in seen.items():
        worker = held if host == "holds a task" else factories.worker(alice, hostname=host)
        Worker.objects.filter(pk=worker.pk).update(last_seen=Now() - timedelta(days=days))
    assert "and 2 old workers" in manage("prune", "--older-than", "90d")
    left = set(Worker.objects.values_list("hostname", flat=True))
    assert left == {"holds a task", "since", "young"}


def test_young_workers_stay_on_a_farm_without_runs(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 2)
    workers = [factories.worker(alice) for _ in range(6)]
    old = [worker.pk for worker in workers[:5]]
    Worker.objects.filter(pk__in=old).update(last_seen=Now() - timedelta(days=91))
    assert "and 5 old workers" in manage("prune", "--older-than", "90d")
    assert Worker.objects.get() == workers[5]


@pytest.mark.parametrize("words", [[], ["--older-than", "90"], ["--older-than", "long"]])
def test_an_age_without_its_unit_is_refused(alice: User, words: list[str]) -> None:
    over(alice, "old", 91)
    with pytest.raises(CommandError, match=r"--older-than|no span of time"):
        manage("prune", *words)
    assert names() == {"old"}
