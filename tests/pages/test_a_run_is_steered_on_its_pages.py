"""Pause, resume, cancel, restart with a selection, undo, policy: asked with a number, then told."""

from datetime import timedelta

import pytest

from runs.models import Run, RunEvent, Task
from runs.states import TaskState
from tests import factories


@pytest.fixture
def run(alice):
    run = factories.run(alice, 10, name="tiles")
    return factories.advance(run, factories.worker(alice), done=4, failed=2, computing=1)


def text_of(response):
    return " ".join(response.content.decode().split())


def states(run):
    return dict(Task.objects.filter(run=run).order_by("number").values_list("number", "state"))


def test_pausing_says_what_it_holds_back_and_resuming_what_it_hands_out(alice, run, visit, answer):
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    assert "Pause and hold back 3 tasks" in text_of(client.get(lead + "pause"))
    response = answer(client, lead + "pause", why="the disk is full")
    page = text_of(client.get(response.url))
    assert "3 tasks held back" in page
    assert "the disk is full" in page
    assert "do-resume" in page
    assert "do-pause" not in page
    answer(client, lead + "resume")
    assert Run.objects.get().state == "active"
    assert [one.what for one in RunEvent.objects.order_by("id")] == ["pause", "resume"]


def test_cancelling_says_how_many_it_calls_off(alice, run, visit, answer):
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    assert "Cancel 4 tasks" in text_of(client.get(lead + "cancel"))
    response = answer(client, lead + "cancel")
    assert "Cancelled 4 tasks." in text_of(client.get(response.url))
    assert Run.objects.get().state == "cancelled"
    factories.check_books(run)


