"""``POST runs/UUID/restart``: what waits again and from where, and every spelling of all."""

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from runs.models import Attempt, Run, Task
from runs.states import Outcome
from tests import factories
from tests.api.shape import assert_refused


@pytest.fixture
def mixed(alice: User, api: APIClient) -> Run:
    """Tasks 0 and 1 done, 2 failed, 3 computing at 75 %, 4 at 0 %, 5 waiting at 20 %, 6 at 0 %."""
    run = factories.run(alice, 7)
    factories.advance(run, factories.worker(alice), done=2, failed=1, computing=2)
    for number, percent in ((3, 75), (5, 20)):
        body = {"percentCompleted": percent}
        api.put(f"/api/runs/{run.uuid.hex}/tasks/{number}", body, format="json")
    return run


def tasks(run: Run) -> list[tuple[str, float]]:
    """State and percentage of each task in the order of their numbers."""
    found = Task.objects.filter(run=run).order_by("number")
    return [(task.get_state_display(), task.percent) for task in found]


@pytest.mark.parametrize("query", ["", "?all=False", "?all=false"])
def test_what_is_not_done_waits_again_and_keeps_its_percentage(
    api: APIClient, mixed: Run, query: str
) -> None:
    response = api.post(f"/api/runs/{mixed.uuid.hex}/restart{query}")
    assert (response.status_code, response.content) == (204, b"")
    assert tasks(mixed) == [
        ("done", 100), ("done", 100), ("waiting", 0), ("waiting", 75), ("waiting", 0),
        ("waiting", 20), ("waiting", 0),
    ]  # fmt: skip
    factories.check_books(mixed)


@pytest.mark.parametrize("query", ["?all=True", "?all=true"])
def test_with_all_every_task_starts_from_zero(api: APIClient, mixed: Run, query: str) -> None:
    assert api.post(f"/api/runs/{mixed.uuid.hex}/restart{query}").status_code == 204
    assert tasks(mixed) == [("waiting", 0)] * 7
    shown = api.get(f"/api/runs/{mixed.uuid.hex}").json()
    assert (shown["numWaiting"], shown["percentDone"]) == (7, 0)
    factories.check_books(mixed)


def test_a_restarted_task_is_handed_out_again_with_its_percentage(
    api: APIClient, mixed: Run, alice: User
) -> None:
    api.post(f"/api/runs/{mixed.uuid.hex}/restart")
    body = {"worker_uuid": factories.worker(alice, pid=2).uuid.hex}
    claimed = [
        api.post(f"/api/runs/{mixed.uuid.hex}/task", body, format="json").json() for _ in range(5)
    ]
    assert [(one["task"], one["percentCompleted"]) for one in claimed] == [
        (2, 0), (3, 75), (4, 0), (5, 20), (6, 0),
    ]  # fmt: skip


def test_the_attempts_that_a_restart_ends_are_kept_as_cancelled(api: APIClient, mixed: Run) -> None:
    api.post(f"/api/runs/{mixed.uuid.hex}/restart")
    ended = Attempt.objects.filter(run=mixed, outcome=Outcome.CANCELLED)
    assert sorted(ended.values_list("number", "error")) == [
        (3, "restarted by alice"), (4, "restarted by alice"),
    ]  # fmt: skip


def test_a_second_restart_changes_nothing_more(api: APIClient, mixed: Run) -> None:
    api.post(f"/api/runs/{mixed.uuid.hex}/restart")
    before, attempts = tasks(mixed), Attempt.objects.count()
    assert api.post(f"/api/runs/{mixed.uuid.hex}/restart").status_code == 204
    assert (tasks(mixed), Attempt.objects.count()) == (before, attempts)
    factories.check_books(mixed)


@pytest.mark.parametrize("value", ["", "TRUE", "1", "yes", "blub", "True "])
def test_any_other_value_of_all_is_a_404_and_changes_nothing(
    api: APIClient, mixed: Run, value: str
) -> None:
    before = tasks(mixed)
    response = api.post(f"/api/runs/{mixed.uuid.hex}/restart?all={value}")
    assert_refused(response, 404, "unknown_info")
    assert tasks(mixed) == before
    factories.check_books(mixed)


def test_an_unknown_run_is_a_404(api: APIClient) -> None:
    assert_refused(api.post(f"/api/runs/{'0' * 32}/restart"), 404, "run_not_found")
