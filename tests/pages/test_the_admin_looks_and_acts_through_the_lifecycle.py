"""The admin: people are managed, runs are steered through the lifecycle, the rest is looked at."""

import pytest
from django.contrib.auth.models import User

from runs.admin import FARTHEST, BoundedPaginator
from runs.models import Attempt, Run, Task, Worker
from runs.states import TaskState
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


def test_runs_are_deleted_with_all_that_belongs_to_them(root, run, answer):
    asked = act(answer, root, "delete_selected", run).content.decode()
    assert "10 tasks" in asked
    act(answer, root, "delete_selected", run, post="yes")
    assert not (Run.objects.exists())
    assert not (Task.objects.exists())
    assert not (Attempt.objects.exists())


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
