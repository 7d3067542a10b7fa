"""A run of many inputs, brought by several calls: none is handed out before the last has come."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from rest_framework.test import APIClient

from runs import metrics, queue, steering, uploads
from runs.models import Run, RunEvent
from tests import factories
from tests.api.shape import assert_refused
from tests.runs.threads import start, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)


def begin(api: APIClient, **wish: Any) -> Run:
    """Create a run whose inputs are to come."""
    answer = api.post("/api/run", {"numTasks": 0, "uploading": True, **wish}, format="json")
    assert answer.status_code == 201
    return Run.objects.get(uuid=answer.json()["uuid"])


def append(api: APIClient, run: Run, *values: Any) -> None:
    """Add a task for each value."""
    body = {"inputs": list(values)}
    assert api.post(f"/api/runs/{run.uuid.hex}/tasks", body, format="json").status_code == 201


def end(api: APIClient, run: Run) -> Any:
    """Say that all have come."""
    return api.post(f"/api/runs/{run.uuid.hex}/uploaded")


def history(run: Run) -> list[tuple[str, str, str]]:
    events = RunEvent.objects.filter(run=run).order_by("id")
    return [(one.what, one.who, one.why) for one in events]


BEGUN = ("pause", "", "its inputs are still being uploaded")
ADDED = ("append", "alice", "")


def test_its_tasks_are_handed_out_when_all_have_come(alice: User, api: APIClient) -> None:
    run, worker = begin(api, name="tiles"), factories.worker(alice)
    assert (run.state, run.open, run.name) == ("paused", True, "tiles")
    append(api, run, "a", "b")
    append(api, run, "c")
    assert queue.claim(run=run, worker=worker, want=9) == []
    run.refresh_from_db()
    assert uploads.is_incomplete(run)
    assert end(api, run).status_code == 204
    run.refresh_from_db()
    assert (run.state, run.open, run.num_tasks) == ("active", False, 3)
    assert not uploads.is_incomplete(run)
    assert len(queue.claim(run=run, worker=worker, want=9)) == 3
    assert history(run) == [BEGUN, ADDED, ("uploaded", "alice", "all inputs have arrived")]
    factories.check_books(run)


def test_what_is_said_again_changes_nothing(alice: User, api: APIClient) -> None:
    run = begin(api)
    append(api, run, "a")
    assert end(api, run).status_code == 204
    assert api.post(f"/api/runs/{run.uuid.hex}/pause").status_code == 204
    api.patch(f"/api/runs/{run.uuid.hex}/policy", {"open": True}, format="json")
    before = history(run)
    assert end(api, run).status_code == 204
    run.refresh_from_db()
    assert (run.state, run.open, history(run)) == ("paused", True, before)


@pytest.mark.postgresql
def test_of_those_who_say_so_at_once_one_does_it(alice: User, api: APIClient) -> None:
    run = begin(api)
    append(api, run, "a")
    with transaction.atomic():
        Run.objects.locked(run).get()
        both = [start(lambda: uploads.end(run=run, who="alice")) for _ in range(2)]
        wait_until_blocked(2)
    for one in both:
        one.result(30)
    assert [what for what, _, _ in history(run)] == ["pause", "append", "uploaded"]


@pytest.mark.parametrize("resumed", [False, True])
def test_it_may_stay_open(alice: User, api: APIClient, resumed: bool) -> None:
    run = begin(api)
    append(api, run, "a")
    if resumed:
        steering.resume(run=run, who="alice")
    answer = api.post(f"/api/runs/{run.uuid.hex}/uploaded", {"open": True}, format="json")
    assert answer.status_code == 204
    run.refresh_from_db()
    assert (run.state, run.open, uploads.is_incomplete(run)) == ("active", True, False)
    wrong = api.post(f"/api/runs/{run.uuid.hex}/uploaded", {"open": 2}, format="json")
    assert wrong.status_code == 400


def test_closing_it_by_its_policy_does_not_end_the_upload(alice: User, api: APIClient) -> None:
    run = begin(api)
    append(api, run, "a")
    api.patch(f"/api/runs/{run.uuid.hex}/policy", {"open": False}, format="json")
    told = api.get(f"/api/runs/{run.uuid.hex}").json()
    assert (told["uploading"], told["open"], told["state"]) == (True, False, "paused")
    assert end(api, run).status_code == 204
    assert api.get(f"/api/runs/{run.uuid.hex}").json()["state"] == "active"


def test_who_makes_do_with_what_has_come_says_why(alice: User, api: APIClient) -> None:
    run = begin(api, canaryTasks=1)
    append(api, run, "a", "b")
    body = {"reason": "the rest is of no use"}
    for _ in range(2):
        answer = api.post(f"/api/runs/{run.uuid.hex}/uploaded", body, format="json")
        assert answer.status_code == 204
    run.refresh_from_db()
    assert (run.state, run.open, run.released) == ("active", False, False)
    assert history(run) == [BEGUN, ADDED, ("uploaded", "alice", "the rest is of no use")]
    assert not uploads.is_incomplete(run)


@pytest.mark.parametrize("resumed", [False, True])
def test_the_run_tells_whether_inputs_are_still_to_come(
    alice: User, api: APIClient, resumed: bool
) -> None:
    run = begin(api)
    append(api, run, "a")
    address = f"/api/runs/{run.uuid.hex}"
    if resumed:
        api.post(f"{address}/resume")
    assert api.get(address).json()["uploading"] is True
    end(api, run)
    assert api.get(address).json()["uploading"] is False


def test_a_late_word_closes_no_run_that_was_opened_again(alice: User, api: APIClient) -> None:
    run = begin(api)
    append(api, run, "a")
    address = f"/api/runs/{run.uuid.hex}"
    api.post(f"{address}/resume")
    api.patch(f"{address}/policy", {"open": False}, format="json")
    assert end(api, run).status_code == 204
    api.patch(f"{address}/policy", {"open": True}, format="json")
    assert end(api, run).status_code == 204
    run.refresh_from_db()
    assert (run.open, uploads.is_incomplete(run)) == (True, False)


def test_a_run_without_its_first_inputs_is_not_finished(alice: User, api: APIClient) -> None:
    run = begin(api)
    assert api.get(f"/api/runs/{run.uuid.hex}").json()["state"] == "paused"
    assert len(api.get("/api/runs?state=paused").json()["data"]) == 1
    assert api.get("/api/runs?state=finished").json()["data"] == []
    assert metrics.read_farm()[0]["paused"] == 1
    assert [one.state for one in metrics.read_runs()] == ["paused"]


def take_back(api: APIClient, run: Run) -> Any:
    return api.delete(f"/api/runs/{run.uuid.hex}/uploaded")


def test_an_upload_that_is_given_up_is_deleted(alice: User, api: APIClient) -> None:
    run = begin(api)
    append(api, run, "a", "b")
    assert take_back(api, run).status_code == 204
    assert sum(factories.count_rows().values()) == 0
    assert_refused(take_back(api, run), 404, "run_not_found")


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "uploaded"])
def test_what_somebody_has_taken_in_hand_is_not_taken_back(
    alice: User, api: APIClient, verb: str
) -> None:
    run = begin(api, failCount=1)
    append(api, run, "a", "b", "c")
    api.post(f"/api/runs/{run.uuid.hex}/{verb}")
    assert_refused(take_back(api, run), 409, "state_conflict")
    if verb == "uploaded":  # its answer was lost, and then its policy has paused the run
        run.refresh_from_db()
        factories.advance(run, factories.worker(alice), done=1, failed=1)
        steering.enforce_policy(run, failed=True)
        assert run.state == "paused"
        assert_refused(take_back(api, run), 409, "state_conflict")
    assert run.tasks.count() == 3


def test_canaries_that_are_still_to_come_are_not_judged(alice: User, api: APIClient) -> None:
    run, worker = begin(api, canaryTasks=2), factories.worker(alice)
    address = f"/api/runs/{run.uuid.hex}"
    api.patch(f"{address}/policy", {"priority": 3}, format="json")
    api.post(f"{address}/pause")
    api.post(f"{address}/resume")
    append(api, run, "a")
    run.refresh_from_db()
    factories.advance(run, worker, done=1)
    append(api, run, *"bcdefgh")
    end(api, run)
    run.refresh_from_db()
    assert not run.released
    assert len(queue.claim(run=run, worker=worker, want=9)) == 1


def test_canaries_come_first_all_the_same(alice: User, api: APIClient) -> None:
    run = begin(api, canaryTasks=1)
    append(api, run, "a", "b", "c")
    end(api, run)
    run.refresh_from_db()
    assert not run.released
    assert len(queue.claim(run=run, worker=factories.worker(alice), want=9)) == 1


@pytest.mark.parametrize(("verb", "state"), [("resume", "active"), ("pause", "paused")])
def test_who_has_taken_it_in_hand_meanwhile_has_the_last_word(
    alice: User, api: APIClient, verb: str, state: str
) -> None:
    run = begin(api)
    append(api, run, "a")
    assert api.post(f"/api/runs/{run.uuid.hex}/{verb}").status_code == 204
    append(api, run, "b")
    assert end(api, run).status_code == 204
    run.refresh_from_db()
    assert (run.state, run.open, run.num_tasks) == (state, False, 2)
    assert not uploads.is_incomplete(run)


def test_who_cancels_it_ends_the_upload(alice: User, api: APIClient) -> None:
    run = begin(api)
    append(api, run, "a")
    api.post(f"/api/runs/{run.uuid.hex}/cancel")
    more = api.post(f"/api/runs/{run.uuid.hex}/tasks", {"inputs": ["b"]}, format="json")
    assert_refused(more, 409, "state_conflict")
    assert end(api, run).status_code == 204
    run.refresh_from_db()
    assert (run.state, run.num_tasks) == ("cancelled", 1)


def test_only_a_run_that_was_begun_so_can_be_ended_so(alice: User, api: APIClient) -> None:
    run = factories.run(alice, 3, open=True)
    api.post(f"/api/runs/{run.uuid.hex}/pause", {"reason": BEGUN[2]}, format="json")
    refusal = assert_refused(end(api, run), 409, "state_conflict")
    assert "not begun as one whose tasks are to come" in str(refusal)
    run.refresh_from_db()
    assert (run.state, run.open) == ("paused", True)


@pytest.mark.parametrize(
    ("wish", "field", "reason"),
    [
        ({"numTasks": 3}, "numTasks", "Must be 0 where the tasks are to come."),
        ({"open": True}, "open", "is closed when they have; `uploaded` may say `open`."),
    ],
)
def test_what_contradicts_that_tasks_are_to_come_is_refused(
    alice: User, api: APIClient, wish: dict[str, Any], field: str, reason: str
) -> None:
    answer = api.post("/api/run", {"numTasks": 0, "uploading": True, **wish}, format="json")
    ((told,),) = assert_refused(answer, 400, "invalid")["errors"].values()
    assert (list(answer.json()["errors"]), reason in told) == ([field], True)
    assert not Run.objects.exists()


def test_nobody_ends_the_upload_of_somebody_else(alice: User, bob: User, api: APIClient) -> None:
    run = begin(factories.caller(bob))
    assert_refused(end(api, run), 404, "run_not_found")
    run.refresh_from_db()
    assert run.state == "paused"
