"""The failures of a run: groups by error, each with an example, a verdict, and a restart."""

import re
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from runs import blame, samples
from runs.blame import Group
from runs.pages.frame import framed
from runs.pages.page import farm_page, page, run_of
from runs.pages.selecting import to_query
from runs.selection import Selection
from runs.states import TaskState

PER_PAGE = 10
SAMPLED = 200
"""Attempts of the run that tell how its hosts do otherwise."""
ICONS = {"host": "host", "input": "input", "everywhere": "failed", "unsure": "lost"}
CURSOR = re.compile(r"([0-9]{1,18})\.([0-9]{1,19})")
"""Numbers that every database can hold; a fingerprint fills all of 63 bits."""
TITLES = {
    "host": "Blame the host",
    "input": "Blame the input",
    "everywhere": "Fails everywhere",
    "unsure": "Not clear yet",
}


@dataclass(frozen=True)
class Shown:
    """A group with its words and its links."""

    group: Group
    title: str
    icon: str
    restart: str
    tasks: str


def show(group: Group) -> Shown:
    """How the page shows a group."""
    chosen = Selection(states=(TaskState.FAILED,), fingerprint=group.fingerprint)
    return Shown(
        group=group,
        title=TITLES[group.verdict.code],
        icon=ICONS[group.verdict.code],
        restart=to_query(chosen, back="run-failures"),
        tasks=to_query(chosen),
    )


def cursor(text: str) -> tuple[int, int]:
    """Where a page starts, from the address: ``COUNT.FINGERPRINT``."""
    found = CURSOR.fullmatch(text)
    if found is None or int(found[2]) >= 2**63:
        return blame.END
    return int(found[1]), int(found[2])


@farm_page
@require_safe
def list_failures(request: HttpRequest, uuid: str) -> HttpResponse:
    """The groups of the run's failed tasks, the most frequent first."""
    run = run_of(request, uuid)
    context = framed(run, "failures")
    counts = context["shown"].counts
    found = []
    if counts.failed > 0:
        sample = samples.draw(run, counts, SAMPLED)
        after = cursor(request.GET.get("after", ""))
        found = blame.groups(run, sample, after=after, limit=PER_PAGE + 1)
    context["groups"] = [show(group) for group in found[:PER_PAGE]]
    context["paged"] = bool(request.GET.get("after"))
    if len(found) > PER_PAGE:
        context["after"] = f"{found[PER_PAGE - 1].count}.{found[PER_PAGE - 1].fingerprint}"
    return page(request, "runs/failures.html", context)
