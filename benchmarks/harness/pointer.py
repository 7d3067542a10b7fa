"""A person at a browser: the pointer comes to a link, rests on it for a moment and clicks.

By Selenium, which leaves Chromium as people have it: Playwright takes its prerendering away. What
is seen when is noted by an extension, the one thing that is in every document from its beginning,
those that are rendered ahead included.
"""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from .browser import ARGUMENTS, CHROMIUM, SETTLED_MS

CHROMEDRIVER = "/usr/bin/chromedriver"
AIMED_MS = 300
"""From the pointer's coming to a link to the click, as people are."""
LONGEST = 20
"""Seconds until a page must have come."""
MANIFEST = {
    "manifest_version": 3,
    "name": "When was it seen?",
    "version": "1",
    "content_scripts": [
        {"matches": ["http://127.0.0.1/*"], "js": ["seen.js"], "run_at": "document_start"}
    ],
}
# One clock for all documents, in milliseconds; the storage is one for all documents of a site. No
# frame is drawn, and so none asked for comes, while a document is not on the screen.
SEEN = """
const now = (moment) => performance.timeOrigin + moment;
addEventListener("click", (event) => {
  localStorage.setItem("clicked", now(event.timeStamp));
}, { capture: true });
const look = () => {
  const box = document.querySelector(%s)?.getBoundingClientRect();
  if (box && box.height > 0) document.documentElement.dataset.seen = now(performance.now());
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
SECONDS = """
return (document.documentElement.dataset.seen - localStorage.getItem("clicked")) / 1000;
"""


class Pointer:
    """One browser for all that is looked at."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def log_in(self, root: str, name: str, password: str) -> None:
        """Log in to a farm, for all that follows."""
        driver = self._driver
        driver.get(f"{root}/account/login/")
        driver.find_element("id", "id_username").send_keys(name)
        driver.find_element("id", "id_password").send_keys(password)
        driver.find_element("css selector", "main button").click()
        _wait(lambda: "/runs/" in driver.current_url)

    def seconds_from_click(self, start: str, link: str) -> float:
        """From the click on a link of one page until what is looked for is seen on the next.

        Raises:
            TimeoutError: it did not come.
        """
        driver = self._driver
        driver.get(start)
        sleep(SETTLED_MS / 1000)
        chains = importlib.import_module("selenium.webdriver.common.action_chains").ActionChains
        there = driver.find_element("css selector", link)
        chains(driver).move_to_element(there).pause(AIMED_MS / 1000).click().perform()
        seen = "return document.documentElement.dataset.seen"
        _wait(lambda: driver.current_url != start and driver.execute_script(seen))
        return float(driver.execute_script(SECONDS))


def _wait(there: Callable[[], Any]) -> None:
    end = monotonic() + LONGEST
    while not there():
        if monotonic() > end:
            raise TimeoutError(f"nothing seen after {LONGEST} s")
        sleep(0.1)


@contextmanager
def pointing(*selectors: str) -> Iterator[Pointer | None]:
    """A Chromium that looks for these on every page; None where its driver is missing."""
    if not (Path(CHROMIUM).exists() and Path(CHROMEDRIVER).exists()):
        yield None
        return
    webdriver: Any = importlib.import_module("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    with tempfile.TemporaryDirectory(prefix="taskfarm-extension-") as folder:
        Path(folder, "manifest.json").write_text(json.dumps(MANIFEST))
        Path(folder, "seen.js").write_text(SEEN % json.dumps(", ".join(selectors)))
        for one in [*ARGUMENTS, "--headless=new", "--window-size=1280,720"]:
            options.add_argument(one)
        options.add_argument(f"--load-extension={folder}")
        options.add_argument("--disable-features=DisableLoadExtensionCommandLineSwitch")
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
        try:
            yield Pointer(driver)
        finally:
            driver.quit()
