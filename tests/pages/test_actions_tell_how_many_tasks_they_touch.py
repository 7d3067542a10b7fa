"""Every action asks with a number first, and says a number afterwards."""

import re

import pytest

from runs import attempts, queue, restarts
from runs.models import Attempt, Run, RunEvent, Task
from runs.states import Outcome, TaskState
from tests import factories


@pytest.fixture
def run(alice):
    run = factories.run(alice, 10, name="tiles")
    return factories.advance(run, factories.worker(alice), done=4, failed=2, computing=1)


def text_of(response):
    return " ".join(response.content.decode().split())


def test_restart_asks_for_three_and_restarts_three(alice, run, visit, answer):
    client = visit(alice)
    assert "Restart 3 tasks" in text_of(client.get(f"/runs/{run.uuid.hex}/restart"))
    response = answer(client, f"/runs/{run.uuid.hex}/restart")
    assert response.url == f"/runs/{run.uuid.hex}/"
    assert "Restarted 3 tasks." in text_of(client.get(response.url))
    assert Task.objects.filter(run=run, state=TaskState.WAITING).count() == 6
    factories.check_books(run)


def test_restart_all_takes_the_done_ones_too(alice, run, visit, answer):
    client = visit(alice)
    assert "Restart 7 tasks" in text_of(client.get(f"/runs/{run.uuid.hex}/restart-all"))
    response = answer(client, f"/runs/{run.uuid.hex}/restart-all")
    assert "Restarted 7 tasks from the start." in text_of(client.get(response.url))
    assert Task.objects.filter(run=run, state=TaskState.WAITING, percent=0).count() == 10


def test_what_is_said_afterwards_is_what_was_done(alice, run, visit, answer):
    client = visit(alice)
    client.get(f"/runs/{run.uuid.hex}/restart")
    factories.advance(run, factories.worker(alice), failed=1)  # meanwhile
    response = answer(client, f"/runs/{run.uuid.hex}/restart")
    assert "Restarted 4 tasks." in text_of(client.get(response.url))


TURNED = "report \u2069\u202e2026"  # as shown without care: report 6202, and what follows backwards


def test_no_name_turns_the_question_of_a_deletion(alice, visit, answer):
    run = factories.run(alice, 3, name=TURNED, namespace=TURNED, description=TURNED)
    worker = factories.worker(alice, hostname=TURNED)
    [claim] = queue.claim(run=run, worker=worker, want=1)
    queue.report_outcome(run=run, number=claim.number, outcome=Outcome.FAILED, error=TURNED)
    Attempt.objects.update(log_tail=TURNED)
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    pages = ("", "tasks", "tasks/0", "failures", "workers", "timeline", "map?by=host", "delete")
    for path in ("/runs/", f"/workers/{worker.uuid.hex}", *(lead + page for page in pages)):
        words = re.sub("<[^>]*>", "", client.get(path).content.decode())
        assert "report \ufffd\ufffd2026" in words, path
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", words), path
    # Scripts get what was sent.
    told = factories.caller(alice).get(f"/api/runs/{run.uuid.hex}")
    assert TURNED in told.content.decode()
    # A field keeps what it has: it may be sent again.
    policy = client.get(lead + "policy").content.decode()
    assert "report \ufffd\ufffd2026</h1>" in policy
    created = answer(client, "/runs/new", name=TURNED, description=TURNED, num_tasks="ten")
    assert created.content.decode().count(TURNED) == 2
    gone = client.get(answer(client, lead + "delete").url).content.decode()
    assert "Deleted report \ufffd\ufffd2026 with 3 tasks." in gone


def test_delete_asks_and_ends_on_the_list(alice, run, visit, answer):
    client = visit(alice)
    assert "Delete run and 10 tasks" in text_of(client.get(f"/runs/{run.uuid.hex}/delete"))
    response = answer(client, f"/runs/{run.uuid.hex}/delete")
    assert response.url == "/runs/"
    assert "Deleted tiles with 10 tasks." in text_of(client.get("/runs/"))
    assert not Run.objects.exists()


