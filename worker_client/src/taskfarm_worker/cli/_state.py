"""How far a run is, how quickly it moves, and when it will be done."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .. import _rows
from .._answers import Json
from .._errors import NotFoundError
from .._run import Progress, Run
from ._context import CANCELLED, DONE, TASKS_FAILED
from ._screen import Screen, console, span

LONGEST = 200
"""Characters of an error that are shown."""

GROUPS = 5
"""Errors that are shown."""

MEMORY = 30
"""Looks from which `--watch` takes the rate."""

LOOKED_AT = 100
"""Events of a run, the latest, among which the pause is looked for: one call."""

UPLOADING = "its inputs are still being uploaded"
"""Why the server itself holds a new run back."""

CUT_SHORT = "or the upload was cut short"

STEERED = {"paused": ("pause",), "cancelled": ("cancel", "expire")}
"""States that people or policy set, and the events of it."""

STATES = ("waiting", "computing", "done", "failed", "cancelled")


@dataclass
class Look:
    """A run at one moment.

    Attributes:
        info: what the server tells.
        groups: its failed tasks by their error.
        rate: tasks that end per second; None when nobody knows.
        pause: of a run that is paused or cancelled, the event by which it was.
        idle: of a run that waits and of which nothing is computed, why its first task waits.
    """

    info: dict[str, Json]
    groups: list[dict[str, Json]]
    rate: float | None
    pause: dict[str, Json] | None = None
    idle: dict[str, Json] | None = None

    @property
    def percent(self) -> float:
        """The mean over all tasks."""
        return float(self.info["percentDone"])

    @property
    def over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.info["state"] in ("finished", "cancelled")

    @property
    def code(self) -> int:
        """The exit code for a run that is over."""
        if self.info["state"] == "cancelled":
            return CANCELLED
        if self.info["numFailed"]:
            return TASKS_FAILED
        return CANCELLED if self.info["numCancelled"] else DONE

    @property
    def moving(self) -> bool:
        """Whether anybody works on it."""
        return bool(self.info["state"] == "active" and self.info["numComputing"])

    @property
    def left(self) -> int:
        """Tasks that have still to end."""
        return int(self.info["numWaiting"] + self.info["numComputing"])

    @property
    def seconds_left(self) -> float | None:
        """Seconds until it is over, at this rate."""
        return self.left / self.rate if self.rate and self.moving else None

    @property
    def data(self) -> dict[str, Json]:
        """All of it, for programs."""
        told = {"rate": self.rate, "secondsLeft": self.seconds_left, "failures": self.groups}
        pause = self.pause and {name: self.pause[name] for name in ("at", "who", "why")}
        steered = {state: pause if self.info["state"] == state else None for state in STEERED}
        return {**self.info, **told, **steered, "idle": self.idle}

    def counts(self) -> str:
        """The tasks by state."""
        numbers = ((state, self.info[f"num{state.capitalize()}"]) for state in STATES)
        return ", ".join(f"{count:,} {state}" for state, count in numbers if count)

    def short(self) -> str:
        """The run in one line."""
        name = self.info["name"] or self.info["uuid"][:12]
        pace = ""
        if self.rate and self.moving:
            pace = f", {self.rate:.3g}/s, {span(self.seconds_left or 0)} left"
        elif self.pause:
            pace = f"; {self.info['state']} {paused_in_words(self.pause)}"
        elif self.idle:
            pace = f"; task {self.idle['task']} waits: {self.idle['reason']}"
        if self.info.get("uploading"):
            pace += f"; not complete: {UPLOADING}, {CUT_SHORT}"
        return f"{name}: {self.info['state']}, {self.percent:.1f} %, {self.counts() or '0'}{pace}"

    def lines(self) -> list[str]:
        """The run in some lines."""
        info = self.info
        lines = [
            f"run      {info['uuid']}" + (f"  {info['name']}" if info["name"] else ""),
            f"state    {info['state']}, {self.percent:.1f} % of {info['numTasks']:,} tasks",
            f"tasks    {self.counts() or 'none'}",
        ]
        if self.pause:
            lines.append(f"{info['state']:8} {paused_in_words(self.pause)}")
        if info.get("uploading"):
            lines.append(f"inputs   not complete: {UPLOADING}, {CUT_SHORT}")
            lines.append(f"         {way_on(info['uuid'][:12])}")
        elif info.get("open") and info["state"] != "cancelled":
            lines.append("open     it takes more tasks, and its workers wait for them:")
            lines.append(f"         'taskfarm close {info['uuid'][:12]}' says that none will come.")
        if self.idle:
            lines.append(f"idle     task {self.idle['task']} waits: {self.idle['reason']}")
        if self.idle and self.idle["code"] == "in_line":
            lines.append(f"         'taskfarm work {info['uuid'][:12]} --proc 8' works on it here.")
        if self.rate and self.moving:
            left = span(self.seconds_left or 0)
            lines.append(f"pace     {self.rate:.3g} tasks/s, {left} left")
        return lines + failed_in_words(self)


def failed_in_words(seen: Look) -> list[str]:
    """The most frequent errors, a line each, and below it a real one where that tells more.

    Args:
        seen: the run.

    Returns:
        lines; none where nothing has failed.
    """
    shown = []
    for one in seen.groups[:GROUPS]:
        shown.append(f"failed   {one['count']:,} x {printable(one['essence'])}")
        shown += [f"         {told}" for told in one_of(one)]
    more = len(seen.groups) - GROUPS
    kinds = "kind of error" if more == 1 else "kinds of errors"
    return [*shown, f"failed   … and {more} more {kinds}"] if more > 0 else shown


def one_of(group: dict[str, Json]) -> list[str]:
    """One error of a group as it was told: its essence has # and … for what differs.

    Args:
        group: failed tasks with the same error.

    Returns:
        a line, for example "task 54: /bin/sh: 1: model: not found"; none where it is the essence.
    """
    lines = (group["error"] or "").strip().splitlines()
    last = printable(lines[-1].strip()) if lines else ""
    if last in ("", printable(group["essence"])):
        return []
    return [printable(f"task {group['task']}: {last}")]


def pause_of(run: Run, state: str = "paused") -> dict[str, Json] | None:
    """How a run was paused or cancelled, for those who know that it is: one call.

    Args:
        run: the run.
        state: which of them it is.

    Returns:
        the event, with `id`, `at`, `who` (empty: its policy) and `why`; None where there is none.
    """
    events = itertools.islice(run.events(), LOOKED_AT)
    return next((event for event in events if event["what"] in STEERED[state]), None)


def paused_in_words(pause: dict[str, Json]) -> str:
    """Tell who has paused or cancelled a run, and why.

    Args:
        pause: the event.

    Returns:
        for example "by ada: the disk is full".
    """
    why = f": {printable(pause['why'])}" if pause["why"] else ""
    return f"by {pause['who'] or 'its policy'}{why}"


def way_on(name: str) -> str:
    """Tell what to do about a run whose upload was cut short.

    Args:
        name: what the run is called in commands.

    Returns:
        a sentence.
    """
    return (
        f"If it was cut short, 'taskfarm delete {name}' and submit it again, or "
        f"'taskfarm close {name}' to work on those that have come."
    )


class Awaited(Run):
    """A run that says so, once, whenever it is found paused, or has tasks that none can get yet."""

    def __init__(self, run: Run, say: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            run: the run.
            say: tells people.
        """
        super().__init__(run._server, run.uuid)
        self._say = say
        self._paused = False
        self._idle = ""

    @property
    def progress(self) -> Progress:
        """How far the run is, now."""
        seen = super().progress
        before, self._paused = self._paused, seen.state == "paused"
        if self._paused and not before:
            pause = pause_of(self)
            how = f" {paused_in_words(pause)}" if pause else ""
            name = self.uuid[:12]
            waits = pause and not pause["who"] and pause["why"] == UPLOADING
            way = way_on(name) if waits else f"'taskfarm resume {name}' lets it go on."
            self._say(f"Run {name} is paused{how}. {way}")
        if seen.state == "active" and seen.waiting and not seen.computing:
            self._tell_idle()
        return seen

    def _tell_idle(self) -> None:
        """Say why its tasks wait, unless it is that nobody happens to ask for them."""
        idle = idle_of(self)
        code, before = idle["code"] if idle else "", self._idle
        self._idle = code
        if idle and code not in (before, "in_line", "backoff"):
            self._say(f"Run {self.uuid[:12]}: task {idle['task']} waits: {idle['reason']}.")


