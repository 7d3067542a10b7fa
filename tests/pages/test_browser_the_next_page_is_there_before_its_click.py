"""In a real Chromium: while the pointer rests on a link its page is fetched, and made fresh."""

import pytest
from django.contrib.auth.models import User

from tests import factories

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


ASKS = ("restart", "restart-all", "cancel", "delete", "pause", "resume", "requeue", "trace", "new")
AHEAD = """() => {
  const rules = JSON.parse(document.querySelector("script[type=speculationrules]").textContent);
  const chosen = rules.prefetch[0].where.selector_matches;
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