def test_what_no_longer_exists_is_refused_with_the_reason(alice, run, visit, answer):
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    answer(client, lead + "pause")
    response = answer(client, lead + "pause")
    assert "The run is paused" in text_of(client.get(response.url))
    assert RunEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("state=failed", [4, 5]),
        ("state=failed&tasks=5-9", [5]),
        ("tasks=0-5", [4, 5]),
        ("state=done&tasks=1,3", [1, 3]),
        ("host=n001", [4, 5, 6]),
        ("host=n999", []),
        ("state=failed&state=done", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_a_selection_is_counted_then_restarted(alice, run, visit, answer, query, numbers):
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    before = states(run)
    one = "1 task" if len(numbers) == 1 else f"{len(numbers)} tasks"
    assert f"Restart {one}" in text_of(client.get(f"{lead}restart?{query}"))
    response = answer(client, f"{lead}restart?{query}")
    assert f"Restarted {one}." in text_of(client.get(response.url))
    moved = [number for number, state in states(run).items() if state != before[number]]
    assert moved == numbers
    factories.check_books(run)


def test_the_tasks_of_one_error_are_restarted(alice, run, visit, answer):
    error = run.failure_tallies.get().fingerprint
    client, path = visit(alice), f"/runs/{run.uuid.hex}/restart?state=failed&error={error}"
    assert "Restart 2 tasks" in text_of(client.get(path))
    answer(client, path)
    assert states(run)[4] == states(run)[5] == TaskState.WAITING
    assert "Restart 0 tasks" in text_of(client.get(path))


def test_some_tasks_are_cancelled_and_the_run_goes_on(alice, run, visit, answer):
    client, path = visit(alice), f"/runs/{run.uuid.hex}/cancel?tasks=0-7"
    assert "Cancel 2 tasks" in text_of(client.get(path))
    response = answer(client, path)
    assert "Cancelled 2 tasks." in text_of(client.get(response.url))
    cancelled = [number for number, state in states(run).items() if state == TaskState.CANCELLED]
    assert cancelled == [6, 7]
    assert Run.objects.get().state == "active"
    factories.check_books(run)


@pytest.mark.parametrize("query", ["state=blub", "tasks=x", "tasks=9-1", "error=x", "host=%00"])
def test_a_selection_that_makes_no_sense_changes_nothing(alice, run, visit, answer, query):
    client, before = visit(alice), states(run)
    response = client.get(f"/runs/{run.uuid.hex}/restart?{query}")
    assert "Nothing was changed." in text_of(client.get(response.url))
    client.get("/runs/new")
    token = client.cookies["csrftoken"].value
    for action in ("restart", "cancel"):
        path = f"/runs/{run.uuid.hex}/{action}?{query}"
        assert client.post(path, {"csrfmiddlewaretoken": token}).status_code == 302
    assert states(run) == before
    assert not RunEvent.objects.exists()


def test_a_restart_is_undone_with_one_button(alice, run, visit, answer):
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    before = states(run)
    answer(client, lead + "restart?state=failed")
    event = RunEvent.objects.get()
    undo = f"{lead}history/{event.pk}/undo"
    for path in (lead, lead + "history"):
        assert undo in text_of(client.get(path))
    token = client.cookies["csrftoken"].value
    response = client.post(undo, {"csrfmiddlewaretoken": token})
    page = text_of(client.get(response.url))
    assert "Undone: 2 tasks are as before." in page
    assert states(run) == before
    assert undo not in page
    factories.check_books(run)


def test_after_ten_minutes_no_undo_is_offered_and_none_is_done(alice, run, visit, answer):
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    answer(client, lead + "restart?state=failed")
    event = RunEvent.objects.get()
    RunEvent.objects.update(at=event.at - timedelta(minutes=10, seconds=1))
    assert "/undo" not in text_of(client.get(lead))
    token = client.cookies["csrftoken"].value
    response = client.post(f"{lead}history/{event.pk}/undo", {"csrfmiddlewaretoken": token})
    assert "cannot be undone any more" in text_of(client.get(response.url))


def test_somebody_else_undoes_nothing(alice, bob, run, visit, answer):
    answer(visit(alice), f"/runs/{run.uuid.hex}/restart?state=failed")
    path = f"/runs/{run.uuid.hex}/history/{RunEvent.objects.get().pk}/undo"
    other = visit(bob)
    other.get("/runs/new")
    token = other.cookies["csrftoken"].value
    assert other.post(path, {"csrfmiddlewaretoken": token}).status_code == 404
    assert visit(alice).post(path).status_code == 403
    assert visit(alice).get(path).status_code == 405
    assert RunEvent.objects.get().undone is None


def policy_of(client, path):
    """The fields of the form as a browser would send them."""
    form = client.get(path).context["form"]
    return {
        bound.html_name: value
        for bound in form
        if (value := bound.value()) is not None and value is not False
    }


def test_a_change_of_the_policy_changes_what_was_changed_alone(alice, run, visit, answer):
    client, path = visit(alice), f"/runs/{run.uuid.hex}/policy"
    Run.objects.update(canary_tasks=2, released=True)
    fields = policy_of(client, path) | {"error_attempts": "3", "why": "flaky"}
    response = answer(client, path, **fields)
    assert "Changed errorAttempts." in text_of(client.get(response.url))
    run.refresh_from_db()
    assert (run.error_attempts, run.lost_attempts, run.released) == (3, 5, True)
    page = text_of(client.get(f"/runs/{run.uuid.hex}/history"))
    assert "errorAttempts: 1 → 3" in page
    assert "flaky" in page


def test_a_policy_that_makes_no_sense_is_refused_at_its_field(alice, run, visit, answer):
    client, path = visit(alice), f"/runs/{run.uuid.hex}/policy"
    fields = policy_of(client, path) | {"backoff": "-1", "fail_percent": "101", "priority": "x"}
    page = text_of(answer(client, path, **fields))
    assert page.count('class="errorlist"') == 3
    assert not RunEvent.objects.exists()


def test_the_history_is_paged(alice, run, visit, monkeypatch):
    from runs import steering
    from runs.pages import history

    monkeypatch.setattr(history, "PER_PAGE", 2)
    for priority in (1, 2, 3):
        steering.change_policy(run=run, who="alice", priority=priority)
    client, path = visit(alice), f"/runs/{run.uuid.hex}/history"
    first = text_of(client.get(path))
    assert "priority: 2 → 3" in first
    assert "priority: 0 → 1" not in first
    last = RunEvent.objects.order_by("-id")[1].pk
    assert "priority: 0 → 1" in text_of(client.get(f"{path}?before={last}"))
