"""Commands that work: `work` on a run, and `run`, which submits, works and waits in one."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import signal
import sys
import time
from pathlib import Path

from .. import _config
from .._answers import Json
from .._errors import ConflictError, InvalidArgumentError, TaskFarmError
from .._policy import fields
from .._run import Progress, Run
from .._work import Summary, check
from .._worker import WORK_PATIENCE
from ..commands import lists
from ..commands.farmer import Farmer, Job
from ..commands.named import runner_named
from ..commands.templates import Template
from ..commands.workdir import Settings, Workdir
from ._beginning import begin, run_of, set_going
from ._context import DONE, STOPPED, Context
from ._make import POLICY, check_tasks, option_of, origin_of, policy, read_tasks
from ._numbers import MOST_PROC
from ._screen import span
from ._state import Look, failed_in_words, idle_of, look, pause_of, paused_in_words, way_on

PROC = 8

PAUSED = "its policy has paused the run"
"""Why a farmer ends of a run that nobody but a person lets go on."""

IDLE, QUESTION = 10.0, 2.0
"""Seconds without a command after which it is asked why, again and again; and for an answer."""

TOGETHER, TRIES = 1000, 5
"""Tasks that are added at a time, and how often that is tried while others add them, too."""

CHANGEABLE = frozenset(POLICY.values()) - {"description", "group", "start_after", "expire_at"}
"""What is changed in a run where it is said otherwise than before; +4h is another moment always."""

NO_TIME = "no further command would end in time"


def work(context: Context) -> int:
    """Work on the commands of runs until none is left."""
    runs = context.runs
    if context.args.workdir and len(runs) > 1:
        raise InvalidArgumentError("A --workdir holds the logs of one run: leave it out.")
    for typed, run in zip(context.args.runs, runs):
        folder = Workdir(context.args.workdir or _folder_of(context, run))
        settings = folder.read()
        check_options(context, settings)
        folder.make()
        if settings is None:
            url = context.farm._server.url_base
            settings = Settings(run=run.uuid, url=url, here=os.getcwd())
            if not folder.create(settings):
                settings = folder.read() or settings
        _check_run(settings, run, folder)
        name = "" if len(runs) == 1 else run.uuid[:12] if typed == "last" else typed
        code = _farm(context, run, folder, _remember(context, folder, settings), name)
        if code != DONE:
            return code
    return DONE


def _folder_of(context: Context, run: Run) -> str:
    """The folder that was named in place of the run, or one for it."""
    named = [one for one in context.args.runs if Workdir(one).read() is not None]
    return named[0] if named and len(context.args.runs) == 1 else f"taskfarm_{run.uuid[:12]}"


def run(context: Context) -> int:
    """Submit commands, work on them, and wait; again on the same folder it goes on."""
    args = context.args
    if args.tasklist in (None, "-") and not args.workdir:
        raise InvalidArgumentError("Say --workdir: a folder to begin or go on in.")
    folder = Workdir(args.workdir or f"{args.tasklist}_workdir")
    settings = folder.read()
    check_options(context, settings)
    if settings is None:
        settings = begin(context, folder)
        the_run = Run(context.farm._server, settings.run)
        set_going(the_run, settings)
    else:
        args.url = args.url or settings.url
        the_run = run_of(context, folder, settings)
        set_going(the_run, settings)
        _change(context, folder, the_run)
        settings = _grow(context, folder, settings, the_run)
    settings = _remember(context, folder, settings)
    ends = "" if settings.timeout is None else f", for {span(settings.timeout)} at most"
    context.screen.note(f"Run {the_run.uuid}, logs in {folder.logs}{ends}")
    code = _farm(context, the_run, folder, settings)
    return code if code != DONE else _tell_end(context, the_run, folder)


def _change(context: Context, folder: Workdir, run: Run) -> None:
    """Take up what is said otherwise than before: a policy can change, a command cannot.

    Raises:
        InvalidArgumentError: it cannot.
    """
    given, now = policy(context), run.policy()
    command = given.pop("template", None)
    if command is not None and command != now["template"]:
        before = f"with another command: {now['template']!r}" if now["template"] else ""
        raise InvalidArgumentError(
            f"{folder.path} was started {before or 'without --command'}. Take another --workdir "
            "for this one."
        )
    changed = {
        name: value
        for name, value in given.items()
        if name in CHANGEABLE and not fields({name: value}).items() <= now.items()
    }
    info, args = run.info(), context.args
    labels = ("name", "namespace", "description", "group")
    passed_over = [
        f"--{one}"
        for one in labels
        if getattr(args, one) is not None and one in info and getattr(args, one) != info[one]
    ]
    if passed_over:
        context.screen.note(f"Passed over, as the run is there already: {', '.join(passed_over)}.")
    if changed:
        run.change(**changed)
        words = ", ".join(option_of(name, value) for name, value in changed.items())
        context.screen.note(f"The run's policy is changed: {words}.")


def _grow(context: Context, folder: Workdir, settings: Settings, run: Run) -> Settings:
    """Add what was added to the list since."""
    if settings.opened:  # whoever was adding to it has been killed
        run.change(open=False)
        settings = folder.change(settings, opened=False)
    origin, tasks = _read_again(context, folder, settings)
    noted = settings.tasks
    if tasks is None:
        return settings
    if lists.digest(tasks[:noted]) != settings.digest:
        raise InvalidArgumentError(
            f"{origin} is not the list that {folder.path} was started with: its tasks keep their "
            "commands, and others may only be added at its end. What a command needs (files, "
            "programs) can be mended and the task restarted; a changed command goes into a list of "
            f"its own, with another --workdir. {_which_failed(folder)}"
        )
    kept = _kept(folder, settings, tasks[:noted])
    if len(tasks) == noted:
        return settings
    check_tasks(tasks[noted:], run.policy()["template"], origin, noted)
    _check_added(folder, settings, tasks, origin)
    digest = lists.digest(tasks)
    opened = not settings.stays_open
    settings = folder.change(settings, opened=opened, adding=len(tasks), adding_digest=digest)
    try:
        _feed(run, tasks, noted)
        if kept:  # else nobody knows in which order they are in the run
            folder.write_tasks([*kept, *tasks[noted:]])
    finally:
        if opened:
            run.change(open=False)
            settings = folder.change(settings, opened=False)
    context.screen.note(f"Tasks that were added to the run: {len(tasks) - noted:,}.")
    return folder.change(settings, tasks=len(tasks), digest=digest, adding=0, adding_digest="")


def _kept(folder: Workdir, settings: Settings, tasks: list[Json]) -> list[Json]:
    """The tasks in the order of the run, written again where they were lost; none if unknown."""
    kept = folder.read_tasks()[: len(tasks)]
    if len(kept) == len(tasks):
        return kept
    if settings.ordered:
        return []
    folder.write_tasks(tasks)
    return tasks


def _which_failed(folder: Workdir) -> str:
    """How to find those whose commands have to be changed."""
    name = shlex.quote(str(folder.path))
    return f"'taskfarm failures {name} --each' tells which have failed."


def _check_added(folder: Workdir, settings: Settings, tasks: list[Json], origin: str) -> None:
    """Refuse a list that has changed where somebody was adding it, and was killed.

    Raises:
        InvalidArgumentError: it has.
    """
    if settings.adding and lists.digest(tasks[: settings.adding]) != settings.adding_digest:
        raise InvalidArgumentError(
            f"{origin} is not the list that was being added to {folder.path}: its first "
            f"{settings.adding:,} tasks are others by now, and some are in the run already. Mend "
            "the list, or take another --workdir for another one."
        )


def _feed(run: Run, tasks: list[Json], noted: int) -> None:
    """Add what the run lacks of the list; several farmers may be at it, or have been killed at it.

    Each piece says which number it begins with: of those who add the same, the server takes one.
    """
    there, left = noted, TRIES
    while there < len(tasks):
        run.change(open=True)
        try:
            there += run.append(tasks[there : there + TOGETHER], first=there)
        except ConflictError:  # somebody else was quicker, or has just closed the run
            before, there = there, max(noted, run.progress.total)
            left = left - 1 if there == before else TRIES
            if not left:
                raise


def _read_again(
    context: Context, folder: Workdir, settings: Settings
) -> tuple[str, list[Json] | None]:
    """What the list says now, and where it stands; None where there is nothing to look at."""
    args = context.args
    args.format = settings.form
    if args.glob or args.product:
        return origin_of(None), read_tasks(context, folder.path)
    tasklist = args.tasklist or settings.tasklist
    if not tasklist or tasklist == "-":
        return origin_of(tasklist), None
    if not args.tasklist and settings.here != os.getcwd():
        tasklist = str(Path(settings.here, tasklist))
    if not Path(tasklist).exists():
        return tasklist, None
    given = tasklist, settings.handler, settings.here
    return tasklist, read_tasks(context, folder.path, *given)


def check_options(context: Context, settings: Settings | None = None) -> None:
    """See whether the farmer's options make sense, before anything is made or remembered.

    Args:
        context: the call.
        settings: of its folder, if there are any.

    Raises:
        TaskFarmError: one does not.
    """
    args = context.args
    if args.proc is not None and not 1 <= args.proc <= MOST_PROC:
        raise InvalidArgumentError(f"--proc is {args.proc}; it must be 1 to {MOST_PROC:,}.")
    if args.runner is not None:
        runner_named(args.runner, settings.here if settings else "")


def _remember(context: Context, folder: Workdir, settings: Settings) -> Settings:
    """Keep the options for the next time."""
    names = ("proc", "runner", "timeout", "grace", "on_signal")
    given = {name: getattr(context.args, name) for name in names}
    changes = {name: value for name, value in given.items() if value is not None}
    if changes.get("timeout") == math.inf:
        changes["timeout"] = None
    if not settings.proc and "proc" not in changes:
        changes["proc"] = PROC
    folder.make()
    return folder.change(settings, **changes)


def _check_run(settings: Settings, run: Run, folder: Workdir) -> None:
    if settings.run != run.uuid:
        raise InvalidArgumentError(
            f"{folder.path} belongs to run {settings.run}, not {run.uuid}: take another folder."
        )


def _farm(context: Context, run: Run, folder: Workdir, settings: Settings, name: str = "") -> int:
    """Run commands until there are no more, or somebody ends it."""
    job = _job(context, run, folder, settings)
    farmer = Farmer(job, on_tick=_ticker(context, run))
    began = time.monotonic()
    farmer.work()
    seconds = time.monotonic() - began
    timed = min(job.timeout, job.time_left) < math.inf
    seen = _seen(run, farmer, surely=timed)
    if timed and not farmer.stopped and not (seen and seen.over):
        farmer.stopped = NO_TIME  # the farm knows how long they take, and gave out none
    _tell(context, run, farmer, seen, seconds, name)
    if farmer.signal is not None and farmer.signal != signal.SIGUSR1:
        return 128 + farmer.signal
    return STOPPED if farmer.stopped else DONE


def _job(context: Context, run: Run, folder: Workdir, settings: Settings) -> Job:
    """What a farmer is to do, from the run's policy and the options."""
    policy = run.policy()
    template = str(policy.get("template") or "")
    left = check("finish", 1, None)
    return Job(
        run._server,
        run.uuid,
        folder,
        template=Template(template) if template else None,
        proc=settings.proc,
        runner=runner_named(settings.runner, settings.here),
        task_timeout=policy.get("taskTimeout") or math.inf,
        timeout=math.inf if settings.timeout is None else settings.timeout,
        time_left=float(left) if isinstance(left, (int, float)) else math.inf,
        grace=settings.grace,
        on_signal=settings.on_signal,
        patience=_config.patience(None, WORK_PATIENCE),
        verbose=context.args.verbose,
    )


