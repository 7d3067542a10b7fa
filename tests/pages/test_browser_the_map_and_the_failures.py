"""In a real Chromium: tasks are chosen on the map, failures restarted with the keyboard alone."""

import re

import pytest
from django.contrib.auth.models import User

from tests import factories

pytestmark = [pytest.mark.browser, pytest.mark.once]


@pytest.fixture
def run(server):
    alice = User.objects.get(username="alice")
    run = factories.run(alice, 200, name="tiles")
    return factories.advance(run, factories.worker(alice), done=60, failed=3)


@pytest.fixture
def expect():
    from playwright.sync_api import expect

    expect.set_options(timeout=15_000)
    return expect


def test_tasks_are_chosen_on_the_map_and_restarted(tab, run, expect):
    page = tab.page
    tab.open(f"/runs/{run.uuid.hex}/map")
    page.locator("canvas[data-loaded]").wait_for()
    canvas = page.locator("canvas")
    canvas.hover(position={"x": 5, "y": 5})
    expect(page.locator("#map-words")).to_have_text("Task 0: done")
    # The keyboard goes from task to task, and Shift selects.
    canvas.focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#map-words")).to_have_text("Task 60: failed")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#map-tasks")).to_have_value("60-62")
    # So does the mouse.
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] + box["height"] - 5, steps=5)
    page.mouse.up()
    expect(page.locator("#map-tasks")).to_have_value(re.compile(r"^0-1\d\d$"))
    page.get_by_role("button", name="Restart").click()
    expect(page.get_by_role("button", name="Restart 3 tasks")).to_be_visible()
    page.get_by_role("button", name="Restart 3 tasks").click()
    page.wait_for_url("**/map")
    expect(page.get_by_text("Restarted 3 tasks.")).to_be_visible()


PIXEL = """(at) => {
  const canvas = document.querySelector("[data-map]");
  const sharp = canvas.width / canvas.clientWidth;
  const copy = new OffscreenCanvas(1, 1).getContext("2d");
  copy.drawImage(canvas, -at * sharp, -10 * sharp);
  const [red, green, blue] = copy.getImageData(0, 0, 1, 1).data;
  return `rgb(${red}, ${green}, ${blue})`;
}"""
SWATCH = "(one) => getComputedStyle(one.firstChild).backgroundColor"


def test_a_host_that_comes_later_has_its_own_colour(tab, server, expect):
    alice = User.objects.get(username="alice")
    run = factories.run(alice, 8, name="hosts")
    factories.advance(run, factories.worker(alice, hostname="mhost"), done=1)
    page = tab.page
    tab.open(f"/runs/{run.uuid.hex}/map?by=host")
    page.locator("canvas[data-loaded]").wait_for()
    for later in ("ahost", "zhost"):
        factories.advance(run, factories.worker(alice, hostname=later), done=1)
    legend = page.locator(".legend li")
    expect(legend).to_have_text(["none", "ahost", "mhost", "zhost", "others"])
    for place, host in ((8, "mhost"), (30, "ahost"), (52, "zhost"), (74, "none")):
        page.locator("canvas").hover(position={"x": place, "y": 10})
        expect(page.locator("#map-words")).to_have_text(re.compile(f"^Task [0123]: {host}$"))
        swatch = legend.filter(has_text=host).evaluate(SWATCH)
        page.wait_for_function(f"([at, wanted]) => ({PIXEL})(at) === wanted", arg=[place, swatch])


def test_a_map_whose_session_has_ended_asks_for_the_login(tab, run):
    page = tab.page
    tab.open(f"/runs/{run.uuid.hex}/map")
    page.locator("canvas[data-loaded]").wait_for()
    # The page's other regions hear nothing.
    page.route("**/map", lambda one: "x-requested-with" in one.request.headers or one.continue_())
    page.evaluate("""() => new MutationObserver(([one]) => {
      sessionStorage.said = one.target.textContent;
    }).observe(document.getElementById("map-words"), { childList: true })""")
    page.context.clear_cookies()
    page.wait_for_url("**/account/login/**")
    assert page.evaluate("sessionStorage.said") is None


def test_every_row_of_the_map_is_seen_whole_on_a_phone(tab, server):
    run = factories.run(User.objects.get(username="alice"), 500, name="rows")
    page = tab.page
    page.set_viewport_size({"width": 390, "height": 844})
    tab.open(f"/runs/{run.uuid.hex}/map")
    page.locator("canvas[data-loaded]").wait_for()
    box = page.locator("canvas").bounding_box()
    page.locator("canvas").hover(position={"x": box["width"] - 12, "y": 5})
    last = page.locator("#map-words").text_content()
    columns = int(re.search(r"Task (\d+)", last)[1]) + 1
    rows = -(-500 // columns)
    assert box["height"] >= rows * box["width"] / columns


def test_zooming_keeps_what_is_under_the_pointer(tab, run, expect):
    page = tab.page
    tab.open(f"/runs/{run.uuid.hex}/map")
    page.locator("canvas[data-loaded]").wait_for()
    page.locator("canvas").hover(position={"x": 300, "y": 30})
    before = page.locator("#map-words").text_content()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    page.locator("canvas").hover(position={"x": 301, "y": 30})
    expect(page.locator("#map-words")).to_have_text(before)


def test_a_list_in_which_a_run_is_chosen_is_held_and_the_run_paused(tab, run, expect):
    page = tab.page
    tab.open("/runs/")
    expect(page.locator(".choose-bar")).to_be_hidden()
    page.get_by_label("Choose tiles").check()
    expect(page.locator("[data-live-status]")).to_have_text("held while selected")
    page.locator(".choose-bar").get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Pause and hold back 137 tasks").click()
    expect(page.get_by_text("Pause: 1 run, 137 tasks.")).to_be_visible()
    expect(page.locator(f"#run-{run.uuid.hex}")).to_contain_text("paused")
    expect(page.locator("[data-live-status]")).to_have_text("live")


def test_a_group_of_failures_is_restarted_with_the_keyboard_alone(tab, run, expect):
    page, keys = tab.page, tab.page.keyboard
    tab.open(f"/runs/{run.uuid.hex}/")
    for name, address in (("Failures3", "**/failures"), ("Restart these 3", "**/restart?**")):
        reach(page, name)
        keys.press("Enter")
        page.wait_for_url(address)
    reach(page, "Restart 3 tasks")
    keys.press("Enter")
    expect(page.get_by_text("Restarted 3 tasks.")).to_be_visible()
    expect(page.get_by_text("Nothing has failed")).to_be_visible()


def reach(page, name, most=60):
    """Tab on until the focus is on the thing with this text."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == name:
            return
    raise AssertionError(f"The keyboard does not reach {name!r}.")
