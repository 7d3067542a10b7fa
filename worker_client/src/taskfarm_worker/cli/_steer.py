"""Commands that steer: restart, undo, pause, resume, close, cancel, delete."""

from __future__ import annotations

import sys

from .._errors import InvalidArgumentError
from .._run import Run
from ._context import DONE, ERROR, Context
from ._state import CUT_SHORT, UPLOADING, way_on

WITHOUT = "without the inputs that have not come"


def restart(context: Context) -> int:
    """Put tasks back to waiting."""
    args = context.args
    for name, like in (("tasks", "numbers such as 0-99,200"), ("host", "a name such as n012")):
        if getattr(args, name) == "":  # an empty variable of a script: it must not mean all tasks
            raise InvalidArgumentError(f"--{name} is empty: give {like}.")
    count = context.run.restart(
        args.all,
        states=args.status or (),
        tasks=args.tasks or "",
        fingerprint=args.error,
        host=args.host or "",
        older_than=args.older_than,
        reason=args.reason,
    )
    if not count and args.error is not None:
        _check_error(context.run, args.error)
    if not count and _selected(context) and not (context.screen.json or context.screen.quiet):
        context.screen.line("No task is in this selection: nothing was restarted.")
        return DONE
    # What the server can take back it remembers: a restart of one task, or of none, it does not.
    way_back = "; 'taskfarm undo' takes that back" if _undoable(context, count) else ""
    return _touched(context, count, f"waiting again{way_back}")


def _selected(context: Context) -> bool:
    """Whether a restart was asked of some tasks only."""
    given = vars(context.args)
    narrowing = ("status", "tasks", "host", "older_than", "error")
    return any(given[name] not in (None, "") for name in narrowing)


def _check_error(run: Run, error: int) -> None:
    """See whether a run has an error that nothing was found by; a mistyped one is no success.

    Raises:
        InvalidArgumentError: it has not.
    """
    if all(group["fingerprint"] != error for group in run.failure_groups()):
        name = run.uuid[:12]
        raise InvalidArgumentError(
            f"Nothing was restarted: no failed task of {name} has the error {error}. "
            f"'taskfarm failures {name}' tells which errors there are."
        )


def _undoable(context: Context, count: int) -> bool:
    """Whether the restart that was just made can be undone; asked only where it will be told."""
    if count < 2 or context.screen.json or context.screen.quiet:
        return False
    last = next((event for event in context.run.events() if event["what"] == "restart"), None)
    return last is not None and "before" in last["details"]


def undo(context: Context) -> int:
    """Take the last restart back."""
    return _touched(context, context.run.undo(), "what they were before")


def cancel(context: Context) -> int:
    """Call runs off."""
    for run in context.runs:
        _touched(context, run.cancel(context.args.reason), f"of {run.uuid[:12]} called off")
    return DONE


def pause(context: Context) -> int:
    """Hand out no more tasks of runs."""
    for run in context.runs:
        run.pause(context.args.reason)
        _tell(context, run, "paused")
    return DONE


def resume(context: Context) -> int:
    """Hand out tasks of runs again."""
    for run in context.runs:
        _check_inputs(run)
        run.resume(context.args.reason)
        _tell(context, run, "active")
    return DONE


def _check_inputs(run: Run) -> None:
    """Refuse to resume a run as if all of it were there.

    Raises:
        InvalidArgumentError: inputs of it are still to come, or never came.
    """
    info = run.info()
    if info.get("uploading") and info["state"] == "paused":
        name = run.uuid[:12]
        raise InvalidArgumentError(
            f"{name} is not complete: {UPLOADING}, {CUT_SHORT}. It has {info['numTasks']:,} tasks "
            f"so far. {way_on(name)}"
        )


def close(context: Context) -> int:
    """Take no more tasks into runs, so that workers end when those there are over."""
    for run in context.runs:
        if run.info().get("uploading"):
            run.uploaded(context.args.reason or WITHOUT)
        else:
            run.change(open=False, reason=context.args.reason)
        _tell(context, run, "closed")
        if run.progress.state == "paused":
            name = run.uuid[:12]
            context.screen.note(f"It stays paused: 'taskfarm resume {name}' lets it go on.")
    return DONE


def delete(context: Context) -> int:
    """Delete runs for good."""
    runs = context.runs
    if not context.args.yes and not _agreed(context, runs):
        return ERROR
    for run in runs:
        run.delete()
        _tell(context, run, "deleted")
    return DONE


def _agreed(context: Context, runs: list[Run]) -> bool:
    """Ask, as nothing brings them back."""
    if not sys.stdin.isatty():
        raise InvalidArgumentError("Deleting is for good: add --yes.")
    for run in runs:
        info = run.info()
        context.screen.note(f"{run.uuid}  {info['name']}  {info['numTasks']:,} tasks")
    print(
        "Delete with all tasks and results, for good? [y/N] ", end="", file=sys.stderr, flush=True
    )
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _touched(context: Context, count: int, what: str) -> int:
    if context.screen.json:
        context.screen.data({"tasks": count})
    elif context.screen.quiet:
        context.screen.line(str(count))
    else:
        context.screen.line(f"{count:,} task{'s' * (count != 1)} {what}")
    return DONE


def _tell(context: Context, run: Run, state: str) -> None:
    if context.screen.json:
        context.screen.data({"uuid": run.uuid, "state": state})
    else:
        context.screen.say(f"{run.uuid} {state}")
