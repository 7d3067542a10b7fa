"""Fixtures of the page tests: logged-in clients, and a real Chromium where there is one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.test import Client

from tests import factories
from tests.server import Server

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic"]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture
def visit() -> Callable[[User], Client]:
    """Makes a client that is logged in as a user, CSRF checks included."""

    def log_in(user: User) -> Client:
        client = Client(enforce_csrf_checks=True)
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def answer() -> Callable[[Client, str], Any]:
    """Loads a page that asks, and posts its form with its CSRF token."""

    def post(client: Client, path: str, **fields: Any) -> Any:
        client.get(path)
        token = client.cookies["csrftoken"].value
        return client.post(path, {"csrfmiddlewaretoken": token, **fields})

    return post


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The machine's own Chromium.

    For one file at a time: while Playwright's loop runs in this thread, Django takes the tests'
    own queries for asynchronous ones and must be told that they are not.
    """
    if not Path(CHROMIUM).exists():
        pytest.skip(f"needs {CHROMIUM} (Debian package chromium)")
    from playwright.sync_api import sync_playwright

    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def let_in(name: str, password: str = factories.PASSWORD) -> None:
    """Keep the user's password as the server does: it does not know the tests' quick hash."""
    slow = make_password(password, hasher="pbkdf2_sha256")
    User.objects.filter(username=name).update(password=slow)


@dataclass
class Tab:
    """A tab of the browser on the running server, with all that it complained of."""

    page: Any
    server: Server
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Any:
        """Go to an address of the farm."""
        return self.page.goto(self.server.url + path)

    def log_in(self, name: str = "alice", password: str = factories.PASSWORD) -> None:
        """Log in with the form."""
        let_in(name, password)
        self.open("/account/login/")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", password)
        self.page.click("main button")
        self.page.wait_for_url("**/runs/")

    def violations(self) -> list[str]:
        """What axe finds wrong with the page, one line per rule and element."""
        source = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
        self.page.evaluate(source)
        found = self.page.evaluate("rules => axe.run({runOnly: rules})", RULES)["violations"]
        return [f"{one['id']}: {node['html']}" for one in found for node in one["nodes"]]


@pytest.fixture
def open_tab(chromium: Any, server: Server) -> Iterator[Callable[..., Tab]]:
    """Opens tabs in browser contexts of their own; at the end none may have complained."""
    let_in("alice")
    tabs: list[Tab] = []

    def open_one(**options: Any) -> Tab:
        page = chromium.new_context(**options).new_page()
        page.set_default_timeout(10_000)
        tab = Tab(page, server)
        page.on("console", lambda message: note(tab, message))
        page.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tabs.append(tab)
        return tab

    yield open_one
    for tab in tabs:
        tab.page.context.close()
        assert tab.complaints == []


def note(tab: Tab, message: Any) -> None:
    """Keep what the browser complained of: script errors, CSP violations, failed loads."""
    if message.type in ("error", "warning"):
        tab.complaints.append(message.text)


@pytest.fixture
def tab(open_tab: Callable[..., Tab]) -> Tab:
    """One tab, logged in as alice."""
    one = open_tab()
    one.log_in()
    return one
