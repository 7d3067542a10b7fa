"""Who did what to a run: its events as sentences, and which of them can be taken back."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db.models import BooleanField, Case, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from runs import events, restarts
from runs.errors import StateConflict
from runs.models import Run, RunEvent
from runs.pages.frame import framed
from runs.pages.page import farm_page, number, page, run_of
from runs.pages.run_policy import LABELS
from runs.restarts import UNDO_FOR
from runs.steering import HELD
from runs.wording import tasks

PER_PAGE = 50
ICONS = {
    "pause": "paused", "resume": "active", "cancel": "cancelled", "expire": "timeout",
    "cancel-tasks": "cancelled", "restart": "restart", "undo": "undo", "policy": "policy",
    "append": "plus", "release": "active", "uploaded": "active",
}  # fmt: skip
VERBS = {
    "pause": "paused the run",
    "resume": "resumed the run",
    "cancel": "cancelled {tasks}",
    "cancel-tasks": "cancelled {tasks}",
    "expire": "cancelled {tasks}: the run's time was up",
    "restart": "restarted {tasks}",
    "undo": "took a restart of {tasks} back",
    "policy": "changed the policy",
    "append": "added {tasks}",
    "uploaded": "ended the upload",
    "release": "released all tasks after the canaries",
}
NOTHING_UNDONE = (
    "Nothing was undone: each of the restarted tasks has moved since, or was computing or waiting "
    "before."
)
JUST_UNDONE = "Nothing was left to undo: somebody else has just undone it."
NOT_ALL = ("id", "at", "who", "what", "why", "tasks", "undone")


@dataclass(frozen=True)
class Told:
    """One event as a page shows it. ``undo_until`` is None where it cannot be undone."""

    id: int
    at: datetime
    who: str
    icon: str
    sentence: str
    why: str
    note: str
    undone: bool
    undo_until: datetime | None


def told(run: Run, *, before: int | None = None, limit: int) -> list[Told]:
    """The run's events, newest first, without what an undo keeps: that may be large."""
    found = RunEvent.objects.filter(run=run)
    if before is not None:
        found = found.filter(id__lt=before)
    keeps = Case(
        When(details__has_key="before", then=Value(True)),
        default=Value(False),
        output_field=BooleanField(),
    )
    rows = found.order_by("-id").annotate(keeps=keeps)
    details = ("details__selection", "details__changed", "details__all")
    return [tell(row) for row in rows.values(*NOT_ALL, *details, "keeps")[:limit]]


def tell(row: dict[str, Any]) -> Told:
    """One event in words."""
    verb = VERBS.get(row["what"], row["what"])
    if (row["what"], row["who"], row["why"]) == HELD:  # no policy is what people would call that
        row, verb = {**row, "who": "The farm", "why": ""}, "holds the run until all inputs are here"
    until = row["at"] + UNDO_FOR
    open_still = row["what"] == "restart" and row["keeps"] and row["undone"] is None
    return Told(
        id=row["id"],
        at=row["at"],
        who=row["who"] or "The run's policy",
        icon=ICONS.get(row["what"], "policy"),
        sentence=verb.format(tasks=tasks(row["tasks"] or 0)),
        why=row["why"],
        note=note(row),
        undone=row["undone"] is not None,
        undo_until=until if open_still and until > timezone.now() else None,
    )


def note(row: dict[str, Any]) -> str:
    """What it was about: the selection of a restart, the options of a change."""
    if row["what"] == "policy":
        changed = row["details__changed"] or {}
        return ", ".join(
            f"{LABELS.get(name, name)}: {plain(before)} → {plain(after)}"
            for name, (before, after) in changed.items()
        )
    if row["what"] not in ("restart", "cancel-tasks"):
        return ""
    parts = [str(one) for one in selection_words(row["details__selection"] or {})]
    return ", ".join((["from 0"] if row["details__all"] else []) + parts)


def plain(kept: str) -> str:
    """The value of an option as people say it, from what its event keeps of it."""
    return {"True": "yes", "False": "no", "None": "none"}.get(kept, kept)


def selection_words(kept: dict[str, Any]) -> list[str]:
    """A selection in words, from what its event remembers."""
    words = []
    if kept.get("states"):
        words.append("only " + " and ".join(kept["states"]))
    if kept.get("numbers"):
        words.append(f"tasks {shortened(str(kept['numbers']))}")
    if kept.get("fingerprint") is not None:
        error = kept.get("error")
        words.append(f"with the error “{shortened(error, 120)}”" if error else "with one error")
    if kept.get("host"):
        words.append(f"on {kept['host']}")
    if kept.get("olderThan"):
        words.append(f"without a word for {kept['olderThan']:g} s")
    return words


def shortened(text: str, most: int = 60) -> str:
    """The text, cut where it is long."""
    return text if len(text) <= most else text[: most - 1] + "…"


@farm_page
@require_safe
def show_history(request: HttpRequest, uuid: str) -> HttpResponse:
    """All events of the run, page after page."""
    run = run_of(request, uuid)
    before = number(request.GET.get("before"), 0) or None
    rows = told(run, before=before, limit=PER_PAGE + 1)
    context = {"events": rows[:PER_PAGE], "before": before}
    if len(rows) > PER_PAGE:
        context["older"] = rows[PER_PAGE - 1].id
    return page(request, "runs/history.html", framed(run, "history", **context))


@farm_page
@require_POST
def undo(request: HttpRequest, uuid: str, event: int) -> HttpResponseBase:
    """Take a restart back, within its ten minutes."""
    run = run_of(request, uuid)
    found = events.find(run, str(event))
    try:
        count = restarts.undo(run=run, event=found, by=request.user.get_username())
    except StateConflict as refusal:
        messages.error(request, refusal.detail)
    else:
        if count:
            are = "is" if count == 1 else "are"
            messages.success(request, f"Undone: {tasks(count)} {are} as before.")
        else:
            found.refresh_from_db()
            messages.warning(request, JUST_UNDONE if found.undone else NOTHING_UNDONE)
    return redirect("run", uuid=run.uuid.hex)
