"""The admin: people are managed, runs are steered through the lifecycle, the rest is looked at."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User

from runs import admin, steering, tallies, uploads
from runs.admin import FARTHEST, BoundedPaginator
from runs.models import Attempt, Run, RunEvent, Task, Worker
from runs.states import Outcome, TaskState
from tests import factories


@pytest.fixture
def run(alice):
    run = factories.run(alice, 10, name="tiles")
    return factories.advance(run, factories.worker(alice), done=4, failed=2, computing=1)


@pytest.fixture
def root(db, visit):
    return visit(factories.user("root", is_staff=True, is_superuser=True))


def act(answer, client, name, run, **fields):
    return answer(client, "/admin/runs/run/", action=name, _selected_action=run.pk, **fields)


def test_runs_are_shown_with_their_counts(root, run):
    page = root.get("/admin/runs/run/").content.decode()
    assert "tiles" in page
    for column, count in (("waiting", 3), ("computing", 1), ("done", 4), ("failed", 2)):
        assert f'<td class="field-{column}">{count}</td>' in page


def test_failed_logins_are_called_so(root):
    page = root.get("/admin/").content.decode()
    assert "Failed logins" in page
    assert "Axes" not in page
    assert "Access logs" not in page, "which are not kept"


@pytest.mark.parametrize(
    ("name", "asked", "said"),
    [("restart_unfinished", "3 tasks", "Restarted 3"), ("restart_all", "7 tasks", "Restarted 7")],
)
def test_a_restart_asks_and_says_how_many(root, run, answer, name, asked, said):
    assert asked in act(answer, root, name, run).content.decode()
    assert Task.objects.filter(run=run, state=TaskState.WAITING).count() == 3
    response = act(answer, root, name, run, post="yes")
    assert f"{said} tasks." in root.get(response.url).content.decode()
    factories.check_books(run)


@pytest.mark.parametrize(
    ("name", "state", "asked", "said", "what"),
    [
        ("pause", "active", "3 tasks", "Paused 1 run: 3 tasks held back.", "pause"),
        ("resume", "paused", "3 tasks", "Resumed 1 run: 3 tasks can be handed out.", "resume"),
        ("cancel", "active", "4 tasks", "Cancelled 4 tasks of 1 run.", "cancel"),
        ("restart_unfinished", "active", "3 tasks", "Restarted 3 tasks.", "restart"),
    ],
)
def test_an_action_asks_and_is_kept_with_name_and_reason(
    root, run, answer, name, state, asked, said, what
):
    Run.objects.filter(pk=run.pk).update(state=state)
    page = act(answer, root, name, run).content.decode()
    assert asked in page
    assert 'name="why"' in page
    assert not RunEvent.objects.exists(), "asking changes nothing"
    response = act(answer, root, name, run, post="yes", why=" the disk\0 is full ")
    assert said in root.get(response.url).content.decode()
    event = RunEvent.objects.get()
    assert (event.what, event.who, event.why) == (what, "root", "the disk is full")
    factories.check_books(run)


def test_cancelling_reaches_every_task_that_is_open(root, run, answer):
    act(answer, root, "cancel", run, post="yes")
    run.refresh_from_db()
    assert run.state == "cancelled"
    counts = tallies.read(run.id)
    assert (counts.waiting, counts.computing, counts.cancelled, counts.done) == (0, 0, 4, 4)
    assert run.attempts.get(outcome=Outcome.CANCELLED).error == "cancelled by root"
    factories.check_books(run)


def test_runs_in_another_state_are_passed_over_and_said_to_be(root, run, alice, answer):
    held = factories.run(alice, 5, name="held")
    steering.pause(run=held, who="alice")
    both = [run.pk, held.pk]
    page = answer(root, "/admin/runs/run/", action="pause", _selected_action=both).content.decode()
    assert "held: nothing to do, it is paused" in page
    response = answer(root, "/admin/runs/run/", action="pause", _selected_action=both, post="yes")
    said = root.get(response.url).content.decode()
    assert "Paused 1 run: 3 tasks held back." in said
    assert "Passed over held: The run is paused, so there is nothing to pause." in said
    assert set(Run.objects.values_list("state", flat=True)) == {"paused"}


def test_a_restart_after_the_runs_time_is_refused_in_words(root, run, answer):
    Run.objects.filter(pk=run.pk).update(expire_at=run.created)
    response = act(answer, root, "restart_all", run, post="yes")
    said = root.get(response.url).content.decode()
    assert "time was up" in said
    assert "Restarted" not in said


def test_who_may_only_look_is_offered_no_action(run, staff, visit):
    staff.user_permissions.add(Permission.objects.get(codename="view_run"))
    client = visit(staff)
    page = client.get("/admin/runs/run/").content.decode()
    assert "tiles" in page
    assert "Cancel" not in page
    token = client.cookies["csrftoken"].value if "csrftoken" in client.cookies else ""
    fields = {"action": "cancel", "_selected_action": run.pk, "post": "yes"}
    client.post("/admin/runs/run/", {"csrfmiddlewaretoken": token, **fields})
    run.refresh_from_db()
    assert run.state == "active"


def test_who_may_change_runs_may_not_delete_them_for_that(visit, answer, run):
    staff = factories.user("staff", is_staff=True)
    may = Permission.objects.filter(codename__in=("view_run", "change_run"))
    staff.user_permissions.set(may)
    client = visit(staff)
    assert "delete_selected" not in client.get("/admin/runs/run/").content.decode()
    act(answer, client, "delete_selected", run, post="yes")
    assert Run.objects.exists()
    act(answer, client, "pause", run, post="yes", why="x" * 3000)
    assert RunEvent.objects.get().why == "x" * 1000


def test_runs_are_deleted_with_all_that_belongs_to_them(root, run, answer):
    asked = act(answer, root, "delete_selected", run).content.decode()
    assert "10 tasks" in asked
    act(answer, root, "delete_selected", run, post="yes")
    assert not (Run.objects.exists())
    assert not (Task.objects.exists())
    assert not (Attempt.objects.exists())
    assert LogEntry.objects.get().object_id == str(run.pk)


def hidden(page):
    """The hidden fields of a page that asks."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))


