"""Pause, resume, cancel, restart with a selection, undo, policy: asked with a number, then told."""

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from runs import policy, restarts, steering
from runs.models import Run, RunEvent, Task
from runs.states import TaskState
from tests import factories

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
ANOTHER_POLICY = {
    "priority": 7, "lost_attempts": 9, "timeout_attempts": 2, "backoff": 0.1, "heartbeat": 20.5,
    "task_timeout": 60.0, "start_after": None, "expire_at": NEW_YEAR, "fail_count": 5,
    "fail_percent": 12.5, "fail_now": False, "canary_tasks": 3, "canary_percent": 75.0,
    "open": False, "template": "c {x}\nd",
}  # fmt: skip


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
    told = f"Restarted {one}." if numbers else "Nothing was changed: no task of this selection"
    assert told in text_of(client.get(response.url))
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


@pytest.mark.parametrize(
    "query",
    ["state=blub", "tasks=x", "tasks=9-1", "tasks=0-5,10", "tasks=0-99", "error=x", "host=%00"],
)
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
    response = answer(client, lead + "restart?state=failed")
    assert "/undo" in text_of(client.get(response.url))  # beside what was just done, and below
    event = RunEvent.objects.get()
    RunEvent.objects.update(at=event.at - timedelta(minutes=10, seconds=1))
    assert "/undo" not in text_of(client.get(lead))
    token = client.cookies["csrftoken"].value
    response = client.post(f"{lead}history/{event.pk}/undo", {"csrfmiddlewaretoken": token})
    assert "cannot be undone any more" in text_of(client.get(response.url))


def test_an_undo_is_promised_for_more_than_one_task_only(alice, run, visit):
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    promise = "It can be undone for ten minutes."
    failed = min(run.tasks.filter(state=TaskState.FAILED).values_list("number", flat=True))
    assert promise in text_of(client.get(lead + "restart?state=failed"))
    assert promise in text_of(client.get(lead + "restart-all"))
    for one in (f"restart?tasks={failed}", "restart?state=computing", "cancel"):
        assert promise not in text_of(client.get(lead + one))


def test_an_undo_of_tasks_that_have_moved_says_that_nothing_was_undone(alice, run, visit, answer):
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    answer(client, lead + "restart?state=failed")
    event = RunEvent.objects.get()
    waiting = run.tasks.filter(state=TaskState.WAITING).count()
    factories.advance(run, factories.worker(alice, pid=2), done=waiting)
    before = states(run)
    token = client.cookies["csrftoken"].value
    response = client.post(f"{lead}history/{event.pk}/undo", {"csrfmiddlewaretoken": token})
    page = text_of(client.get(response.url))
    assert "Nothing was undone: each of the restarted tasks has moved since" in page
    assert not run.events.filter(what="undo").exists()
    assert "is-warning" in page
    assert "0 tasks are as before" not in page
    assert states(run) == before


def test_who_undoes_what_another_is_just_undoing_is_told_so(alice, run, visit, answer, monkeypatch):
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    before = states(run)
    answer(client, lead + "restart?state=failed")
    event, pieces_of = RunEvent.objects.get(), restarts._pieces_of

    def meanwhile(*wish):  # it is known to be undone by nobody, and no task has been looked for
        monkeypatch.undo()
        assert restarts.undo(run=run, event=event, by="bob") == 2
        return pieces_of(*wish)

    monkeypatch.setattr(restarts, "_pieces_of", meanwhile)
    token = client.cookies["csrftoken"].value
    response = client.post(f"{lead}history/{event.pk}/undo", {"csrfmiddlewaretoken": token})
    assert "somebody else has just undone it" in text_of(client.get(response.url))
    assert states(run) == before
    assert [one.who for one in run.events.filter(what="undo")] == ["bob"]
    factories.check_books(run)


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


class Fields(HTMLParser):
    """The fields of a page's form as a browser would send them."""

    def __init__(self, page):
        super().__init__()
        self.sent, self.textarea = {}, None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, pairs):
        given = dict(pairs)
        if tag == "textarea":
            self.textarea, self.sent[given["name"]] = given["name"], ""
        elif tag == "input" and given.get("name") not in (None, "csrfmiddlewaretoken"):
            box = given["type"] == "checkbox"
            if not box or "checked" in given:
                self.sent[given["name"]] = lines_sent(given.get("value", "on" if box else ""))

    def handle_endtag(self, tag):
        if tag == "textarea":  # the first end of a line belongs to the tag
            text = self.sent[self.textarea].removeprefix("\r").removeprefix("\n")
            self.sent[self.textarea], self.textarea = lines_sent(text), None

    def handle_data(self, data):
        if self.textarea:
            self.sent[self.textarea] += data