def _seen(run: Run, farmer: Farmer, surely: bool) -> Progress | None:
    """How far the run is once its farmer has ended; None where nobody says so soon.

    Args:
        run: the run.
        farmer: the farmer.
        surely: whether more hangs on it than words, unless it was stopped anyway.
    """
    if surely and not farmer.stopped:
        return run.progress
    if farmer.courier.error is None:  # else the server is away
        with contextlib.suppress(TaskFarmError):
            return Run(run._server.impatient(timeout=QUESTION), run.uuid).progress
    return None


class _ticker:
    """The line on a terminal that says how it goes, and why it does not."""

    def __init__(self, context: Context, run: Run) -> None:
        args = context.args
        self._context = context
        # Its own session, which waits for nobody: commands run on meanwhile.
        self._run = Run(run._server.impatient(timeout=QUESTION), run.uuid)
        self._shown = sys.stderr.isatty() and not (args.quiet or args.json or args.verbose)
        self._asked = time.monotonic()
        self._told: Json = None

    def __call__(self, farmer: Farmer, last: bool = False) -> None:
        if farmer.busy or last:
            self._asked = time.monotonic()
        elif time.monotonic() - self._asked > IDLE:
            self._ask(farmer)
            self._asked = time.monotonic()
        if self._shown:
            summary = farmer.summary
            text = f"{summary.done:,} done, {summary.failed:,} failed, {farmer.busy} running"
            end = "\r\x1b[K" if last else ""
            with contextlib.suppress(OSError):
                print(f"\r\x1b[K{text}{end}", end="", file=sys.stderr, flush=True)

    def _ask(self, farmer: Farmer) -> None:
        """Say why nothing comes, and end where the run's policy has stopped it."""
        try:
            info = self._run.info()
            pause = pause_of(self._run) if info["state"] == "paused" else None
            idle = idle_of(self._run) if info["state"] == "active" and info["numWaiting"] else None
        except TaskFarmError:  # it is away: the courier waits for it, and says so
            return
        if pause and not pause["who"] and not info.get("uploading"):
            farmer.halt(f"{PAUSED}: {pause['why']}" if pause["why"] else PAUSED)
            return
        told = (info["state"], pause and pause["id"], idle and idle["code"])
        words = _waited_for(info, pause, idle)
        if words and told != self._told:
            self._context.screen.note(("\r\x1b[K" if self._shown else "") + words)
        self._told = told


