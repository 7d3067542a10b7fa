"""``GET runs``: who sees which, every filter, and pages."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from runs.models import Run
from runs.states import RunState
from tests import factories
from tests.api.shape import assert_refused


def names(api: APIClient, **query: object) -> list[str]:
    """The names of the listed runs, in their order."""
    response = api.get("/api/runs", query)
    assert response.status_code == 200, response.content
    return [row["name"] for row in response.json()["data"]]


@pytest.fixture
def farm(alice: User) -> dict[str, Run]:
    """One run of alice's in every state that a filter knows."""
    worker = factories.worker(alice)
    runs = {
        "fresh": factories.run(alice, 3, name="fresh", namespace="ice"),
        "busy": factories.run(alice, 3, name="busy", namespace="ice/2026"),
        "over": factories.run(alice, 2, name="over", namespace="sea"),
        "empty": factories.run(alice, 0, name="empty"),
        "paused": factories.run(alice, 3, name="paused"),
        "paused and over": factories.run(alice, 0, name="paused and over"),
        "cancelled": factories.run(alice, 3, name="cancelled"),
    }
    factories.advance(runs["busy"], worker, computing=3)
    factories.advance(runs["over"], worker, done=1, failed=1)
    for name in ("paused", "paused and over"):
        Run.objects.filter(pk=runs[name].pk).update(state=RunState.PAUSED)
    Run.objects.filter(pk=runs["cancelled"].pk).update(state=RunState.CANCELLED)
    return runs


def test_the_oldest_run_comes_first(api: APIClient, farm: dict[str, Run]) -> None:
    assert names(api) == list(farm)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"name": "US"}, ["busy", "paused", "paused and over"]),
        ({"name": "no such"}, []),
        ({"namespace": "ice"}, ["fresh"]),
        ({"owner": "alice", "namespace": "sea"}, ["over"]),
        ({"owner": "bob"}, []),
        ({"state": "active"}, ["fresh", "busy"]),
        ({"state": "finished"}, ["over", "empty", "paused and over"]),
        ({"state": "paused"}, ["paused"]),
        ({"state": "cancelled"}, ["cancelled"]),
        ({"search": "ice"}, ["fresh", "busy"]),
        ({"search": "over"}, ["over", "paused and over"]),
        ({"name": "", "state": "", "created_after": ""}, None),
        ({"name": "%"}, []),
    ],
)
def test_a_filter_narrows_the_list(
    api: APIClient, farm: dict[str, Run], query: dict[str, str], found: list[str] | None
) -> None:
    assert names(api, **query) == (list(farm) if found is None else found)


def test_a_row_tells_the_state_that_the_filter_and_the_run_itself_tell(
    api: APIClient, farm: dict[str, Run]
) -> None:
    for row in api.get("/api/runs").json()["data"]:
        assert row["state"] == api.get(f"/api/runs/{row['uuid']}").json()["state"]
        assert row["name"] in names(api, state=row["state"])


def test_a_run_is_found_by_the_start_of_its_uuid(api: APIClient, farm: dict[str, Run]) -> None:
    run = farm["busy"]
    for start in (run.uuid.hex, run.uuid.hex[:12], str(run.uuid)[:14], run.uuid.hex[:12].upper()):
        assert names(api, search=start) == ["busy"]


def test_runs_are_found_by_the_time_of_their_creation(api: APIClient, farm: dict[str, Run]) -> None:
    first, second = farm["fresh"], farm["busy"]
    Run.objects.filter(pk=first.pk).update(created=second.created - timedelta(days=2))
    border = (second.created - timedelta(days=1)).isoformat()
    assert names(api, created_before=border) == ["fresh"]
    assert names(api, created_after=border) == list(farm)[1:]
    assert names(api, created_after=second.created.isoformat(), created_before=border) == []


@pytest.mark.parametrize(
    "query",
    [
        {"state": "blub"}, {"created_after": "yesterday"}, {"created_before": "2026-13-01"},
        {"created_after": "0001-01-01T00:00:00+10:00"}, {"name": "\x00"},
        {"created_before": "9999-12-31T23:59:59-10:00"}, {"owner": "\x00"}, {"search": "\x00"},
        {"limit": "0"}, {"limit": "10001"}, {"limit": "ten"}, {"limit": "--5"}, {"limit": "٣"},
        {"after": "-2"}, {"after": "--1"}, {"after": str(2**63)}, {"after": "1e3"},
    ],
)  # fmt: skip
def test_a_value_that_a_filter_does_not_know_is_a_400(
    api: APIClient, farm: dict[str, Run], query: dict[str, str]
) -> None:
    body = assert_refused(api.get("/api/runs", query), 400, "invalid")
    assert set(body["errors"]) == set(query)


def test_pages_lead_from_one_to_the_next_and_keep_the_filters(api: APIClient, alice: User) -> None:
    for number in range(5):
        factories.run(alice, 1, name=f"tile {number}")
        factories.run(alice, 1, name="other")
    address, seen = "/api/runs?limit=2&name=tile", []
    while address:
        body = api.get(address).json()
        assert len(body["data"]) <= 2
        seen += [row["name"] for row in body["data"]]
        address = body["next"]
    assert seen == [f"tile {number}" for number in range(5)]


def test_a_page_that_is_just_full_has_no_next(api: APIClient, alice: User) -> None:
    factories.run(alice, 1)
    factories.run(alice, 1)
    assert api.get("/api/runs?limit=2").json()["next"] is None
    assert api.get("/api/runs?limit=1").json()["next"] is not None


def test_everybody_sees_their_own_runs_and_those_of_their_groups(
    alice: User, bob: User, carol: User, staff: User, caller: Callable[[User], APIClient]
) -> None:
    group = carol.groups.get()
    factories.run(alice, 1, name="alice's own")
    factories.run(alice, 1, name="shared", group=group)
    factories.run(bob, 1, name="bob's")
    everything = ["alice's own", "shared", "bob's"]
    for user, seen in (
        (alice, everything[:2]), (carol, ["shared"]), (bob, ["bob's"]), (staff, everything),
    ):  # fmt: skip
        assert names(caller(user)) == seen


def test_a_run_is_listed_once_however_many_groups_its_reader_has(
    alice: User, carol: User, caller: Callable[[User], APIClient]
) -> None:
    group = carol.groups.get()
    for number in range(3):
        carol.groups.create(name=f"group {number}")
    factories.run(alice, 1, name="shared", group=group)
    assert names(caller(carol)) == ["shared"]