def select_all(answer, client, name, query=""):
    """What is asked where all that a list finds are selected, and the fields of its form."""
    one = Run.objects.latest("id").pk
    page = answer(
        client, f"/admin/runs/run/{query}", action=name, _selected_action=one, select_across="1",
        index="0",
    ).content.decode()  # fmt: skip
    return page, hidden(page)


def test_all_that_the_list_offers_are_asked_about_and_acted_on(root, alice, answer):
    rows = [Run(owner=alice, num_tasks=0, open=True, name="many") for _ in range(FARTHEST + 9)]
    Run.objects.bulk_create(rows)
    page, fields = select_all(answer, root, "pause")
    assert len(page) < 30_000
    assert "1,000 runs, 0 tasks." in page
    assert "1,000 are the most at once" in page
    assert "and 950 more" in page
    answered = root.post("/admin/runs/run/", fields)
    assert answered.status_code == 302
    assert "Paused 1,000 runs" in root.get(answered.url).content.decode()
    held = Run.objects.filter(state="paused")
    newest = Run.objects.order_by("-id")[:FARTHEST]
    assert set(held.values_list("id", flat=True)) == {run.id for run in newest}
    page, fields = select_all(answer, root, "pause")
    assert "9 runs, 0 tasks." in page, "the next"
    assert "at once" not in page


@pytest.mark.parametrize("name", ["pause", "restart_unfinished", "delete_selected"])
def test_an_answer_is_about_the_runs_that_were_asked_about(root, run, alice, answer, name):
    factories.run(alice, 5, name="tiles of 2026")
    factories.run(alice, 5, name="other")
    page, fields = select_all(answer, root, name, "?q=tiles")
    assert "2 runs, " in page
    assert "other" not in page
    late = factories.run(alice, 5, name="late tiles")
    assert root.post("/admin/runs/run/?q=tiles", fields).status_code == 302
    touched = set(RunEvent.objects.values_list("run", flat=True))
    assert late.pk not in touched
    left = set(Run.objects.values_list("name", flat=True))
    gone = {"tiles", "tiles of 2026"} if name == "delete_selected" else set()
    assert left == {"tiles", "tiles of 2026", "other", "late tiles"} - gone


def test_nothing_is_asked_where_there_is_nothing_to_do(root, run, answer):
    response = answer(
        root, "/admin/runs/run/", action="resume", _selected_action=run.pk, select_across="1",
        index="0",
    )  # fmt: skip
    assert "There is no run to resume." in root.get(response.url).content.decode()


@pytest.mark.parametrize("ids", ["", "x", "-1", "9" * 10, "9" * 30, "²", ",,", "\x00"])
def test_keys_that_no_run_has_touch_nothing(root, run, answer, ids):
    assert act(answer, root, "cancel", run, post="yes", runs=ids).status_code == 302
    assert Run.objects.get().state == "active"


@pytest.mark.parametrize("fields", ["runs", "_selected_action"])
def test_no_answer_is_about_more_runs_than_are_asked_about(
    root, alice, answer, monkeypatch, fields
):
    monkeypatch.setattr(admin, "FARTHEST", 2)
    picked = [factories.run(alice, 1).pk for _ in range(3)]
    more = {"runs": ",".join(map(str, picked))} if fields == "runs" else {}
    answer(root, "/admin/runs/run/", action="pause", _selected_action=picked, post="yes", **more)
    assert Run.objects.filter(state="paused").count() == 2


def test_of_many_that_are_passed_over_some_are_told(root, alice, answer):
    over = [factories.run(alice, 0) for _ in range(admin.TOLD + 2)]
    picked = [run.pk for run in over]
    response = answer(root, "/admin/runs/run/", action="pause", _selected_action=picked, post="yes")
    said = root.get(response.url).content.decode()
    assert said.count("there is nothing to pause") == admin.TOLD
    assert "Passed over 2 more" in said


