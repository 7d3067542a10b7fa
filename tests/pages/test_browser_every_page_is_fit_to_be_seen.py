"""Every page in a real Chromium: accessible, within a phone's width, in light and dark, quiet."""

import pytest
from django.contrib.auth.models import User

from runs import steering
from runs.models import Run, Worker
from runs.states import RunState
from tests import factories

pytestmark = [pytest.mark.browser, pytest.mark.once]

PHONE = {"width": 360, "height": 740}
LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"color_scheme": "light", "viewport": PHONE},
}


@pytest.fixture
def farm(server):
    """A run in every state, long names included."""
    alice = User.objects.get(username="alice")
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    worker = factories.worker(alice, hostname="a-node-with-a-rather-long-name.cluster.example.org")
    busy = factories.run(alice, 200, name="CryoSat-2 tiles", namespace="cryosat",
                         description="One task per tile of the polar grid.")  # fmt: skip
    factories.advance(busy, worker, done=60, failed=3, computing=4)
    long = factories.run(alice, 3, name="an_unbroken_name_" * 8, namespace="n" * 60)
    factories.advance(long, worker, done=2, failed=1)
    factories.run(alice, 0, name="empty")
    factories.run(alice, 5, name="fresh")
    cut = factories.run(alice, 5, name="cut short", open=True)
    steering.pause(run=cut, why=steering.UPLOADING)
    for state in (RunState.PAUSED, RunState.CANCELLED):
        run = factories.run(alice, 5, name=state)
        Run.objects.filter(pk=run.pk).update(state=state)
    return {run.name: f"/runs/{run.uuid.hex}/" for run in Run.objects.all()}


def pages(farm):
    busy, fresh = farm["CryoSat-2 tiles"], farm["fresh"]
    worker = f"/workers/{Worker.objects.all()[0].uuid.hex}"
    return [
        "/runs/", f"/runs/actions/pause?run={busy[6:38]}",
        "/runs/?search=nothing", "/runs/?state=blub", "/runs/new", "/account/password/",
        *farm.values(), f"{busy}tasks?state=failed", f"{busy}tasks?from=100",
        f"{busy}policy", f"{busy}history", f"{busy}failures", f"{busy}map", f"{busy}map?by=host",
        f"{busy}workers", f"{busy}timeline", f"{busy}compare?with={fresh[6:38]}",
        "/workers/", worker, "/health/", "/account/",
        f"{farm['cut short']}resume",
        f"{busy}restart?state=failed&tasks=0-9", f"{busy}pause", f"{busy}cancel",
        f"{busy}restart", f"{busy}restart-all", f"{busy}delete",
        f"{busy}tasks/0", f"{busy}tasks/61", f"{busy}restart?tasks=61",
    ]  # fmt: skip


def too_wide(page):
    return page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )


STICKING_OUT = """() => [...document.querySelectorAll(".runs *, .card *")].filter(one => {
  const [own, frame] = [one, one.closest(".runs, .card")].map(it => it.getBoundingClientRect());
  return own.right > frame.right + 1 && !one.closest("pre, .table, .unseen");
}).map(one => one.outerHTML.slice(0, 200))"""


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible_and_fits(farm, open_tab, look):
    tab = open_tab(**LOOKS[look])
    found = []
    for path in ("/", "/account/login/"):
        tab.open(path)
        found += [(path, one) for one in tab.violations()]
    tab.log_in()
    for path in pages(farm):
        tab.open(path)
        found += [(path, one) for one in tab.violations()]
        if too_wide(tab.page):
            found.append((path, "wider than the screen"))
        found += [(path, f"sticks out: {one}") for one in tab.page.evaluate(STICKING_OUT)]
    assert not found, "\n".join(map(str, found))


def test_the_colours_follow_the_system_and_the_button(farm, open_tab):
    tab = open_tab(color_scheme="dark")
    page = tab.page
    tab.open("/account/login/")

    def light():
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return int(paper.split("(")[1].split(",")[0]) > 127

    assert not light()
    page.locator("[data-theme-toggle]").click()
    assert light()
    page.reload()
    assert light()
    page.locator("[data-theme-toggle]").click()
    assert not light()
    assert page.evaluate("localStorage.theme") == "dark"