def _waited_for(
    info: dict[str, Json], pause: dict[str, Json] | None, idle: dict[str, Json] | None
) -> str:
    """What a farmer without tasks waits for; nothing where others just have them."""
    name = str(info["uuid"])[:12]
    way = f" {way_on(name)}" if info.get("uploading") else ""
    if pause:
        return f"The run is paused {paused_in_words(pause)}. It is waited for.{way}"
    if idle and idle["code"] != "in_line":
        return f"Nothing can be had yet: task {idle['task']} waits: {idle['reason']}."
    if info["state"] == "finished" and info.get("open", True):
        way = way or f" 'taskfarm close {name}' says that none will come."
        return f"All its tasks have ended, and the run is open: more are waited for.{way}"
    return ""


def _tell(
    context: Context, run: Run, farmer: Farmer, seen: Progress | None, seconds: float, name: str
) -> None:
    """Say what this farmer has done, and why it has ended."""
    done = farmer.summary
    if context.screen.json:
        told = {"done": done.done, "failed": done.failed, "dropped": done.dropped}
        why = farmer.stopped or None
        context.screen.data({"uuid": run.uuid, **told, "seconds": seconds, "stopped": why})
        return
    end = seen if seen is not None and seen.over and not farmer.stopped else None
    if end and done == Summary():
        context.screen.note(_over_in_words(end, name))
        return
    rate = (done.done + done.failed) / seconds if seconds > 0 else 0.0
    text = f"{name}: " if name else ""
    text += f"{done.done:,} done and {done.failed:,} failed attempts here"
    if done.dropped:
        text += f", {done.dropped:,} taken away by the server"
    text += f" in {span(seconds)} ({rate:.3g}/s)"
    if farmer.stopped:
        text += f"; stopped, since {farmer.stopped}: {_what_waits(context, run, farmer, seen)}"
    elif end and end.state == "cancelled":
        text += "; the run is cancelled"
    context.screen.note(text)


