"""A real Chromium: what a page brings with it, and how long until something on it is seen."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic"]
SETTLED_MS = 700
"""After a page has loaded: what its scripts ask for at once is there, what they renew is not."""
# The moment at which the first match has a place on the screen, since the navigation began.
WATCH = """
(() => {
  const look = () => {
    const box = document.querySelector(%r)?.getBoundingClientRect();
    if (box && box.height > 0) window.seenAfter = performance.now();
    else requestAnimationFrame(look);
  };
  look();
})();
"""


class Browser:
    """Every page is opened in a context of its own, with an empty cache."""

    def __init__(self, chromium: Any) -> None:
        self._chromium = chromium

    def log_in(self, root: str, name: str, password: str) -> Any:
        """Log in to a farm; answers what the next contexts start with."""
        context = self._chromium.new_context()
        page = context.new_page()
        page.goto(f"{root}/account/login/")
        page.fill("#id_username", name)
        page.fill("#id_password", password)
        page.click("main button")
        page.wait_for_url("**/runs/**")
        state = context.storage_state()
        context.close()
        return state

    def bytes_of(self, url: str, state: Any, *, but: str) -> int:
        """All that a first view of a page sends over the wire, its heads included.

        Args:
            url: the page.
            state: see ``log_in``.
            but: addresses with this in them are left out.
        """
        context = self._chromium.new_context(storage_state=state)
        page = context.new_page()
        wire = context.new_cdp_session(page)
        urls: dict[str, str] = {}
        sizes: dict[str, int] = {}
        wire.on(
            "Network.requestWillBeSent",
            lambda e: urls.update({e["requestId"]: e["request"]["url"]}),
        )
        wire.on(
            "Network.loadingFinished",
            lambda e: sizes.update({e["requestId"]: int(e["encodedDataLength"])}),
        )
        wire.send("Network.enable")
        page.goto(url, wait_until="load")
        page.wait_for_timeout(SETTLED_MS)
        context.close()
        return sum(size for id, size in sizes.items() if but not in urls.get(id, but))

    def seconds_until(self, url: str, selector: str, state: Any = None) -> float:
        """From the navigation until the first match of the selector is seen."""
        context = self._chromium.new_context(storage_state=state)
        context.add_init_script(WATCH % selector)
        page = context.new_page()
        page.goto(url, wait_until="commit")
        page.locator(selector).first.wait_for()
        page.wait_for_timeout(100)
        seconds = float(page.evaluate("window.seenAfter")) / 1000
        context.close()
        return seconds


@contextmanager
def browsing() -> Iterator[Browser | None]:
    """A Chromium; None where there is none."""
    if not Path(CHROMIUM).exists():
        yield None
        return
    sync_playwright = importlib.import_module("playwright.sync_api").sync_playwright
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield Browser(chromium)
        chromium.close()