def lines_sent(text):
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def policy_of(client, path):
    return Fields(client.get(path).content.decode()).sent


def test_a_change_of_the_policy_changes_what_was_changed_alone(alice, run, visit, answer):
    client, path = visit(alice), f"/runs/{run.uuid.hex}/policy"
    Run.objects.update(canary_tasks=2, released=True)
    fields = policy_of(client, path) | {"error_attempts": "3", "why": "flaky"}
    response = answer(client, path, **fields)
    assert "Changed: Tries after errors." in text_of(client.get(response.url))
    run.refresh_from_db()
    assert (run.error_attempts, run.lost_attempts, run.released) == (3, 5, True)
    page = text_of(client.get(f"/runs/{run.uuid.hex}/history"))
    assert "Tries after errors: 1 → 3" in page
    assert "flaky" in page


def test_the_history_says_yes_and_no_and_none_of_options(alice, run, visit):
    steering.change_policy(run=run, who="alice", open=True, task_timeout=60)
    steering.change_policy(run=run, who="alice", open=False, task_timeout=None, template="True x")
    page = text_of(visit(alice).get(f"/runs/{run.uuid.hex}/history"))
    for change in (
        "Open: takes more tasks: no → yes", "Open: takes more tasks: yes → no",
        "Timeout, in seconds: none → 60.0", "Timeout, in seconds: 60.0 → none", " → True x",
    ):  # fmt: skip
        assert change in page, change


def test_a_form_that_was_shown_long_ago_takes_nobodys_change_back(alice, run, visit, answer):
    """Every option is changed by somebody else while alice has the form before her."""
    client, path = visit(alice), f"/runs/{run.uuid.hex}/policy"
    Run.objects.update(template="a {x}\n b", start_after=NEW_YEAR, fail_now=True, open=True)
    fields = policy_of(client, path) | {"error_attempts": "3"}
    steering.change_policy(run=run, who="bob", **ANOTHER_POLICY)
    response = answer(client, path, **fields)
    assert "Changed: Tries after errors." in text_of(client.get(response.url))
    now = Run.objects.values(*ANOTHER_POLICY, "error_attempts").get()
    assert now == {**ANOTHER_POLICY, "error_attempts": 3}


def test_what_nobody_has_changed_is_not_written(alice, run, visit, answer):
    """Nor what a browser sends otherwise than it is kept: ends of lines, parts of a second."""
    client, path = visit(alice), f"/runs/{run.uuid.hex}/policy"
    exact = NEW_YEAR + timedelta(microseconds=123_456)
    Run.objects.update(template="a {x}\nb", start_after=exact, backoff=0.1, fail_now=True)
    page = text_of(client.get(answer(client, path, **policy_of(client, path)).url))
    assert "Nothing was changed" in page
    assert not RunEvent.objects.exists()
    kept = Run.objects.values_list("template", "start_after", "backoff", "fail_now").get()
    assert kept == ("a {x}\nb", exact, 0.1, True)


@pytest.mark.parametrize(
    ("option", "theirs", "mine", "now"),
    [
        ("priority", 7, "9", "7"),
        ("task_timeout", 60.5, "", "60.5"),
        ("template", "one\n two", "three", "one\r\n two"),
        ("expire_at", datetime(2027, 2, 1, tzinfo=UTC), "2028-01-01T00:00:00",
         "2027-02-01T00:00:00"),
    ],
)  # fmt: skip
def test_who_wants_the_same_option_otherwise_is_shown_what_it_is_now(
    alice, run, visit, answer, option, theirs, mine, now
):
    client, path = visit(alice), f"/runs/{run.uuid.hex}/policy"
    Run.objects.update(task_timeout=50, expire_at=NEW_YEAR)
    fields = policy_of(client, path) | {option: mine, "lost_attempts": "8"}
    steering.change_policy(run=run, who="bob", error_attempts=4, **{option: theirs})
    response = answer(client, path, **fields)
    assert text_of(response).count("Somebody else has changed this") == 1
    assert Run.objects.values(option, "lost_attempts").get() == {option: theirs, "lost_attempts": 5}
    shown = Fields(response.content.decode()).sent
    assert (shown[option], shown["error_attempts"], shown["lost_attempts"]) == (now, "4", "8")
    # Who wants it all the same says so once more.
    response = answer(client, path, **(shown | {option: mine}))
    assert "Tries after lost workers" in text_of(client.get(response.url))
    after = Run.objects.values("lost_attempts", "error_attempts", option).get()
    assert (after["lost_attempts"], after["error_attempts"]) == (8, 4)
    assert after[option] != theirs


