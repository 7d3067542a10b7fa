"""In a real Chromium: while the pointer rests on a link its page is drawn, and made fresh.

Playwright's Chromium draws nothing ahead, and only fetches; Selenium's is as people have it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User

from tests import factories
from tests.pages.conftest import ARGUMENTS, CHROMIUM, let_in
from tests.server import NAMED, Server

CHROMEDRIVER = "/usr/bin/chromedriver"
pytestmark = [pytest.mark.browser, pytest.mark.once]

DELIVERY = "performance.getEntriesByType('navigation')[0].deliveryType"


def test_a_tab_of_a_run_is_fetched_ahead_and_made_fresh(tab):
    alice = User.objects.get(username="alice")
    run = factories.run(alice, 9, name="tiles")
    path = f"/runs/{run.uuid.hex}/"
    tab.open(path)
    link = tab.page.locator(f'nav a[href="{path}tasks"]')
    with tab.page.context.expect_event("response", lambda one: one.url.endswith("/tasks")):
        link.hover()
    factories.advance(run, factories.worker(alice), done=4)
    link.click()
    tab.page.wait_for_url(f"**{path}tasks")
    assert tab.page.evaluate(DELIVERY) == "navigational-prefetch"
    tab.page.locator("#tab-done b", has_text="4").wait_for()  # what has moved meanwhile is shown


ASKS = ("restart", "restart-all", "cancel", "delete", "pause", "resume", "trace", "new")
AHEAD = """() => {
  const rules = JSON.parse(document.querySelector("script[type=speculationrules]").textContent);
  const all = [...rules.prerender, ...rules.prefetch];
  const chosen = all.map((one) => one.where.selector_matches).join(", ");
  return [...document.querySelectorAll(chosen)].map((one) => new URL(one.href).pathname);
}"""


def test_nothing_that_asks_before_it_acts_is_fetched_ahead(tab):
    alice = User.objects.get(username="alice")
    run = factories.run(alice, 9, name="tiles")
    factories.advance(run, factories.worker(alice), done=2, failed=1, computing=1)
    lead = f"/runs/{run.uuid.hex}/"
    for path in ("/runs/", lead, f"{lead}tasks", f"{lead}failures", f"{lead}timeline"):
        tab.open(path)
        ahead = tab.page.evaluate(AHEAD)
        assert lead in ahead or f"{lead}tasks" in ahead
        assert [one for one in ahead if one.rsplit("/", 1)[-1] in ASKS or "logout" in one] == []


@pytest.fixture
def driver() -> Iterator[Any]:
    """A browser by Selenium, with what it complains of."""
    if not (Path(CHROMIUM).exists() and Path(CHROMEDRIVER).exists()):
        pytest.skip(
            f"needs {CHROMIUM} and {CHROMEDRIVER} (Debian packages chromium, chromium-driver)"
        )
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "WARNING"})
    elsewhere = f"--host-resolver-rules=MAP {NAMED} 127.0.0.1"
    for one in [*ARGUMENTS, "--headless=new", "--window-size=1280,900", elsewhere]:
        options.add_argument(one)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    yield driver
    driver.quit()


def see(driver: Any, script: str) -> Any:
    """Wait until a script answers with something."""
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(driver, 10).until(lambda one: one.execute_script(f"return {script}"))


DRAWN_BEFORE = "performance.getEntriesByType('navigation')[0].activationStart > 0"
TOLD_DONE = "document.querySelector('#tab-done b')?.textContent === '%s'"


def log_in(driver: Any, url: str, name: str = "alice") -> None:
    let_in(name)
    driver.get(f"{url}/account/login/")
    driver.find_element("id", "id_username").send_keys(name)
    driver.find_element("id", "id_password").send_keys(factories.PASSWORD)
    driver.find_element("css selector", "main button").click()
    see(driver, "location.pathname === '/runs/'")


def rest_on(driver: Any, path: str) -> Any:
    """The link to a page, with the pointer on it for a second."""
    from selenium.webdriver import ActionChains

    link = driver.find_element("css selector", f'nav a[href$="{path}"]')
    ActionChains(driver).move_to_element(link).pause(1).perform()
    return link


def test_a_page_that_was_drawn_ahead_is_made_fresh_when_it_is_shown(driver, server):
    alice = User.objects.get(username="alice")
    run = factories.run(alice, 9, name="tiles")
    worker = factories.worker(alice)
    log_in(driver, server.url)
    driver.get(f"{server.url}/runs/{run.uuid.hex}/")
    link = rest_on(driver, "/tasks")
    factories.advance(run, worker, done=4)
    link.click()
    see(driver, "location.pathname.endsWith('/tasks')")
    assert driver.execute_script(f"return {DRAWN_BEFORE}")
    see(driver, TOLD_DONE % 4)  # what has moved meanwhile
    factories.advance(run, worker, done=5)
    see(driver, TOLD_DONE % 9)  # and goes on moving
    assert driver.get_log("browser") == []


def test_a_page_that_was_drawn_ahead_has_the_colours_chosen_since(driver, server):
    run = factories.run(User.objects.get(username="alice"), 9, name="tiles")
    log_in(driver, server.url)
    driver.get(f"{server.url}/runs/{run.uuid.hex}/")
    link = rest_on(driver, "/tasks")
    for theme in ("light", "dark"):
        # Without the pointer, which would draw the page once more.
        driver.execute_script("document.querySelector('[data-theme-toggle]').click()")
        see(driver, f"document.documentElement.dataset.theme === '{theme}'")
    link.click()
    see(driver, "location.pathname.endsWith('/tasks')")
    assert driver.execute_script(f"return {DRAWN_BEFORE}")
    see(driver, "document.documentElement.dataset.theme === 'dark'")
    see(driver, "document.querySelector('[data-theme-word]').textContent === 'Colours: dark'")


@pytest.fixture(params=["127.0.0.1", NAMED])
def url(server: Server, request: pytest.FixtureRequest) -> str:
    """The farm where the browser obeys Clear-Site-Data, and where it does not: by plain HTTP."""
    return server.url.replace("127.0.0.1", request.param)


LOG_OUT = "document.querySelector('form[action=\"/account/logout/\"] button').click()"


def test_back_shows_nothing_to_those_who_are_logged_out(driver, url):
    run = factories.run(User.objects.get(username="alice"), 9, name="tiles")
    lead = f"/runs/{run.uuid.hex}/"
    log_in(driver, url)
    driver.get(f"{url}{lead}")
    driver.get(f"{url}{lead}policy")
    driver.execute_script(LOG_OUT)
    see(driver, "location.pathname === '/account/login/'")
    for page in ("policy", ""):
        driver.back()
        assert "tiles" not in driver.find_element("css selector", "body").text
        see(driver, f"location.search === '?next={lead}{page}'")


def test_back_is_as_quick_as_ever_for_those_who_are_logged_in(driver, url):
    run = factories.run(User.objects.get(username="alice"), 9, name="tiles")
    log_in(driver, url)
    driver.get(f"{url}/runs/{run.uuid.hex}/tasks")
    driver.execute_script("window.kept = 'in memory'")
    driver.get(f"{url}/workers/")
    driver.back()
    assert driver.execute_script("return window.kept") == "in memory"
    assert "tiles" in driver.find_element("css selector", "h1").text
    factories.advance(run, factories.worker(run.owner), done=4)
    see(driver, TOLD_DONE % 4)


BECOME = """
const [username, password, told] = arguments;
let token = document.querySelector("[name=csrfmiddlewaretoken]").value;
async function post(path, fields) {
  const body = new URLSearchParams({ csrfmiddlewaretoken: token, ...fields });
  const answer = await fetch(path, { method: "POST", body });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  token = page.querySelector("[name=csrfmiddlewaretoken]").value;
  return new URL(answer.url).pathname;
}
post("/account/logout/").then(() => post("/account/login/", { username, password })).then(told);
"""


def test_a_page_that_was_drawn_ahead_for_somebody_else_is_not_shown(driver, url):
    factories.run(User.objects.get(username="alice"), 9, name="tiles")
    factories.user("bob")
    log_in(driver, url)
    driver.get(f"{url}/account/")
    link = rest_on(driver, "/runs/")
    let_in("bob")
    assert driver.execute_async_script(BECOME, "bob", factories.PASSWORD) == "/runs/"
    link.click()
    see(driver, "document.querySelector('.menu summary')?.textContent === 'bob'")
    assert driver.execute_script("return location.pathname") == "/runs/"
    assert "tiles" not in driver.page_source


SHOWN_AGAIN = (
    "document.dispatchEvent(new Event('visibilitychange'))",  # a tab, or a page drawn ahead
    "dispatchEvent(new Event('pageshow'))",  # by Back
    "document.dispatchEvent(new Event('live:shown'))",  # made fresh
)


def test_a_tab_that_others_have_taken_over_elsewhere_shows_theirs_each_time(driver, server):
    run = factories.run(User.objects.get(username="alice"), 9, name="tiles")
    factories.user("bob")
    let_in("bob")
    log_in(driver, server.url)
    for event in SHOWN_AGAIN:
        driver.execute_async_script(BECOME, "alice", factories.PASSWORD)
        driver.get(f"{server.url}/runs/{run.uuid.hex}/delete")  # asks the server nothing more
        assert "tiles" in driver.page_source
        driver.execute_async_script(BECOME, "bob", factories.PASSWORD)
        assert driver.execute_script(f"{event}; return document.body.textContent") == ""  # at once
        see(driver, "document.querySelector('.menu summary')?.textContent === 'bob'")
        assert "tiles" not in driver.page_source


def test_what_somebody_else_has_sent_is_not_sent_again(driver, server):
    factories.user("bob")
    let_in("bob")
    log_in(driver, server.url)
    driver.get(f"{server.url}/runs/new")
    driver.execute_script("document.querySelector('#id_name').form.submit()")
    see(driver, "document.querySelector('.errorlist')")
    driver.execute_async_script(BECOME, "bob", factories.PASSWORD)
    driver.execute_script("document.dispatchEvent(new Event('visibilitychange'))")
    see(driver, "document.querySelector('.menu summary')?.textContent === 'bob'")
    assert driver.execute_script("return !!document.querySelector('#id_name')")
    assert "errorlist" not in driver.page_source


def test_who_logs_out_leaves_no_address_to_the_next_one(driver, server):
    run = factories.run(User.objects.get(username="alice"), 9, name="tiles")
    log_in(driver, server.url)
    driver.get(f"{server.url}/runs/{run.uuid.hex}/")
    driver.execute_script("document.querySelector('form[action*=logout]').requestSubmit()")
    see(driver, "location.pathname === '/account/login/'")
    see(driver, "document.readyState === 'complete'")
    assert driver.execute_script("return location.search") == ""


@pytest.mark.parametrize("cookie", ["my-whose=9; path=/runs", "whose=; max-age=0; path=/",
                                    "whose=9; path=/runs"])  # fmt: skip
def test_a_cookie_that_was_lost_or_is_of_others_keeps_no_page_away(driver, server, cookie):
    log_in(driver, server.url)
    driver.execute_script(f"document.cookie = '{cookie}'")
    driver.get(f"{server.url}/runs/new")
    driver.execute_script(f"document.cookie = '{cookie}'")
    driver.execute_script("document.dispatchEvent(new Event('visibilitychange'))")
    see(driver, "document.querySelector('#id_name')")
    driver.execute_script("document.querySelector('#id_name').value = 'typed'")
    for _ in range(3):
        driver.execute_script("document.dispatchEvent(new Event('visibilitychange'))")
    assert driver.find_element("id", "id_name").get_attribute("value") == "typed"


def test_a_page_that_is_of_nobody_or_that_nothing_is_known_of_is_loaded_once(tab):
    page, loaded = tab.page, []
    page.on("request", lambda one: one.is_navigation_request() and loaded.append(one.url))

    def answer_as_without_a_database(route):
        answer = route.fetch()
        body = re.sub(' data-whose="[0-9]+"', "", answer.text())
        route.fulfill(response=answer, body=body)

    page.route("**/runs/new", answer_as_without_a_database)  # to a POST it must not be repeated
    tab.open("/runs/new")
    page.wait_for_load_state("networkidle")
    page.context.clear_cookies()
    tab.open("/account/login/")  # for the first time
    page.wait_for_load_state("networkidle")
    assert [urlsplit(one).path for one in loaded] == ["/runs/new", "/account/login/"]
