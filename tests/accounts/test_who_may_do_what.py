"""A run is its owner's, its group's and staff's, on every call; a worker is its owner's alone."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from rest_framework.test import APIClient

from runs.models import Run, Worker
from tests import factories
from tests.api.shape import assert_refused

Calls = Callable[[APIClient, Run, Worker], object]

CALLS: dict[str, tuple[int, Calls]] = {
    "look at the run": (200, lambda api, run, _: api.get(f"/api/runs/{run.uuid.hex}")),
    "look at one of its numbers": (
        200, lambda api, run, _: api.get(f"/api/runs/{run.uuid.hex}?info=numDone"),
    ),
    "look at a task": (200, lambda api, run, _: api.get(f"/api/runs/{run.uuid.hex}/tasks/0")),
    "list the tasks": (200, lambda api, run, _: api.get(f"/api/runs/{run.uuid.hex}/tasks")),
    "claim a task": (201, lambda api, run, worker: api.post(
        f"/api/runs/{run.uuid.hex}/task", {"worker_uuid": worker.uuid.hex}, format="json")),
    "report progress": (204, lambda api, run, _: api.put(
        f"/api/runs/{run.uuid.hex}/tasks/0", {"percentCompleted": 1}, format="json")),
    "report an outcome": (204, lambda api, run, _: api.put(
        f"/api/runs/{run.uuid.hex}/tasks/0", {"status": "done"}, format="json")),
    "restart": (204, lambda api, run, _: api.post(f"/api/runs/{run.uuid.hex}/restart")),
    "delete": (204, lambda api, run, _: api.delete(f"/api/runs/{run.uuid.hex}")),
}  # fmt: skip


@pytest.fixture
def shared(alice: User, carol: User) -> Run:
    """A run of alice's that belongs to the group of alice and carol."""
    return factories.run(alice, 3, group=Group.objects.get(name="glaciers"))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("who", ["alice", "carol", "staff"])
def test_the_owner_a_member_of_the_group_and_staff_may(
    shared: Run, staff: User, who: str, name: str
) -> None:
    user = User.objects.get(username=who)
    status, make = CALLS[name]
    response = make(factories.caller(user), shared, factories.worker(user))
    assert response.status_code == status  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", CALLS)
def test_anybody_else_may_not_even_know_that_it_exists(shared: Run, bob: User, name: str) -> None:
    # Nor through a group of his own.
    bob.groups.create(name="another group")
    worker = factories.worker(bob)
    before = factories.count_rows(), list(shared.tasks.order_by("id").values())
    assert_refused(CALLS[name][1](factories.caller(bob), shared, worker), 404, "run_not_found")
    assert (factories.count_rows(), list(shared.tasks.order_by("id").values())) == before
    factories.check_books(shared)


@pytest.mark.parametrize("name", CALLS)
def test_a_run_without_a_group_is_not_for_the_owners_groups(
    alice: User, carol: User, name: str
) -> None:
    private = factories.run(alice, 3)
    response = CALLS[name][1](factories.caller(carol), private, factories.worker(carol))
    assert_refused(response, 404, "run_not_found")


@pytest.mark.parametrize("who", ["carol", "staff"])
def test_nobody_claims_with_somebody_elses_worker(
    shared: Run, alice: User, staff: User, who: str
) -> None:
    # Not even who may work on the run: a worker's UUID is no secret, its account is what counts.
    worker = factories.worker(alice)
    make = CALLS["claim a task"][1]
    response = make(factories.caller(User.objects.get(username=who)), shared, worker)
    assert_refused(response, 404, "worker_not_found")


def test_a_run_is_created_for_a_group_only_by_its_members_and_staff(
    carol: User, bob: User, staff: User
) -> None:
    body = {"numTasks": 1, "group": "glaciers"}
    created = factories.caller(carol).post("/api/run", body, format="json")
    assert created.status_code == 201
    assert (created.json()["owner"], created.json()["group"]) == ("carol", "glaciers")
    assert factories.caller(staff).post("/api/run", body, format="json").status_code == 201
    refused = factories.caller(bob).post("/api/run", body, format="json")
    assert list(assert_refused(refused, 400, "invalid")["errors"]) == ["group"]


def test_a_run_belongs_to_whoever_created_it_whatever_the_body_says(alice: User, bob: User) -> None:
    body = {"numTasks": 1, "owner": "alice"}
    assert_refused(factories.caller(bob).post("/api/run", body, format="json"), 400, "invalid")
    assert not Run.objects.exists()
