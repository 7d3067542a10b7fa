"""The floor speeds claims up; whatever it says, every waiting task is handed out."""

import threading

import pytest
from django.contrib.auth.models import User

from runs import lifecycle, queue, restarts
from runs.models import Run
from tests import factories
from tests.runs.threads import start

pytestmark = pytest.mark.django_db(transaction=True)


def drain(run: Run, worker: queue.Worker, want: int = 7) -> list[int]:
    """Claim until nothing comes, reading the run afresh each time as a request does."""
    numbers: list[int] = []
    while True:
        run.refresh_from_db()
        claims = queue.claim(run=run, worker=worker, want=want)
        if not claims:
            return numbers
        numbers += [one.number for one in claims]


@pytest.mark.parametrize("floor", [0, 5, 19, 20, 1000])
def test_a_wrong_floor_loses_no_task(alice: User, floor: int) -> None:
    run, worker = factories.run(alice, 20), factories.worker(alice)
    Run.objects.filter(pk=run.pk).update(claim_floor=floor)
    assert sorted(drain(run, worker)) == list(range(20))
    factories.check_books(run)


def test_the_floor_follows_the_claims(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "FLOOR_STEP", 10)
    run, worker = factories.run(alice, 100), factories.worker(alice)
    assert drain(run, worker) == list(range(100))
    assert run.claim_floor >= 80


def test_a_requeued_task_below_the_floor_comes_next(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "FLOOR_STEP", 10)
    run, worker = factories.run(alice, 100), factories.worker(alice)
    for _ in range(50):
        run.refresh_from_db()
        queue.claim(run=run, worker=worker)
    lifecycle.requeue_one(run=run, number=3)
    run.refresh_from_db()
    assert run.claim_floor <= 3
    assert [one.number for one in queue.claim(run=run, worker=worker)] == [3]


def test_a_restart_lowers_the_floor(alice: User) -> None:
    run, worker = factories.run(alice, 20), factories.worker(alice)
    Run.objects.filter(pk=run.pk).update(claim_floor=15)
    run.refresh_from_db()
    factories.advance(run, worker, done=2, computing=3)
    Run.objects.filter(pk=run.pk).update(claim_floor=20)
    restarts.restart(run=run)
    assert Run.objects.get(pk=run.pk).claim_floor == 17
    # What the floor hid before the test lowered it comes after that, and still comes.
    assert drain(run, worker) == [17, 18, 19, *range(15)]


def test_a_claim_that_raises_the_floor_late_does_not_undo_a_requeue(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim has committed and is about to raise the floor when task 0 is requeued below it."""
    run, worker = factories.run(alice, 50), factories.worker(alice)
    monkeypatch.setattr(queue, "FLOOR_STEP", 10)
    claimed, requeued = threading.Event(), threading.Event()
    raise_floor = queue._note_claims

    def late(*args: object) -> None:
        claimed.set()
        assert requeued.wait(20)
        raise_floor(*args)  # type: ignore[arg-type]

    Run.objects.filter(pk=run.pk).update(claim_floor=5)
    run.refresh_from_db()
    queue.claim(run=run, worker=worker, want=20)
    monkeypatch.setattr(queue, "_note_claims", late)
    slow = start(lambda: queue.claim(run=run, worker=worker))
    assert claimed.wait(20)
    lifecycle.requeue_one(run=Run.objects.get(pk=run.pk), number=2, percent=1)
    requeued.set()
    slow.result(timeout=20)
    run.refresh_from_db()
    assert run.claim_floor == 2
    assert [one.number for one in queue.claim(run=run, worker=worker)] == [2]