def test_one_run_is_deleted_from_its_own_page(root, run, answer):
    answer(root, f"/admin/runs/run/{run.pk}/delete/", post="yes")
    assert not (Run.objects.exists())
    assert not (Task.objects.exists())


def test_words_are_edited_and_nothing_else_is_written(root, run, bob, answer):
    path = f"/admin/runs/run/{run.pk}/change/"
    fields = {"name": "new", "namespace": "n", "description": "d", "owner": bob.pk, "group": ""}
    answer(root, path, **fields, state="cancelled", num_tasks="3", claim_floor="9", deleted="now")
    changed = Run.objects.get()
    assert (changed.name, changed.owner, changed.state) == ("new", bob, "active")
    assert (changed.num_tasks, changed.claim_floor, changed.deleted) == (10, run.claim_floor, None)


def test_runs_are_not_added_here(root):
    assert root.get("/admin/runs/run/add/").status_code == 403


@pytest.mark.parametrize("model", [Task, Attempt, Worker])
def test_what_the_farm_writes_is_looked_at_only(root, run, model):
    name = model.__name__.lower()
    row = model.objects.all()[0]
    assert root.get(f"/admin/runs/{name}/").status_code == 200
    page = root.get(f"/admin/runs/{name}/{row.pk}/change/")
    assert page.status_code == 200
    assert b"_save" not in page.content
    assert root.get(f"/admin/runs/{name}/add/").status_code == 403
    assert root.get(f"/admin/runs/{name}/{row.pk}/delete/").status_code == 403


@pytest.mark.parametrize(("term", "found"), [("{run}", 10), ("{run} 4", 1), ("{run} x", 0),
                                             ("tiles", 0), ("f" * 32, 0), ("%00", 0)])  # fmt: skip
def test_tasks_are_searched_by_run_and_number(root, run, alice, term, found):
    factories.run(alice, 3)
    page = root.get("/admin/runs/task/", {"q": term.format(run=run.uuid.hex)}).content.decode()
    assert page.count('class="action-select"') + page.count('<th class="field-number">') == found


def test_the_pager_looks_no_further_than_it_must(alice):
    run = factories.run(alice, FARTHEST + 500)
    assert BoundedPaginator(Task.objects.filter(run=run).order_by("id"), 50).count == FARTHEST


def test_staff_without_permissions_sees_no_runs_here(staff, run, visit):
    assert visit(staff).get("/admin/runs/run/").status_code == 403


def test_a_user_who_owns_runs_is_kept(root, run, alice, answer):
    answer(root, f"/admin/auth/user/{alice.pk}/delete/", post="yes")
    assert User.objects.filter(pk=alice.pk).exists()


@pytest.mark.parametrize("path", ["auth/user/", "auth/group/", "auth/user/add/", "auth/group/add/"])
def test_people_are_managed(root, carol, path):
    assert root.get(f"/admin/{path}").status_code == 200


HUGE = "9" * 19


@pytest.mark.parametrize("query", ["run/?owner", "worker/?owner", "task/?run", "attempt/?worker"])
def test_an_address_that_asks_for_no_possible_row_leads_to_a_list(root, run, query):
    response = root.get(f"/admin/runs/{query}={HUGE}", follow=True)
    assert response.status_code == 200
    assert "change-list" in response.content.decode()


def test_a_search_for_a_nul_finds_everybody(root, run):
    asked = {"app_label": "runs", "model_name": "run", "field_name": "owner", "term": "\0"}
    names = [one["text"] for one in root.get("/admin/autocomplete/", asked).json()["results"]]
    assert "alice" in names
    assert root.get("/admin/autocomplete/", {**asked, "field_name": "group"}).status_code == 200


@pytest.mark.parametrize("value", ["x", HUGE, "²", "\0", "-1"])
def test_ids_that_no_form_has_sent_are_refused(root, run, answer, value):
    act = answer(root, "/admin/runs/run/", action="pause", _selected_action=value)
    assert act.status_code == 400
    for field in ("owner", "group"):
        change = answer(root, f"/admin/runs/run/{run.pk}/change/", name="new", **{field: value})
        assert change.status_code == 400
    run.refresh_from_db()
    assert (run.name, run.state) == ("tiles", "active")


def test_an_empty_id_is_none_of_a_row_but_no_group_is_fine(root, run, answer):
    assert answer(root, "/admin/runs/run/", action="pause", _selected_action="").status_code == 400
    change = answer(root, f"/admin/runs/run/{run.pk}/change/", name="new", group="")
    assert change.status_code != 400


def test_who_resumes_a_run_is_told_that_it_is_not_complete(root, alice, answer):
    run = uploads.begin(owner=alice, name="cut short")
    assert "1 of them is not complete" in act(answer, root, "resume", run).content.decode()
    assert "not complete" not in act(answer, root, "pause", run).content.decode()
