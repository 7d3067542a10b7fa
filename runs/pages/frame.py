"""What all pages of one run share: its name, where it stands, the tabs, the actions that fit."""

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from runs import reports
from runs.models import Run
from runs.pages.shown import ShownRun
from runs.tallies import Counts


@dataclass(frozen=True)
class Tab:
    """One page of a run: its name, its title, its address, and how much needs attention there."""

    name: str
    title: str
    href: str
    bad: int = 0


def tabs(run: Run, counts: Counts) -> list[Tab]:
    """The pages of a run."""
    lead = reverse("run", kwargs={"uuid": run.uuid.hex})
    return [
        Tab("run", "Overview", lead),
        Tab("map", "Map", f"{lead}map"),
        Tab("tasks", "Tasks", f"{lead}tasks"),
        Tab("failures", "Failures", f"{lead}failures", counts.failed),
        Tab("workers", "Workers", f"{lead}workers"),
        Tab("timeline", "Timeline", f"{lead}timeline"),
        Tab("compare", "Compare", f"{lead}compare"),
        Tab("history", "History", f"{lead}history"),
        Tab("policy", "Policy", f"{lead}policy"),
    ]


def framed(run: Run, tab: str, **more: Any) -> dict[str, Any]:
    """The context of a page of a run: two queries, for its counts.

    Args:
        run: whose page.
        tab: which one it is.
        more: what the page shows beside.
    """
    shown = ShownRun(run, reports.progress(run))
    return {
        "run": run,
        "shown": shown,
        "tab": tab,
        "tabs": tabs(run, shown.counts),
        "lead": reverse("run", kwargs={"uuid": run.uuid.hex}),
        **more,
    }