def _over_in_words(seen: Progress, name: str) -> str:
    """Why there was nothing to do."""
    failed = f" {seen.failed:,} of its tasks failed." if seen.failed else ""
    which = f"Run {name}" if name else "The run"
    return f"{which} is {seen.state}: nothing is left to work on.{failed}"


def _what_waits(context: Context, run: Run, farmer: Farmer, seen: Progress | None) -> str:
    """What a farmer that was stopped leaves to others, and how to go on with it."""
    if seen is not None and not seen.waiting and not farmer.stopped.startswith(PAUSED):
        return "nothing waits"
    limited = farmer.job.timeout < math.inf
    return f"the rest waits; {_way_on(context, run, farmer.stopped, limited)}"


def _way_on(context: Context, run: Run, stopped: str, timed: bool) -> str:
    """How to go on with what is left."""
    args = context.args
    if stopped.startswith(PAUSED):
        name = run.uuid[:12]
        return f"see 'taskfarm failures {name}'; 'taskfarm resume {name}' lets it go on"
    limit = " (--timeout none: without a limit)" if timed else ""
    if getattr(args, "runs", None):
        return f"'taskfarm work {run.uuid[:12]}' goes on with it{limit}"
    folder = args.workdir or f"{args.tasklist}_workdir"
    return f"'taskfarm run -w {shlex.quote(str(folder))}' goes on with it{limit}"


def _tell_end(context: Context, run: Run, folder: Workdir) -> int:
    """Say how the run ended, and what has failed."""
    seen = look(run)
    if not seen.over:  # others work on the rest, perhaps
        context.screen.note(seen.short())
        return STOPPED
    if not context.screen.json:
        _tell_people(context, seen, folder)
    return seen.code


def _tell_people(context: Context, seen: Look, folder: Workdir) -> None:
    context.screen.say(seen.short())
    for line in failed_in_words(seen):
        context.screen.note(line)
    if seen.info["numFailed"]:
        context.screen.note(
            "Once what they need (files, programs) is mended: taskfarm restart "
            f"{shlex.quote(str(folder.path))} --status failed, and run it again. A changed command "
            f"goes into a list of its own, with another --workdir: {_which_failed(folder)}"
        )