def test_only_actions_that_touch_something_are_offered(alice, visit):
    fresh = factories.run(alice, 3)
    page = text_of(visit(alice).get(f"/runs/{fresh.uuid.hex}/"))
    assert "do-restart" not in page
    assert "do-delete" in page


@pytest.mark.parametrize(("number", "state"), [(0, "done"), (4, "failed"), (6, "computing")])
def test_one_task_is_restarted_from_its_page(alice, run, visit, answer, number, state):
    client = visit(alice)
    lead = f"/runs/{run.uuid.hex}/"
    link = f"{lead}restart?tasks={number}&amp;state={state}"
    assert link in text_of(client.get(f"{lead}tasks/{number}"))
    response = answer(client, link.replace("&amp;", "&"))
    landed = text_of(client.get(response.url))
    assert "Restarted 1 task." in landed
    assert "/undo" not in landed, "an undo of one task is none"
    assert Task.objects.get(run=run, number=number).state == TaskState.WAITING
    assert RunEvent.objects.get(run=run).tasks == 1
    factories.check_books(run)


def test_a_task_that_has_moved_since_the_question_is_left_alone(alice, run, visit, answer):
    client = visit(alice)
    path = f"/runs/{run.uuid.hex}/restart?tasks=0&state=computing"  # it is done by now
    response = answer(client, path)
    assert "Nothing was changed: no task of this selection" in text_of(client.get(response.url))
    assert Task.objects.get(run=run, number=0).state == TaskState.DONE
    assert not RunEvent.objects.filter(run=run).exists()


def test_a_restart_of_an_error_names_it_and_offers_the_way_back(alice, run, visit, answer):
    client = visit(alice)
    lead = f"/runs/{run.uuid.hex}/"
    failures = text_of(client.get(f"{lead}failures"))
    link = re.search(r'href="[^"]*(restart\?[^"]*error=\d+[^"]*)"', failures)
    assert link
    path = lead + link[1].replace("&amp;", "&")
    assert "with the error “boom" in text_of(client.get(path))
    landed = text_of(client.get(answer(client, path).url))
    event = RunEvent.objects.get(run=run)
    assert f'action="{lead}history/{event.pk}/undo"' in landed
    assert "with the error “boom" in text_of(client.get(f"{lead}history"))


def test_each_error_is_named_by_its_own_words_and_briefly(alice, visit, answer):
    run = factories.run(alice, 3, error_attempts=2, backoff=60)
    for error in ("x" * 400, "no such file"):
        [claim] = queue.claim(run=run, worker=factories.worker(alice))
        queue.report_outcome(run=run, number=claim.number, outcome=Outcome.FAILED, error=error)
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/"
    for error, name in (("x" * 400, "x" * 119 + "…"), ("no such file", "no such file")):
        cancel = f"{lead}cancel?error={attempts.fingerprint(error)}"
        assert f"with the error “{name}”" in text_of(client.get(cancel))
        assert "Cancelled 1 task." in text_of(client.get(answer(client, cancel).url))
        assert f"with the error “{name}”" in text_of(client.get(f"{lead}history"))
    assert "with one error" in text_of(client.get(f"{lead}cancel?error=7"))


def test_nobody_is_offered_to_undo_what_another_has_done_meanwhile(
    alice, run, visit, answer, monkeypatch
):
    client, lead, real = visit(alice), f"/runs/{run.uuid.hex}/", restarts.restart

    def twice(**wish):
        count = real(**wish)
        factories.advance(run, factories.worker(alice), failed=2)
        real(run=run, by="bob")
        return count

    monkeypatch.setattr(restarts, "restart", twice)
    landed = text_of(client.get(answer(client, lead + "restart?state=failed").url))
    messages = re.search('<ul class="messages".*?</ul>', landed)[0]
    assert "Restarted 2 tasks." in messages
    assert "/undo" not in messages
    assert "<b>bob</b>" in landed


def test_a_tasks_page_tells_its_attempts(alice, run, visit):
    page = text_of(visit(alice).get(f"/runs/{run.uuid.hex}/tasks/4"))
    assert "Attempt 1" in page
    assert "boom" in page
    assert "n001:1" in page
