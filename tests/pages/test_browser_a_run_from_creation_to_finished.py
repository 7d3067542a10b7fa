"""In a real Chromium on a real server: a run from its creation to its end, live and restarted."""

import re
import subprocess
import sys
import uuid
from urllib.parse import quote

import pytest
import requests

from runs import lifecycle
from tests import factories
from tests.factories import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.once]


@pytest.fixture
def expect():
    from playwright.sync_api import expect

    expect.set_options(timeout=10_000)
    return expect


class Crew:
    """A worker that speaks plain HTTP."""

    def __init__(self, server, run):
        self.api, self.run = server.api, run
        self.http = requests.Session()
        self.http.auth = ("alice", PASSWORD)
        self.uuid = uuid.uuid4().hex
        self.post("worker", uuid=self.uuid, hostname="n007", pid=4711)

    def post(self, path, **body):
        answer = self.http.post(self.api + path, json=body, timeout=30)
        answer.raise_for_status()
        return answer

    def claim(self):
        return self.post(f"runs/{self.run}/task", worker_uuid=self.uuid).json()["task"]

    def report(self, task, **body):
        path = f"{self.api}runs/{self.run}/tasks/{task}"
        self.http.put(path, json=body, timeout=30).raise_for_status()

    def close(self):
        self.http.close()


def create(tab, tasks, name="tiles of March"):
    tab.page.get_by_role("link", name="Create a run").click()
    tab.page.get_by_label("Name optional").fill(name)
    tab.page.get_by_label("Number of tasks").fill(str(tasks))
    tab.page.get_by_role("button", name="Create run").click()
    tab.page.wait_for_url(re.compile(r"/runs/[0-9a-f]{32}/"))
    return tab.page.url.rstrip("/").rsplit("/", 1)[1]


def test_a_run_lives_before_the_eyes_of_its_owner(tab, server, expect):
    page = tab.page
    run = create(tab, 4)
    expect(page.get_by_text("Created tiles of March with 4 tasks.")).to_be_visible()
    crew = Crew(server, run)
    first, second = crew.claim(), crew.claim()
    # From here on nothing is loaded anew: what changes, changes live.
    page.evaluate("window.stayed = true")
    expect(page.locator("#tile-computing b")).to_have_text("2")
    expect(page.locator("#workers")).to_contain_text("n007")
    crew.report(first, percentCompleted=50)
    expect(page.locator("#progress .percent")).to_contain_text("12.5 %")
    crew.report(first, status="done")
    crew.report(second, status="failed")
    expect(page.locator("#tile-done b")).to_have_text("1")
    expect(page.locator("#tile-failed b")).to_have_text("1")
    expect(page.locator("#chart-text")).to_contain_text("1 done, 1 failed")
    expect(page.locator("#do-restart-failed")).to_be_visible()
    assert page.evaluate("window.stayed")

    page.locator("#do-restart-failed").click()
    expect(page.get_by_text("1 task of tiles of March will be restarted")).to_be_visible()
    page.get_by_role("button", name="Restart 1 task").click()
    expect(page.get_by_text("Restarted 1 task.")).to_be_visible()
    expect(page.locator("#tile-waiting b")).to_have_text("3")

    page.evaluate("window.stayed = true")
    for _ in range(3):
        crew.report(crew.claim(), status="done")
    expect(page.locator("#progress")).to_contain_text("finished")
    expect(page.locator("#progress .percent")).to_contain_text("100 %")
    expect(page).to_have_title(re.compile("^100 %"))
    assert page.evaluate("window.stayed")
    tab.open("/runs/")
    expect(page.locator(f"#run-{run}")).to_contain_text("finished")
    crew.close()


def test_the_list_is_live_too(tab, alice_run, server, expect):
    page = tab.page
    tab.open("/runs/")
    page.evaluate("window.stayed = true")
    crew = Crew(server, alice_run.uuid.hex)
    crew.report(crew.claim(), status="done")
    expect(page.locator(f"#run-{alice_run.uuid.hex}")).to_contain_text("1 done")
    assert page.evaluate("window.stayed")
    crew.close()


@pytest.fixture
def alice_run(server):
    from django.contrib.auth.models import User

    return factories.run(User.objects.get(username="alice"), 3, name="tiles")


