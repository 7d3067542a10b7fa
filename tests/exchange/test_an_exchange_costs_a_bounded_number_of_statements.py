"""Query budgets of the exchange: five hundred reports, as many wanted tasks, a few statements.

What is counted is every statement that the database is sent, BEGIN and COMMIT included, as in
``tests/api/test_a_call_costs_a_bounded_number_of_queries.py``. The looks at a run that a process
shares among its workers for a second (``pace.FRESH``) are counted in the first exchange only.
"""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from runs import pace, queue, tallies
from runs.models import Run, Worker
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
BATCH = 500


class Busy:
    """A worker with five hundred tasks of a run of some size in hand, and more of it in sight."""

    def __init__(self, alice: User, api: APIClient, size: int, **policy: Any) -> None:
        self.api = api
        self.run: Run = factories.run(alice, size, **policy)
        self.worker: Worker = factories.worker(alice)
        self.send(want=1)  # authenticates, notes the start of the run
        self.held = [(0, 1), *self.take(BATCH - 1)]

    def take(self, count: int) -> list[tuple[int, int]]:
        """Claim beside the API, more than the fair share."""
        run = Run.objects.get(pk=self.run.pk)
        claims = queue.claim(run=run, worker=self.worker, want=count)
        return [(one.number, one.attempt) for one in claims]

    def send(self, **body: Any) -> Any:
        """Make an exchange."""
        uuid = self.run.uuid.hex
        named = {
            name: {uuid: value} if name in ("done", "reports", "holding") else value
            for name, value in body.items()
        }
        address = f"/api/worker/{self.worker.uuid.hex}/exchange"
        answer = self.api.post(address, {"runs": [uuid], **named}, format="json")
        assert answer.status_code == 200, answer.content
        return answer.json()

    def cost(self, **body: Any) -> tuple[int, Any]:
        """Make an exchange, and count what it sends to the database."""
        tallies._slot.left = max(tallies._slot.left, 100)
        with CaptureQueriesContext(connection) as context:
            answer = self.send(**body)
        sent = [query["sql"] for query in context]
        begun = [one for one in sent if one.startswith("BEGIN")]
        ended = [one for one in sent if one == "COMMIT"]
        self.sent = "\n".join(one[:150] for one in sent)
        return len(sent) + len(ended) - len(begun), answer


@pytest.fixture(params=[1_000, 100_000])
def busy(
    request: pytest.FixtureRequest, alice: User, api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> Busy:
    """A busy worker of a run of each size; the looks at a run stay fresh for the whole test."""
    monkeypatch.setattr(pace, "FRESH", float("inf"))
    return Busy(alice, api, request.param, error_attempts=3)


def test_five_hundred_successes_and_as_many_new_tasks(busy: Busy) -> None:
    # 1 the worker, 2 the run, 3 BEGIN, 4 lock the reported tasks, 5 their attempts, 6 the tasks are
    # done, 7 take new ones, 8 the tally, 9 the throughput, 10 COMMIT, 11 raise the floor
    count, answer = busy.cost(done=busy.held, want=BATCH)
    assert (len(answer["tasks"]), answer["stale"]) == (BATCH, [])
    assert count <= 11, busy.sent


def test_five_hundred_reports_of_every_kind(busy: Busy) -> None:
    # 1 the worker, 2 the run, 3 BEGIN, 4 lock the reported tasks, 5 percentages, attempts that are
    # 6 plainly done, 7 plainly released, 8 tell something, 9 the tasks are done, 10-14 put off for
    # one of five times, 15 released, 16 lower the floor, 17 take new ones, 18 the tally, 19 the
    # throughput, 20 COMMIT, 21 raise the floor
    kinds: list[dict[str, Any]] = [
        {"percentCompleted": 50},
        {"status": "done"},
        {"status": "done", "output": {"mean": 0.5}},
        {"status": "failed", "error": "E: x", "log": "…", "exitCode": 3},
        {"status": "released"},
    ]
    told = [
        {"task": number, "attempt": attempt, **kinds[index % 5]}
        for index, (number, attempt) in enumerate(busy.held)
    ]
    count, answer = busy.cost(reports=told, want=BATCH)
    assert answer["stale"] == []
    assert len(answer["tasks"]) == BATCH
    assert count <= 21, busy.sent


def test_five_hundred_repeated_reports(busy: Busy) -> None:
    # 1 the worker, 2 the run, 3 BEGIN, 4 lock the reported tasks, 5 look up how they were recorded,
    # 6 COMMIT
    busy.send(done=busy.held)
    count, answer = busy.cost(done=busy.held)
    assert answer["stale"] == []
    assert count <= 6, busy.sent


def test_five_hundred_failures_whose_budget_may_be_spent(busy: Busy) -> None:
    # as above, 1-4; 5 attempts that tell something, 6 count how often the tasks have failed, 7-11
    # put off for one of five times, 12 tasks that have failed for good, 13 the tally, 14 the
    # throughput, 15 COMMIT
    for attempt in (1, 2):
        told = [{"task": number, "attempt": attempt, "status": "failed", "error": "E: x"}
                for number, _ in busy.held]  # fmt: skip
        busy.send(reports=told)
        busy.run.tasks.filter(not_before__gt=0).update(not_before=0, state=1, attempt=attempt + 1,
                                                       worker=busy.worker)  # fmt: skip
        move = tallies.Counts(waiting=-BATCH, computing=BATCH)
        tallies.add(busy.run.id, move)
    told = [{**one, "attempt": 3} for one in told]
    count, answer = busy.cost(reports=told)
    assert answer["stale"] == []
    assert busy.run.tasks.filter(state=3).count() == BATCH
    factories.check_books(busy.run)
    assert count <= 15, busy.sent


def test_an_answer_with_five_hundred_tasks_that_was_lost(busy: Busy) -> None:
    # 1 the worker, 2 the run, 3 the run's id, 4 what the worker holds, 5 the run's UUID,
    # 6 the inputs
    count, answer = busy.cost(holding=[])
    assert sorted((one["task"], one["attempt"]) for one in answer["tasks"]) == busy.held
    assert count <= 6, busy.sent


def test_a_sign_of_life_of_a_worker_that_holds_five_hundred_tasks(busy: Busy) -> None:
    # 1 the worker, 2 the run, 3 the run's id, 4 what the worker holds
    count, answer = busy.cost(holding=busy.held)
    assert answer["tasks"] == answer["drop"] == []
    assert count <= 4, busy.sent


def test_a_first_look_at_a_run_is_two_statements_more(
    busy: Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 1 the worker, 2 the run, 3 the tallies, 4 the workers that hold tasks, 5 BEGIN, 6 take new
    # ones, 7 the tally, 8 COMMIT, 9 raise the floor
    pace.forget()
    count, answer = busy.cost(want=1)
    assert len(answer["tasks"]) == 1
    assert count <= 9, busy.sent


@pytest.mark.parametrize("size", [1, 1_000])
def test_a_worker_that_finds_nothing_to_do(alice: User, api: APIClient, size: int) -> None:
    # 1 the worker, 2 the run, 3 the tallies, 4 the workers that hold tasks, 5 BEGIN, 6 look for
    # tasks, 7 the tallies, 8 look below the floor, 9 look for what is due, 10 COMMIT, 11 the
    # tallies: is it over?
    busy = Busy(alice, api, size)
    busy.take(size)
    count, answer = busy.cost(want=BATCH)
    assert (answer["tasks"], answer["finished"]) == ([], False)
    assert count <= 11, busy.sent