def printable(text: str) -> str:
    """An error for a terminal: what a program said of which nobody knows what it is.

    Args:
        text: anything.

    Returns:
        one line, not very long, without what cannot be seen.
    """
    seen = "".join(one if one.isprintable() and one != "\ufffd" else "?" for one in text)
    return seen if len(seen) <= LONGEST else seen[: LONGEST - 1] + "…"


def look(run: Run, rate: Callable[[dict[str, Json]], float | None] | None = None) -> Look:
    """Look at a run.

    Args:
        run: the run.
        rate: tells the rate from what the server says; by default the mean since its start.

    Returns:
        what was seen.
    """
    info = run.info()
    groups = run.failure_groups() if info.get("numFailed") else []
    pause = pause_of(run, info["state"]) if info["state"] in STEERED else None
    idle = info["state"] == "active" and info["numWaiting"] and not info["numComputing"]
    return Look(info, groups, (rate or mean_rate)(info), pause, idle_of(run) if idle else None)


def idle_of(run: Run) -> dict[str, Json] | None:
    """Why the first of the waiting tasks waits, for those who know that none computes: two calls.

    Args:
        run: the run.

    Returns:
        `task`, `code`, `reason` and `seconds`; None where none waits any more.
    """
    path = f"runs/{run.uuid}/tasks?status=waiting&limit=1"
    with contextlib.suppress(NotFoundError):  # deleted meanwhile
        for row in _rows.pages(run._server, path, most=1):
            told = run.explain(row["task"])
            if told["state"] == "waiting":
                return {"task": row["task"], **told, "reason": told["reason"].split(": ", 1)[1]}
    return None


