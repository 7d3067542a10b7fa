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
    asked = []
    tab.page.context.on("request", lambda request: asked.append(request.url))
    link = tab.page.locator(f'nav a[href="{path}tasks"]')
    with tab.page.context.expect_event("response", lambda one: one.url.endswith("/tasks")):
        link.hover()
    factories.advance(run, factories.worker(alice), done=4)
    link.click()
    tab.page.wait_for_url(f"**{path}tasks")
    assert tab.page.evaluate(DELIVERY) == "navigational-prefetch"
    tab.page.locator("#tab-done b", has_text="4").wait_for()  # what has moved meanwhile is shown


def test_nothing_that_asks_before_it_acts_is_fetched_ahead(tab):
    run = factories.run(User.objects.get(username="alice"), 9, name="tiles")
    tab.open(f"/runs/{run.uuid.hex}/")
    button = tab.page.locator('main a.button[href$="pause"], main a[href$="/pause"]').first
    button.hover()
    button.click()
    tab.page.wait_for_url("**/pause")
    assert tab.page.evaluate(DELIVERY) == ""
