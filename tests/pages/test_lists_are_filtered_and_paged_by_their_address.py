"""Filters and cursors of lists stand in the address; every list is bounded."""

import re

import pytest

from runs.pages import run_list, task_list
from tests import factories


def names(response):
    return re.findall(r'<h2><a href="[^"]*">([^<]*)</a>', response.content.decode())


def numbers(response):
    return [int(n) for n in re.findall(r'id="task-(\d+)"', response.content.decode())]


def links(response):
    return {
        text.strip(): href.replace("&amp;", "&")
        for href, text in re.findall(
            r'<a[^>]* href="([^"]*)">(?:<svg.*?</svg>)?([^<]*)', response.content.decode()
        )
    }


def test_runs_are_newest_first_and_paged_both_ways(alice, visit, monkeypatch):
    monkeypatch.setattr(run_list, "PER_PAGE", 2)
    for name in "abcde":
        factories.run(alice, 1, name=name)
    client = visit(alice)
    first = client.get("/runs/")
    second = client.get("/runs/" + links(first)["Older"])
    third = client.get("/runs/" + links(second)["Older"])
    assert [names(first), names(second), names(third)] == [["e", "d"], ["c", "b"], ["a"]]
    assert "Older" not in links(third)
    back = client.get("/runs/" + links(third)["Newer"])
    assert names(back) == ["c", "b"]
    assert names(client.get("/runs/" + links(back)["Newer"])) == ["e", "d"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("search=sea", ["sea ice"]),
        ("search=GLIMS", ["glaciers"]),
        ("namespace=glims", ["glaciers"]),
        ("namespace=glim", []),
        ("state=finished", ["over"]),
        ("state=active", ["glaciers", "sea ice"]),
        ("state=active&search=sea", ["sea ice"]),
        ("state=paused", []),
        ("owner=bob", []),
    ],
)
def test_runs_are_filtered(alice, visit, query, found):
    factories.run(alice, 0, name="over")
    factories.run(alice, 1, name="sea ice")
    factories.run(alice, 1, name="glaciers", namespace="glims")
    assert sorted(names(visit(alice).get(f"/runs/?{query}"))) == sorted(found)


def test_paging_keeps_the_filter(alice, visit, monkeypatch):
    monkeypatch.setattr(run_list, "PER_PAGE", 1)
    for name in ("one x", "two", "three x"):
        factories.run(alice, 1, name=name)
    client = visit(alice)
    first = client.get("/runs/?search=x")
    assert names(client.get("/runs/" + links(first)["Older"])) == ["one x"]


@pytest.mark.parametrize("query", ["state=blub", "search=%00", "created_after=yesterday"])
def test_a_filter_that_makes_no_sense_is_explained(alice, visit, query):
    factories.run(alice, 1, name="hidden")
    response = visit(alice).get(f"/runs/?{query}")
    assert response.status_code == 200
    assert b"errorlist" in response.content
    assert names(response) == []


@pytest.mark.parametrize("query", ["before=x", "after=-1", "before=99999999999999", "after=%00"])
def test_a_cursor_that_makes_no_sense_is_passed_over(alice, visit, query):
    factories.run(alice, 1, name="here")
    assert names(visit(alice).get(f"/runs/?{query}")) == ["here"]


def test_only_staff_is_offered_owners(alice, staff, visit):
    factories.run(alice, 1, name="hers")
    assert b'name="owner"' not in visit(alice).get("/runs/").content
    page = visit(staff).get("/runs/?owner=alice")
    assert b'name="owner"' in page.content
    assert names(page) == ["hers"]


def test_tasks_are_paged_both_ways(alice, visit, monkeypatch):
    monkeypatch.setattr(task_list, "PER_PAGE", 4)
    run = factories.run(alice, 10)
    path = f"/runs/{run.uuid.hex}/tasks"
    client = visit(alice)
    first = client.get(path)
    second = client.get(path + links(first)["Higher numbers"])
    third = client.get(path + links(second)["Higher numbers"])
    assert [numbers(r) for r in (first, second, third)] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9],
    ]  # fmt: skip
    assert numbers(client.get(path + links(third)["Lower numbers"])) == [4, 5, 6, 7]
    assert "Lower numbers" not in links(first)
    assert "Higher numbers" not in links(third)
    assert numbers(client.get(path + "?from=6")) == [6, 7, 8, 9]
    assert numbers(client.get(path + "?until=2")) == [0, 1, 2, 3]


def test_tasks_are_filtered_by_state(alice, visit):
    run = factories.run(alice, 6)
    factories.advance(run, factories.worker(alice), done=2, failed=1, computing=1)
    client = visit(alice)
    for state, found in {
        "done": [0, 1], "failed": [2], "computing": [3], "waiting": [4, 5], "cancelled": [],
        "failed&from=3": [],
    }.items():  # fmt: skip
        assert numbers(client.get(f"/runs/{run.uuid.hex}/tasks?state={state}")) == found


@pytest.mark.parametrize("query", ["from=x", "from=-3", "until=", "until=99999999999", "from=%00"])
def test_a_number_that_makes_no_sense_shows_the_first_page(alice, visit, query):
    run = factories.run(alice, 3)
    assert numbers(visit(alice).get(f"/runs/{run.uuid.hex}/tasks?{query}")) == [0, 1, 2]


def test_live_regions_come_from_the_same_address_without_the_frame(alice, visit):
    run = factories.run(alice, 3, name="tiles")
    client = visit(alice)
    for path in ("/runs/", f"/runs/{run.uuid.hex}/", f"/runs/{run.uuid.hex}/tasks/0"):
        whole = client.get(path)
        live = client.get(path, headers={"X-Requested-With": "live"})
        regions = re.findall(r'data-live id="([^"]+)"', whole.content.decode())
        assert regions
        assert re.findall(r'data-live id="([^"]+)"', live.content.decode()) == regions
        assert b"<header" not in live.content.split(b"<article")[0]
        assert "X-Requested-With" in whole["Vary"]
        assert "no-cache" in whole["Cache-Control"]
