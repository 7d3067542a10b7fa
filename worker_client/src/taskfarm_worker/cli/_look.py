"""Commands that look: at the runs, at one, at its tasks, failures, logs and results."""

from __future__ import annotations

import itertools
import json
import sys
from collections import deque
from datetime import datetime
from pathlib import Path

from .. import _rows
from .._answers import Json
from .._errors import InvalidArgumentError, NotFoundError
from .._run import Run
from ..commands.workdir import Workdir
from ._context import DONE, TIMED_OUT, Context
from ._names import Row, rows
from ._screen import counted
from ._state import Awaited, failed_in_words, look, one_of, printable, watch

COUNTED = 50
"""Runs of which `ls` also shows how far they are: a call each."""


def ls(context: Context) -> int:
    """List the runs, the newest last."""
    args, screen = context.args, context.screen
    most = None if args.all else args.limit
    filters = {"name": args.name, "namespace": args.namespace, "state": args.state}
    found = deque(rows(context.farm, **filters), maxlen=most)
    if screen.quiet:
        for row in found:
            screen.line(row["uuid"])
        return DONE
    if len(found) <= COUNTED:
        found = deque({**row, **Run(context.farm._server, row["uuid"]).info()} for row in found)
    if screen.json:
        screen.data(list(found))
        return DONE
    head = ("uuid", "name", "state", ">tasks", ">progress", ">failed", "created", "owner")
    screen.table(head, map(_run_row, found))
    return DONE


def _run_row(row: Row) -> list[object]:
    progress = f"{row['percentDone']:.1f} %" if "percentDone" in row else ""
    failed = row.get("numFailed") or ""
    named = (row["uuid"][:12], row["name"], row["state"], row["numTasks"])
    return [*named, progress, failed, moment(row["created"]), row["owner"]]


def status(context: Context) -> int:
    """Show how far a run is; with --watch until it is over."""
    if context.args.watch:
        return watch(context.run, context.screen, context.args.interval).code
    seen = look(context.run)
    if context.screen.json:
        context.screen.data(seen.data)
    elif context.screen.quiet:
        context.screen.line(f"{seen.percent:.2f}")
    else:
        for line in seen.lines():
            context.screen.line(line)
    return DONE


def wait(context: Context) -> int:
    """Wait until runs are over; the exit code tells whether all is well."""
    worst = DONE
    for run in context.runs:
        try:
            Awaited(run, context.screen.note).wait(context.args.timeout)
        except TimeoutError as error:
            context.screen.note(f"taskfarm: {error}")
            return TIMED_OUT
        seen = look(run)
        if context.screen.json:
            context.screen.data(seen.data)
        else:
            context.screen.say(seen.short())
            for line in failed_in_words(seen):
                context.screen.note(line)
        worst = max(worst, seen.code)
    return worst


def tasks(context: Context) -> int:
    """List tasks by number."""
    args, screen = context.args, context.screen
    found = itertools.islice(context.run.tasks(args.status), args.limit)
    if screen.json:
        for row in found:
            screen.line(json.dumps(row))
        return DONE
    if screen.quiet:
        for row in found:
            screen.line(str(row["task"]))
        return DONE
    listed = list(found)
    head = (">task", "status", ">percent", ">attempt", "started", "updated")
    screen.table(head, map(_task_row, listed))
    if len(listed) == args.limit:
        screen.note(f"At most {args.limit} are shown: --limit N for more.")
    return DONE


def _task_row(row: Row) -> list[object]:
    percent = f"{row['percentCompleted']:g}"
    times = (moment(row["started"]), moment(row["updated"]))
    return [row["task"], row["status"], percent, row["attempt"], *times]


def failures(context: Context) -> int:
    """Show the failures by their error, or each; or save them."""
    args, screen = context.args, context.screen
    if args.save:
        return _save(context, "failures")
    if args.each or screen.quiet:
        for row in context.run.failures():
            screen.line(_failure_line(row, context))
        return DONE
    groups = context.run.failure_groups()
    if screen.json:
        screen.data(groups)
        return DONE
    for group in groups:
        hosts = ", ".join(f"{host} ({count})" for host, count in group["hosts"].items())
        screen.line(f"{group['count']} x {printable(group['essence'])}")
        for told in one_of(group):
            screen.line(f"    {told}")
        screen.line(f"    error {group['fingerprint']}, for example task {group['task']}; {hosts}")
    if groups:
        again = f"'taskfarm restart {context.run.uuid[:12]} --error NUMBER'"
        screen.note(f"{again} tries the tasks with one error again.")
    return DONE


