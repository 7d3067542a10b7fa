"""Grafana's dashboard, the alarms of the how-to and the reference name metrics that are there."""

import json
import re
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
from django.test import Client

from tests.docs import pages
from tests.site.scraping import TOKEN, Samples, busy_run, scrape

pytestmark = [pytest.mark.once, pytest.mark.django_db]
BOARD: dict[str, Any] = json.loads(
    (pages.ROOT / "deploy" / "grafana-dashboard.json").read_text()
)  # fmt: skip
SELECTOR = re.compile(r"(taskfarm_\w+)(?:\{([^}]*)\})?")
OF_PROMETHEUS = {"job", "instance"}


@pytest.fixture
def told(client: Client, alice: User, settings: Any) -> Samples:
    """What a farm tells in which everything has happened."""
    settings.TASKFARM_METRICS_TOKEN = TOKEN
    busy_run(alice, name="tiles")
    return scrape(client)


def expressions() -> list[str]:
    """All that the dashboard asks Prometheus for."""
    asked = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
    asked += [one["definition"] for one in BOARD["templating"]["list"] if "definition" in one]
    return asked


def rules() -> list[dict[str, Any]]:
    """The alarms that the how-to proposes."""
    blocks = [block.code for block in pages.blocks("yaml") if "alert:" in block.code]
    return [rule for code in blocks for group in yaml.safe_load(code)["groups"]
            for rule in group["rules"]]  # fmt: skip


def check(expression: str, told: Samples) -> None:
    """Assert that its metrics exist, and that they have the labels by which they are chosen."""
    assert expression.count("(") == expression.count(")")
    for name, chosen in SELECTOR.findall(expression):
        assert name in told, f"{name} in {expression}"
        labels = {label for one, _ in told[name] for label in one} | OF_PROMETHEUS
        assert set(re.findall(r"(\w+)\s*=~?\"", chosen)) <= labels, expression


def test_every_expression_of_the_dashboard_names_what_is_told(told: Samples) -> None:
    assert len(expressions()) > 15
    for expression in expressions():
        check(expression, told)


def test_every_alarm_of_the_how_to_names_what_is_told(told: Samples) -> None:
    assert len(rules()) >= 5
    for rule in rules():
        check(rule["expr"], told)


def test_panels_lie_beside_each_other_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        assert panel["title"]
        assert panel["description"].endswith(".")
        taken |= cells


def test_the_dashboard_shows_every_metric_that_changes(told: Samples) -> None:
    shown = {name for asked in expressions() for name, _ in SELECTOR.findall(asked)}
    base = {re.sub(r"_(bucket|sum|count)$", "", name) for name in told}
    assert base - {re.sub(r"_(bucket|count)$", "", name) for name in shown} == {"taskfarm_runs"}


def test_every_metric_is_documented_with_its_labels_and_every_documented_one_exists(
    told: Samples,
) -> None:
    documented = pages.rows("reference/metrics.md")
    found: dict[str, set[str]] = {}
    for name, samples in told.items():
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        labels = {label for one, _ in samples for label in one} - {"le"}
        found.setdefault(base, set()).update(labels)
    assert set(documented) == set(found)
    for name, labels in found.items():
        of_all = {"run", "name"} if name.startswith("taskfarm_run_") else set()
        assert set(re.findall(r"`(\w+)`", documented[name][1])) | of_all == labels, name