def mean_rate(info: dict[str, Json]) -> float | None:
    """The mean rate of a run since its first claim.

    Args:
        info: what the server tells.

    Returns:
        tasks per second, or None when too little is known.
    """
    if not info.get("started") or not info.get("updated"):
        return None
    started, updated = (
        datetime.fromisoformat(info[name].replace("Z", "+00:00")) for name in ("started", "updated")
    )
    seconds = (updated - started).total_seconds()
    ended = info["numDone"] + info["numFailed"]
    return ended / seconds if ended > 1 and seconds > 0 else None


class Pace:
    """The rate over the last looks."""

    def __init__(self) -> None:
        """Start with no look."""
        self._seen: deque[tuple[float, int]] = deque(maxlen=MEMORY)

    def __call__(self, info: dict[str, Json]) -> float | None:
        """Note a look.

        Args:
            info: what the server tells.

        Returns:
            tasks per second lately; the mean since the start after the first look.
        """
        self._seen.append((time.monotonic(), info["numDone"] + info["numFailed"]))
        (begin, before), (end, after) = self._seen[0], self._seen[-1]
        if after < before:  # restarted meanwhile
            self._seen.clear()
        return (after - before) / (end - begin) if after > before else mean_rate(info)


def watch(run: Run, screen: Screen, interval: float) -> Look:
    """Show a run until it is over.

    Args:
        run: the run.
        screen: where to: a moving picture on a terminal, lines where something changed in a pipe.
        interval: seconds between looks.

    Returns:
        the last look.
    """
    pace = Pace()
    if screen.rich:
        return _watch_richly(run, pace, interval)
    last = ""
    while True:
        seen = look(run, pace)
        text = seen.short()
        if screen.json:
            screen.data(seen.data)
        elif text != last:
            print(text, flush=True)
        last = text
        if seen.over:
            break
        time.sleep(interval)
    for line in [] if screen.json or screen.quiet else failed_in_words(seen):
        print(line)
    return seen


def _watch_richly(run: Run, pace: Pace, interval: float) -> Look:
    live = importlib.import_module("rich.live").Live
    with live(console=console(), auto_refresh=False) as moving:
        while True:
            seen = look(run, pace)
            moving.update(_picture(seen), refresh=True)
            if seen.over:
                return seen
            time.sleep(interval)


def _picture(seen: Look) -> Any:  # noqa: ANN401  # rich is no dependency, so its types are not there
    """The run as a bar with its numbers below."""
    bar = importlib.import_module("rich.progress_bar").ProgressBar
    line = importlib.import_module("rich.padding").Padding  # a bar alone ends no line
    group = importlib.import_module("rich.console").Group
    text = importlib.import_module("rich.text").Text
    lines = [text(line) for line in seen.lines()]
    shown = bar(total=100, completed=seen.percent, width=60)
    return group(*lines[:1], line(shown, 0, expand=False), *lines[1:])