def _failure_line(row: Row, context: Context) -> str:
    if context.screen.json:
        return json.dumps(row, ensure_ascii=False)
    if context.screen.quiet:
        return str(row["task"])
    lines = (row["error"] or "no message").strip().splitlines()
    code = f"exit code {row['exitCode']}"
    said = row["exitCode"] is None or lines[-1].endswith(code)
    return f"{row['task']}: {lines[-1]}" + ("" if said else f" ({code})")


def logs(context: Context) -> int:
    """Print what a task has printed: whole from the working folder, else the end of it."""
    args = context.args
    folder = Workdir(args.workdir or args.run)
    file, settings = folder.log(args.task), folder.read()
    if args.workdir and settings is not None and settings.run != context.run.uuid:
        raise InvalidArgumentError(f"{folder.path} has the logs of another run, {settings.run}.")
    there = args.attempt is None and settings is not None and file.exists()
    if there and not context.screen.json:
        sys.stdout.flush()
        with file.open("rb") as log:
            for piece in iter(lambda: log.read(1 << 16), b""):
                sys.stdout.buffer.write(piece)
        return DONE
    row = _attempt(context.run, args.task, args.attempt)
    if context.screen.json:
        context.screen.data({**row, "file": str(file) if there else None})  # the whole log
        return DONE
    sys.stdout.write(row["log"] or "")
    if row["error"]:
        context.screen.note(_unsaid(row["error"], row["log"] or ""))
    return DONE


def _unsaid(error: str, log: str) -> str:
    """What a log does not show of an error that a farmer tells.

    It is the command, how it ended, and between or behind them the end of its log.
    """
    lines = error.rstrip().splitlines()
    shown = [line.rstrip()[:500] for line in log.splitlines() if line.strip()]
    for most in range(min(len(lines), len(shown)), 0, -1):
        for end in (len(lines), len(lines) - 1):
            start = end - most
            if lines[0].startswith("$ ") and start > 0 and lines[start:end] == shown[-most:]:
                return "\n".join(lines[:start] + lines[end:])
    return "\n".join(lines)


def _attempt(run: Run, task: int, attempt: int | None) -> Row:
    """The last ended attempt at a task, or a certain one."""
    path = f"runs/{run.uuid}/attempts?after={task - 1}&limit=1"
    found = [row for row in _rows.pages(run._server, path, most=1) if row["task"] == task]
    if attempt is not None:
        found = [row for row in found if row["attempt"] == attempt]
    if found:
        return found[-1]
    which = f"attempt {attempt} at task {task}" if attempt else f"attempt at task {task}"
    reason = run.explain(task)["reason"]
    raise NotFoundError(f"No {which} has ended, so there is no log yet: the task is {reason}.")


def results(context: Context) -> int:
    """Print the results of the tasks that are done, or save them."""
    if context.args.save:
        return _save(context, "results")
    for row in context.run.results():
        if context.screen.json:
            context.screen.line(json.dumps(row, ensure_ascii=False))
        else:
            context.screen.line(f"{row['task']}\t{_flat(row['output'])}")
    return DONE


def _flat(output: Json) -> str:
    if isinstance(output, str) and output.isprintable():
        return output
    return json.dumps(output, ensure_ascii=False)


def _save(context: Context, what: str) -> int:
    file = Path(context.args.save)
    if file.is_dir():
        raise InvalidArgumentError(f"{file} is a folder: name a file in it.")
    count = context.run.save(file, what)
    if context.screen.json:
        context.screen.data({"file": str(file), "rows": count})
    else:
        context.screen.say(f"{counted(count, what[:-1])} in {file}")
    return DONE


def explain(context: Context) -> int:
    """Tell why a task is where it is."""
    told = context.run.explain(context.args.task)
    if context.screen.json:
        context.screen.data(told)
    else:
        state, reason = told["state"], told["reason"]
        context.screen.line(reason if reason.startswith(state) else f"{state}: {reason}")
    return DONE


def moment(text: str | None) -> str:
    """Show a moment that the server tells, in local time.

    Args:
        text: as it came.

    Returns:
        for example "2026-11-20 18:00:05"; "" for none.
    """
    if not text:
        return ""
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