def test_a_template_of_several_lines_is_kept_without_carriage_returns(alice, run, visit, answer):
    client, path = visit(alice), f"/runs/{run.uuid.hex}/policy"
    answer(client, path, **(policy_of(client, path) | {"template": "a {x}\r\nb"}))
    assert Run.objects.get().template == "a {x}\nb"


def test_who_is_faster_by_less_than_a_request_is_not_written_over(
    alice, run, visit, answer, monkeypatch
):
    """Bob's change comes after the form was compared and before it is written."""
    client, path = visit(alice), f"/runs/{run.uuid.hex}/policy"
    fields = policy_of(client, path) | {"priority": "9", "backoff": "1"}
    check = policy.check

    def check_and_lose(options):
        monkeypatch.undo()
        steering.change_policy(run=Run.objects.get(), who="bob", priority=7)
        return check(options)

    monkeypatch.setattr(policy, "check", check_and_lose)
    response = answer(client, path, **fields)
    assert text_of(response).count("Somebody else has changed this") == 1
    assert Run.objects.values_list("priority", "backoff").get() == (7, 10.0)
    assert [one.who for one in RunEvent.objects.all()] == ["bob"]


def test_two_who_want_the_same_are_of_one_mind(alice, run, visit, answer):
    client, path = visit(alice), f"/runs/{run.uuid.hex}/policy"
    fields = policy_of(client, path) | {"priority": "7", "open": "on"}
    steering.change_policy(run=run, who="bob", priority=7, open=True)
    assert answer(client, path, **fields).status_code == 302
    assert Run.objects.values_list("priority", "open").get() == (7, True)


def test_a_policy_that_makes_no_sense_is_refused_at_its_field(alice, run, visit, answer):
    client, path = visit(alice), f"/runs/{run.uuid.hex}/policy"
    fields = policy_of(client, path) | {"backoff": "-1", "fail_percent": "101", "priority": "x"}
    page = text_of(answer(client, path, **fields))
    assert page.count('class="errorlist"') == 3
    assert not RunEvent.objects.exists()


@pytest.mark.parametrize("field", ["start_after", "expire_at"])
@pytest.mark.parametrize(
    "moment",
    ["9999-12-31T23:59:59", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "0001-01-01"],
)
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_a_moment_that_could_not_be_read_back_is_refused_at_its_field(
    alice, run, visit, answer, settings, field, moment, zone
):
    settings.TIME_ZONE = zone
    client = visit(alice)
    for path in (f"/runs/{run.uuid.hex}/policy", "/runs/new"):
        fields = policy_of(client, path) | {"num_tasks": "1", field: moment}
        page = text_of(answer(client, path, **fields))
        assert page.count('class="errorlist"') == 1
        assert "Must lie in the years 2 to 9998 in UTC" in page
    assert Run.objects.values_list("start_after", "expire_at").get() == (None, None)
    assert client.get("/runs/").status_code == 200


def test_the_history_is_paged(alice, run, visit, monkeypatch):
    from runs.pages import history

    monkeypatch.setattr(history, "PER_PAGE", 2)
    for priority in (1, 2, 3):
        steering.change_policy(run=run, who="alice", priority=priority)
    client, path = visit(alice), f"/runs/{run.uuid.hex}/history"
    first = text_of(client.get(path))
    assert "Priority: 2 → 3" in first
    assert "Priority: 0 → 1" not in first
    last = RunEvent.objects.order_by("-id")[1].pk
    assert "Priority: 0 → 1" in text_of(client.get(f"{path}?before={last}"))
