"""Owner, group and staff see and change a run on the pages; for others it does not exist."""

from urllib.parse import quote

import pytest

from runs import lifecycle
from tests import factories

CHANGES = ["pause", "cancel", "restart", "restart?state=failed", "restart-all", "delete", "policy",
           "restart?tasks=0&state=done"]  # fmt: skip
PAGES = ["", "workers", "timeline", "timeline/trace", "compare", "map", "map/cells", "tasks",
         "failures", "history", "tasks/0", *CHANGES]  # fmt: skip


@pytest.fixture
def run(alice):
    run = factories.run(alice, 5, name="tiles")
    return factories.advance(run, factories.worker(alice), done=2, failed=1, computing=1)


@pytest.mark.parametrize("page", PAGES)
def test_the_owner_sees_every_page(alice, run, visit, page):
    assert visit(alice).get(f"/runs/{run.uuid.hex}/{page}").status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_somebody_else_finds_nothing_on_any_page(bob, run, visit, page):
    response = visit(bob).get(f"/runs/{run.uuid.hex}/{page}")
    assert response.status_code == 404
    assert b"tiles" not in response.content


@pytest.mark.parametrize("page", CHANGES)
def test_somebody_else_changes_nothing(bob, run, visit, answer, count_rows, page):
    client = visit(bob)
    client.get("/runs/new")  # for the token
    token = client.cookies["csrftoken"].value
    before = count_rows()
    response = client.post(f"/runs/{run.uuid.hex}/{page}", {"csrfmiddlewaretoken": token})
    assert response.status_code == 404
    assert count_rows() == before
    factories.check_books(run)


@pytest.mark.parametrize("page", PAGES)
def test_a_stranger_is_sent_to_the_login(run, client, page):
    path = f"/runs/{run.uuid.hex}/{page}"
    response = client.get(path)
    assert response.status_code == 302
    assert response.url == f"/account/login/?next={quote(path)}"


def test_members_of_the_group_and_staff_see_it(alice, carol, staff, visit):
    run = factories.run(alice, 3, name="shared", group=alice.groups.get())
    for user in (carol, staff):
        assert b"shared" in visit(user).get("/runs/").content
        assert visit(user).get(f"/runs/{run.uuid.hex}/").status_code == 200


def test_somebody_elses_run_is_not_in_the_list(bob, run, visit):
    for query in ("", "?search=tiles", "?owner=alice"):
        assert run.uuid.hex not in visit(bob).get(f"/runs/{query}").content.decode()


@pytest.mark.parametrize("page", CHANGES)
def test_looking_changes_nothing(alice, run, visit, count_rows, page):
    before = count_rows()
    visit(alice).get(f"/runs/{run.uuid.hex}/{page}")
    assert count_rows() == before
    factories.check_books(run)


@pytest.mark.parametrize("page", [*CHANGES, "../new"])
def test_a_post_without_token_is_refused(alice, run, visit, count_rows, page):
    before = count_rows()
    path = "/runs/new" if page == "../new" else f"/runs/{run.uuid.hex}/{page}"
    response = visit(alice).post(path, {"num_tasks": 3})
    assert response.status_code == 403
    assert b"Nothing was changed" in response.content
    assert count_rows() == before


@pytest.mark.parametrize(
    "path", ["0/", "x" * 40 + "/", "f" * 32 + "/", "%00/", "%s/tasks/5", "%s/tasks/99999999999999"]
)
def test_what_does_not_exist_is_404(alice, run, visit, path):
    path = path.replace("%s", run.uuid.hex)
    assert visit(alice).get(f"/runs/{path}").status_code == 404


def test_a_deleted_run_is_gone(alice, run, visit):
    lifecycle.delete_run(run=run)
    assert visit(alice).get(f"/runs/{run.uuid.hex}/").status_code == 404
