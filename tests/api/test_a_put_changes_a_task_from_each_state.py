"""``PUT runs/UUID/tasks/ID``: each status from each state, with and without a percentage."""

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from runs import restarts
from runs.models import Run, Task
from tests import factories
from tests.api.shape import assert_refused

NUMBER = 0


def a_task(api: APIClient, alice: User, state: str, percent: float | None) -> Run:
    """A run of two tasks whose first one is in the state, at the percentage if it can be."""
    run = factories.run(alice, 2)
    counts = {"done": 0, "failed": 0, "computing": 0}
    if state in counts:
        factories.advance(run, factories.worker(alice), **{**counts, state: 1})
    if percent is not None and state in ("waiting", "computing"):
        assert put(api, run, percentCompleted=percent).status_code == 204
    return run


def put(api: APIClient, run: Run, **body: object) -> object:
    """Change the first task."""
    return api.put(f"/api/runs/{run.uuid.hex}/tasks/{NUMBER}", body, format="json")


def stands(run: Run) -> tuple[str, float]:
    """State and percentage of the first task, with the books checked."""
    factories.check_books(run)
    task = Task.objects.get(run=run, number=NUMBER)
    return task.get_state_display(), task.percent


@pytest.mark.parametrize(
    ("start", "body", "end"),
    [
        # A percentage alone never changes the state, not even 100.
        (("waiting", None), {"percentCompleted": 40}, ("waiting", 40)),
        (("computing", None), {"percentCompleted": 40}, ("computing", 40)),
        (("computing", 40), {"percentCompleted": 100}, ("computing", 100)),
        (("computing", 40), {"percentCompleted": 0}, ("computing", 0)),
        (("done", None), {"percentCompleted": 100}, ("done", 100)),
        # done alone is 100 %.
        (("waiting", None), {"status": "done"}, ("done", 100)),
        (("waiting", 30), {"status": "done"}, ("done", 100)),
        (("computing", None), {"status": "done"}, ("done", 100)),
        (("computing", 100), {"status": "done"}, ("done", 100)),
        (("computing", 30), {"status": "done", "percentCompleted": 100}, ("done", 100)),
        (("done", None), {"status": "done"}, ("done", 100)),
        # computing keeps what there is, or takes what is given.
        (("waiting", 30), {"status": "computing"}, ("computing", 30)),
        (("waiting", 30), {"status": "computing", "percentCompleted": 50}, ("computing", 50)),
        (("computing", 30), {"status": "computing"}, ("computing", 30)),
        (("computing", 30), {"status": "computing", "percentCompleted": 50}, ("computing", 50)),
        # waiting gives the task back.
        (("waiting", 30), {"status": "waiting"}, ("waiting", 30)),
        (("waiting", 30), {"status": "waiting", "percentCompleted": 0}, ("waiting", 0)),
        (("computing", 30), {"status": "waiting"}, ("waiting", 30)),
        (("computing", 30), {"status": "waiting", "percentCompleted": 50}, ("waiting", 50)),
        (("done", None), {"status": "waiting"}, ("waiting", 0)),
        (("done", None), {"status": "waiting", "percentCompleted": 50}, ("waiting", 50)),
        (("failed", None), {"status": "waiting"}, ("waiting", 0)),
        # failed stays where it stood.
        (("computing", 30), {"status": "failed"}, ("failed", 30)),
        (("computing", 30), {"status": "failed", "percentCompleted": 60}, ("failed", 60)),
        (("waiting", 30), {"status": "failed"}, ("failed", 30)),
        (("failed", None), {"status": "failed"}, ("failed", 0)),
    ],
)
def test_a_change_is_made(
    api: APIClient, alice: User, start: tuple[str, float], body: dict[str, object],
    end: tuple[str, float],
) -> None:  # fmt: skip
    run = a_task(api, alice, *start)
    response = put(api, run, **body)
    assert (response.status_code, response.content) == (204, b"")
    assert stands(run) == end
    # The answer of the API agrees with the rows.
    shown = api.get(f"/api/runs/{run.uuid.hex}/tasks/{NUMBER}").json()
    assert (shown["status"], shown["percentCompleted"]) == end


@pytest.mark.parametrize(
    ("start", "body", "status", "code"),
    [
        (("done", None), {"percentCompleted": 40}, 409, "stale"),
        (("failed", None), {"percentCompleted": 40}, 409, "stale"),
        (("failed", None), {"status": "done"}, 409, "stale"),
        (("done", None), {"status": "failed"}, 409, "stale"),
        (("done", None), {"status": "computing"}, 409, "state_conflict"),
        (("failed", None), {"status": "computing"}, 409, "state_conflict"),
        (("computing", 30), {"status": "done", "percentCompleted": 30}, 400, "invalid"),
        (("computing", 30), {"status": "done", "percentCompleted": 99.99}, 400, "invalid"),
    ],
)
def test_a_change_that_the_state_forbids_is_refused_and_changes_nothing(
    api: APIClient, alice: User, start: tuple[str, float], body: dict[str, object],
    status: int, code: str,
) -> None:  # fmt: skip
    run = a_task(api, alice, *start)
    before, rows = stands(run), {**factories.count_rows(), "Tally": None}
    assert_refused(put(api, run, **body), status, code)
    assert stands(run) == before
    assert {**factories.count_rows(), "Tally": None} == rows


def test_the_percentage_of_the_run_counts_partial_progress(api: APIClient, alice: User) -> None:
    run = a_task(api, alice, "computing", 50)
    assert api.get(f"/api/runs/{run.uuid.hex}?info=percentDone").json() == {"percentDone": 25.0}
    put(api, run, status="done")
    assert api.get(f"/api/runs/{run.uuid.hex}?info=percentDone").json() == {"percentDone": 50.0}


def test_a_task_that_was_given_back_is_the_next_to_be_handed_out(
    api: APIClient, alice: User
) -> None:
    run = a_task(api, alice, "computing", 60)
    put(api, run, status="waiting")
    body = {"worker_uuid": factories.worker(alice, pid=2).uuid.hex}
    claimed = api.post(f"/api/runs/{run.uuid.hex}/task", body, format="json").json()
    assert (claimed["task"], claimed["percentCompleted"], claimed["attempt"]) == (NUMBER, 60, 2)


def test_a_restart_makes_the_report_of_the_old_attempt_count_for_the_current_one(
    api: APIClient, alice: User
) -> None:
    # The documented call names no attempt: it applies to the task as it stands.
    run = a_task(api, alice, "computing", 60)
    restarts.restart(run=run)
    put(api, run, percentCompleted=70)
    assert stands(run) == ("waiting", 70)
    put(api, run, status="done")
    assert stands(run) == ("done", 100)
