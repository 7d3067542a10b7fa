"""The list of tasks by selection, and the page of one: why it stands where it does, its input."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from runs import appending, finding, lifecycle, queue, steering
from runs.models import Attempt, Run, Task
from runs.pages import task_list
from runs.states import Outcome
from runs.templatetags.farm import exact
from tests import factories


def text_of(response):
    return " ".join(response.content.decode().split())


def numbers(response):
    return [int(n) for n in re.findall(r'id="task-(\d+)"', response.content.decode())]


@pytest.fixture
def run(alice):
    run = factories.run(alice, 12, name="tiles")
    factories.advance(run, factories.worker(alice, hostname="n1"), done=3, failed=2)
    return factories.advance(run, factories.worker(alice, hostname="n2"), done=1, computing=2)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("host=n1", [0, 1, 2, 3, 4]),
        ("host=n2&state=computing", [6, 7]),
        ("host=n3", []),
        ("tasks=1-3,9", [1, 2, 3, 9]),
        ("tasks=1-3,9&state=done", [1, 2]),
        ("state=failed&state=computing", [3, 4, 6, 7]),
        ("older=100000", []),
        ("older=0&state=failed", [3, 4]),
        ("state=waiting&tasks=0-9", [8, 9]),
    ],
)
def test_tasks_are_found_by_a_selection(alice, run, visit, query, found):
    Task.objects.filter(run=run, updated__isnull=False).update(updated="2020-01-01T00:00:00Z")
    if "100000" in query:
        Task.objects.filter(run=run).update(updated=None)
    response = visit(alice).get(f"/runs/{run.uuid.hex}/tasks?{query}")
    assert numbers(response) == found


def test_tasks_are_found_by_their_error(alice, run, visit):
    for claim in queue.claim(run=run, worker=factories.worker(alice), want=1):
        queue.report_outcome(
            run=run, number=claim.number, outcome=Outcome.FAILED, error="no such file"
        )
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/tasks?state=failed&error="
    prints = sorted(run.failure_tallies.values_list("count", "fingerprint"))
    assert numbers(client.get(f"{lead}{prints[0][1]}")) == [8]
    assert numbers(client.get(f"{lead}{prints[1][1]}")) == [3, 4]


def test_a_page_looks_through_a_bounded_part_and_says_so(alice, visit, monkeypatch):
    monkeypatch.setattr(finding, "WINDOWS", (4,))
    monkeypatch.setattr(task_list, "PER_PAGE", 2)
    run = factories.run(alice, 12)
    factories.advance(run, factories.worker(alice, hostname="n1"), done=1)
    factories.advance(run, factories.worker(alice, hostname="n2"), done=8)
    factories.advance(run, factories.worker(alice, hostname="n1"), done=2)
    client, found = visit(alice), []
    query = "?host=n1"
    for _ in range(9):
        response = client.get(f"/runs/{run.uuid.hex}/tasks{query}")
        found += numbers(response)
        following = re.search(r'id="tasks-following" href="([^"]*)"', response.content.decode())
        if following is None:
            break
        query = following[1].replace("&amp;", "&")
    assert found == [0, 9, 10]
    first = client.get(f"/runs/{run.uuid.hex}/tasks?host=n1")
    assert "Looked through the tasks up to 3" in text_of(first)


def test_what_is_found_can_be_restarted_or_cancelled_as_a_whole(alice, run, visit):
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    assert 'id="all-' not in text_of(client.get(lead + "tasks"))
    page = text_of(client.get(lead + "tasks?state=failed"))
    assert f"{lead}restart?state=failed&amp;back=run-tasks" in page
    assert 'id="all-cancel"' not in page
    page = text_of(client.get(lead + "tasks?host=n2"))
    assert f"{lead}cancel?host=n2&amp;back=run-tasks" in page


@pytest.mark.parametrize("query", ["tasks=x", "older=x", "error=-1", "state=blub&tasks=1"])
def test_a_filter_that_makes_no_sense_is_explained_and_shows_nothing(alice, run, visit, query):
    response = visit(alice).get(f"/runs/{run.uuid.hex}/tasks?{query}")
    assert b"errorlist" in response.content
    assert numbers(response) == []


def test_a_task_tells_why_it_stands_where_it_does(alice, run, visit):
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/tasks/"
    assert "Failed after 1 attempt: boom" in text_of(client.get(lead + "3"))
    assert "Computing: on n2 for" in text_of(client.get(lead + "6"))
    steering.pause(run=run, who="alice", why="quota")
    assert "the run is paused" in text_of(client.get(lead + "9"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("OSError: [Errno 122] quota of /scratch", "OSError: [Errno 122] quota of /scratch"),
        ("Traceback:\n  File 'a.py', line 3\nKeyError: 77\n", "KeyError: 77"),
        (None, "no message"),
    ],
)
def test_a_failed_task_tells_its_own_error_in_full(alice, visit, error, told):
    run = factories.run(alice, 1)
    for times in ("1 attempt", "2 attempts"):
        claim = queue.claim(run=run, worker=factories.worker(alice))[0]
        queue.report_outcome(run=run, number=claim.number, outcome=Outcome.FAILED, error=error)
        page = text_of(visit(alice).get(f"/runs/{run.uuid.hex}/tasks/0"))
        assert f"Failed after {times}: {told}." in page
        lifecycle.requeue_one(run=run, number=0, by="alice")


def test_a_waiting_task_is_restarted_where_that_changes_something(alice, visit):
    run = factories.run(alice, 3, error_attempts=2, backoff=60)
    [claim] = queue.claim(run=run, worker=factories.worker(alice))
    queue.report_outcome(run=run, number=claim.number, outcome=Outcome.FAILED, error="x")
    Task.objects.filter(run=run, number=1).update(percent=40)
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/tasks/"
    offered = [
        "do-restart" in client.get(f"{lead}{number}").content.decode() for number in range(3)
    ]
    assert offered == [True, True, False]


@pytest.mark.parametrize(("took", "shown"), [(0.2, "200 ms"), (2.5, "2.5 s"), (200, "3 min 20 s")])
def test_an_attempt_tells_how_long_it_took_and_from_when_to_when(alice, visit, took, shown):
    run = factories.run(alice, 1)
    factories.advance(run, factories.worker(alice), done=1)
    ended = datetime(2026, 3, 1, 12, tzinfo=UTC)
    Attempt.objects.update(started=ended - timedelta(seconds=took), ended=ended)
    page = text_of(visit(alice).get(f"/runs/{run.uuid.hex}/tasks/0"))
    started = exact(ended - timedelta(seconds=took))
    assert f"{shown} · {started} to {exact(ended)} · ended" in page


def test_a_task_shows_its_input_and_is_cancelled_alone(alice, visit, answer):
    run = lifecycle.create_run(owner=alice, num_tasks=0, name="tiles", open=True)
    appending.append(run=run, values=[{"tile": "N60W030", "year": 2026}, "<b>"], who="alice")
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    page = client.get(lead + "tasks/0").content.decode()
    assert "&quot;tile&quot;: &quot;N60W030&quot;," in page
    assert "<b>" not in client.get(lead + "tasks/1").content.decode().split("<h2")[1][:400]
    assert f"{lead}cancel?tasks=1" in client.get(lead + "tasks/1").content.decode()
    answer(client, lead + "cancel?tasks=1")
    assert Task.objects.get(run=run, number=1).get_state_display() == "cancelled"
    assert Run.objects.get().state == "active"


def test_a_task_that_was_called_off_tells_by_whom_and_why(alice, visit, answer):
    run = factories.run(alice, 12, name="tiles")
    factories.advance(run, factories.worker(alice), computing=2)
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    answer(client, f"{lead}cancel?tasks=1-4", why="no data there")
    answer(client, f"{lead}cancel?tasks=6", why="too dark")
    answer(client, f"{lead}cancel?tasks=6")  # there is nothing left of it
    answer(client, f"{lead}cancel?host=n001", why="a bad disk")
    answer(client, f"{lead}cancel", why="enough")
    told = {number: text_of(client.get(f"{lead}tasks/{number}")) for number in (1, 3, 6, 0, 9)}
    for number, why in {
        1: "no data there", 3: "no data there", 6: "too dark", 0: "a bad disk", 9: "enough",
    }.items():  # fmt: skip
        assert re.search(
            rf"Cancelled: called off since [-0-9: ]+ UTC by alice: {why}", told[number]
        )
    history = text_of(client.get(f"{lead}history"))
    for words in ("cancelled 4 tasks", "tasks 1-4", "cancelled 1 task", "on n001"):
        assert words in history
    assert history.count("too dark") == 1
    assert "cancel-tasks" not in history


@pytest.mark.once
@pytest.mark.parametrize(
    ("ranges", "first", "count", "found"),
    [
        (((0, 9),), 0, 100, ((0, 9),)),
        (((0, 9), (20, 29)), 5, 7, ((5, 9), (20, 21))),
        (((0, 9), (20, 29)), 15, 3, ((20, 22),)),
        (((0, 9),), 10, 3, ((0, 9),)),
        ((), 0, 3, ()),
    ],
)
def test_a_window_asks_for_the_next_numbers_alone(ranges, first, count, found):
    assert finding.following_of(ranges, first, count) == found


def test_a_page_is_filled_from_wider_and_wider_windows(alice, visit, monkeypatch):
    monkeypatch.setattr(finding, "WINDOWS", (2, 4, 100))
    monkeypatch.setattr(task_list, "PER_PAGE", 3)
    run = factories.run(alice, 20)
    for host, count in (("n1", 1), ("n2", 4), ("n1", 1), ("n2", 6), ("n1", 3)):
        factories.advance(run, factories.worker(alice, hostname=host), done=count)
    for query in ("host=n1", "host=n1&state=done", "host=n1&state=done&tasks=0-19"):
        page = visit(alice).get(f"/runs/{run.uuid.hex}/tasks?{query}")
        assert numbers(page) == [0, 5, 12], query
        assert "from=13" in text_of(page)