@pytest.mark.parametrize("look", LOOKS)
def test_the_page_of_the_api_has_the_systems_colours_and_a_way_back(farm, open_tab, look):
    tab = open_tab(**LOOKS[look])
    page = tab.page
    tab.open("/api/docs/")
    page.locator(".opblock").first.wait_for()
    assert not too_wide(page)

    def paper():
        return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    dark = look == "dark"
    assert paper() == ("rgb(17, 20, 18)" if dark else "rgb(246, 247, 245)")
    assert page.evaluate("document.documentElement.classList.contains('dark-mode')") == dark
    for _ in range(1 if dark else 2):  # from the system's to light, and on to dark
        page.locator("[data-theme-toggle]").click()
    assert paper() == ("rgb(246, 247, 245)" if dark else "rgb(17, 20, 18)")
    page.locator(".top").get_by_role("link", name="Log in").click()
    page.wait_for_url("**/account/login/")


def test_the_page_of_the_api_has_the_header_of_all_pages(farm, tab):
    def header(path):
        tab.open(path)
        top = tab.page.locator(".top")
        tab.page.locator("[data-theme-toggle]").wait_for()
        links = [one.get_attribute("href") for one in top.locator("a").all()]
        box = top.bounding_box()
        return (
            links,
            top.inner_text().replace("\nlive", ""),
            (box["x"], box["width"], box["height"]),
        )

    assert header("/api/docs/") == header("/account/")
    tab.page.goto(f"{tab.server.url}/api/docs/")
    tab.page.locator(".top .menu summary").click()
    tab.page.get_by_role("button", name="Log out").click()
    tab.page.wait_for_url("**/account/login/")


def test_a_table_that_is_cut_shows_that_it_scrolls(farm, open_tab):
    tab = open_tab(viewport={"width": 390, "height": 800})
    tab.log_in()
    tab.open(farm["CryoSat-2 tiles"] + "workers")
    table = tab.page.locator(".table").first
    assert table.evaluate("one => one.scrollWidth > one.clientWidth")
    # What hides the shade scrolls with the table, the shade does not.
    attachments = table.evaluate("one => getComputedStyle(one).backgroundAttachment")
    assert attachments.split(", ")[:4] == ["local", "local", "scroll", "scroll"]


def test_the_admin_has_the_colours_of_the_farm(farm, open_tab):
    for look, header in (("light", "rgb(25, 32, 27)"), ("dark", "rgb(25, 29, 26)")):
        tab = open_tab(color_scheme=look)
        tab.log_in()
        tab.open("/admin/")
        found = "getComputedStyle(document.getElementById('header')).backgroundColor"
        assert tab.page.evaluate(found) == header


def test_copy_copies_what_is_shown(farm, open_tab):
    tab = open_tab(permissions=["clipboard-read", "clipboard-write"])
    tab.log_in()
    tab.open(farm["fresh"])
    tab.page.locator("[data-copy=worker-python]").click()
    tab.page.get_by_role("button", name="Copied").wait_for()
    assert (
        tab.page.evaluate("navigator.clipboard.readText()")
        == tab.page.locator("#worker-python").text_content()
    )


def test_pages_work_without_script(farm, open_tab):
    tab = open_tab(java_script_enabled=False)
    tab.log_in()
    tab.open(farm["CryoSat-2 tiles"])
    tab.page.locator("#do-restart-failed").click()
    tab.page.get_by_role("button", name="Restart 3 tasks").click()
    assert "Restarted 3 tasks." in tab.page.content()
    tab.page.locator("#undoable button").click()
    assert "Undone: 3 tasks are as before." in tab.page.content()


def test_the_admin_breaks_no_policy(farm, open_tab):
    tab = open_tab()
    tab.log_in()
    run = Run.objects.all()[0]
    for path in (
        "", "auth/user/", "auth/user/add/", "auth/group/add/", "axes/accessattempt/",
        "runs/run/", f"runs/run/{run.pk}/change/", f"runs/run/{run.pk}/delete/", "runs/task/",
        "runs/attempt/", "runs/worker/", f"auth/user/{run.owner_id}/change/",
    ):  # fmt: skip
        assert tab.open(f"/admin/{path}").status == 200, path
    tab.open(f"/admin/runs/run/{run.pk}/change/")
    tab.page.locator(".field-owner .select2-selection").click()
    tab.page.locator(".select2-results__option", has_text="alice").wait_for()