def test_the_python_worker_on_the_page_works_as_it_stands(tab, server, alice_run, expect):
    tab.open(f"/runs/{alice_run.uuid.hex}/")
    shown = tab.page.locator("#worker-python").text_content()
    done = subprocess.run(
        [sys.executable, "-c", shown], capture_output=True, text=True, check=False, timeout=60,
        env={"TASKFARM_PASSWORD": PASSWORD, "PATH": "/usr/bin", "PYTHONPATH": "worker_client/src"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "task 0\ntask 1\ntask 2\n"), done.stderr
    expect(tab.page.locator("#tile-done b")).to_have_text("3")


def test_the_shell_worker_on_the_page_works_as_it_stands(tab, server, alice_run, expect):
    tab.open(f"/runs/{alice_run.uuid.hex}/")
    shown = tab.page.locator("#worker-shell").text_content()
    done = subprocess.run(
        ["sh", "-c", shown], capture_output=True, text=True, check=False, timeout=60,
        env={"TASKFARM_PASSWORD": PASSWORD, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout == "task 0\ntask 1\ntask 2\n", done.stderr
    expect(tab.page.locator("#tile-done b")).to_have_text("3")


def test_somebody_elses_run_is_not_there(tab, alice_run, open_tab, expect):
    factories.user("bob")
    other = open_tab()
    other.log_in("bob")
    expect(other.page.get_by_text("Your first run")).to_be_visible()
    answer = other.open(f"/runs/{alice_run.uuid.hex}/")
    assert answer.status == 404
    assert "tiles" not in other.page.content()
    # The browser itself notes every 404 that it is shown.
    other.complaints[:] = [one for one in other.complaints if "404" not in one]


def test_focus_and_selection_survive_what_changes(tab, alice_run, server, expect):
    page = tab.page
    tab.open(f"/runs/{alice_run.uuid.hex}/tasks")
    page.locator("#task-1 a").focus()
    crew = Crew(server, alice_run.uuid.hex)
    crew.claim()
    expect(page.locator("#tab-computing b")).to_have_text("1")
    assert page.evaluate("document.activeElement.closest('tr').id") == "task-1"
    # A region in which text is selected is held; the others go on.
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#task-2 th'))")
    crew.claim()
    expect(page.locator("[data-live-status]")).to_have_text("held while selected")
    assert page.evaluate("getSelection().toString().trim()") == "2"
    expect(page.locator("#task-1")).to_contain_text("waiting")
    page.evaluate("getSelection().removeAllRanges()")
    expect(page.locator("#task-1")).to_contain_text("computing")
    crew.close()


def test_a_server_that_is_away_is_noticed_and_its_return_too(tab, alice_run, expect):
    page = tab.page
    tab.open(f"/runs/{alice_run.uuid.hex}/")
    page.route("**/runs/**", lambda route: route.abort())
    notice = page.locator("[data-live-notice]")
    expect(notice).to_contain_text("The server does not answer")
    page.unroute("**/runs/**")
    page.get_by_role("button", name="Try now").click()
    expect(notice).to_be_hidden()
    tab.complaints[:] = [one for one in tab.complaints if "ERR_FAILED" not in one]


def test_a_session_that_ends_takes_its_data_along(tab, alice_run, expect):
    path = f"/runs/{alice_run.uuid.hex}/tasks?state=waiting"
    tab.open(path)
    tab.page.context.clear_cookies()
    tab.page.wait_for_url(f"**/account/login/?next={quote(path)}")
    assert alice_run.name not in tab.page.content()
    tab.page.fill("#id_username", "alice")
    tab.page.fill("#id_password", PASSWORD)
    tab.page.click("main button")
    expect(tab.page.get_by_role("heading", name=alice_run.name)).to_be_visible()
    assert tab.page.url.endswith(path)


def test_a_run_that_is_deleted_leaves_the_screen(tab, alice_run, expect):
    tab.open(f"/runs/{alice_run.uuid.hex}/")
    lifecycle.delete_run(run=alice_run)
    expect(tab.page.get_by_text("It may have been deleted")).to_be_visible()
    assert "tiles" not in tab.page.content()
    tab.complaints[:] = [one for one in tab.complaints if "404" not in one]


def test_with_the_keyboard_alone(open_tab, expect):
    tab = open_tab()
    page, keys = tab.page, tab.page.keyboard
    tab.open("/account/login/")
    keys.type("alice")  # the field has the focus already
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    page.wait_for_url("**/runs/")
    keys.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    keys.press("Enter")
    reach(page, "Create a run")
    keys.press("Enter")
    page.wait_for_url("**/runs/new")
    reach(page, "id_num_tasks", key="Tab")
    keys.type("5")
    keys.press("Enter")
    page.wait_for_url(re.compile(r"/runs/[0-9a-f]{32}/"))
    reach(page, "More")
    keys.press("Enter")
    reach(page, "Delete")
    keys.press("Enter")
    page.wait_for_url("**/delete")
    reach(page, "Delete run and 5 tasks")
    keys.press("Enter")
    expect(page.get_by_text("with 5 tasks.")).to_be_visible()


def reach(page, name, key="Tab", most=60):
    """Tab on until the focus is on the thing with this text or id."""
    for _ in range(most):
        page.keyboard.press(key)
        here = page.evaluate(
            "[document.activeElement.textContent.trim(), document.activeElement.id]"
        )
        if name in here:
            return
    raise AssertionError(f"The keyboard does not reach {name!r}.")
