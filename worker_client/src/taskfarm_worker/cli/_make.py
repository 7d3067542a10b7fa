"""Commands that make: an access to the farm, and runs."""

from __future__ import annotations

import base64
import configparser
import contextlib
import getpass
import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import _config
from .._answers import Json
from .._errors import ConfigurationError, InvalidArgumentError
from .._run import Run
from .._session import ServerSession
from .._signals import unwinding
from .._streams import complain
from ..commands import lists
from ..commands.named import find_section
from ..commands.order import longest_first
from ..commands.tasklists import found_by, handled, product_of
from ..commands.templates import Template
from ._context import DONE, Context
from ._names import run_named

POLICY = {
    "attempts": "error_attempts",
    "lost_attempts": "lost_attempts",
    "timeout_attempts": "timeout_attempts",
    "task_timeout": "task_timeout",
    "backoff": "backoff",
    "priority": "priority",
    "max_fails": "fail_count",
    "max_fail_percent": "fail_percent",
    "canary": "canary_tasks",
    "columns": "columns",
    "start_after": "start_after",
    "expire_at": "expire_at",
    "description": "description",
    "group": "group",
}
"""Options of the command line and what `Farm.create_run` calls them."""


def login(context: Context) -> int:
    """Get a token and keep it in the configuration file."""
    args = context.args
    url = _config.normalise_url(args.address, "the arguments")
    user = args.user or os.environ.get("TASKFARM_USER") or getpass.getuser()
    typed = not args.password_stdin and sys.stdin.isatty()
    label = "the terminal" if typed else "standard input"
    password = _password(user, url) if typed else _line_of_input()
    mine = _config.Settings(url, user, _config.Credentials(user, password, None, label))
    with ServerSession(mine) as server:
        token = server.token
    path = Path(_config.config_path()[0])
    _keep(path, {"url": mine.url, "user": user, "token": token})
    until = _end_of(token)
    if context.screen.json:
        context.screen.data({"url": mine.url, "user": user, "file": str(path), "until": until})
    else:
        told = f" until {datetime.fromtimestamp(until):%Y-%m-%d %H:%M}" if until else ""
        context.screen.say(f"{user} is logged in at {mine.url}{told}; the token is in {path}.")
    return DONE


def _password(user: str, url: str) -> str:
    return getpass.getpass(f"Password of {user} at {url}: ")


def _line_of_input() -> str:
    password = sys.stdin.readline().rstrip("\n")
    if not password:
        raise ConfigurationError("No password on standard input.")
    return password


def _keep(path: Path, values: dict[str, str]) -> None:
    """Write the configuration: at no moment can anybody else read it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    parser = configparser.ConfigParser(interpolation=None)
    parser["taskfarm"] = values
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        parser.write(file)
    part.replace(path)


def _end_of(token: str) -> float | None:
    """When a token ends, in seconds since 1970, if it tells."""
    with contextlib.suppress(ValueError, IndexError, TypeError, KeyError):
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return float(claims["exp"])
    return None


def submit(context: Context) -> int:
    """Make a run of a file of tasks."""
    args = context.args
    tasks = read_tasks(context, Path(f"{args.tasklist}_workdir"))
    name = args.name if args.name is not None else name_of(args.tasklist)
    check_tasks(tasks, args.command, origin_of(args.tasklist))
    tasks = ordered(context, tasks)
    with unwinding():
        return _made(context, make_run(context, tasks, name), len(tasks))


def origin_of(tasklist: str | None) -> str:
    """Name what tasks come from, for messages.

    Args:
        tasklist: a path, - for standard input, or nothing.

    Returns:
        the beginning of a sentence.
    """
    return "Standard input" if tasklist == "-" else tasklist or "What was asked for"


def read_tasks(
    context: Context, workdir: Path, tasklist: str = "", handler: str = "", here: str = ""
) -> list[Json]:
    """Read a list as the options say; a handler may bring the command with it.

    Args:
        context: the call.
        workdir: the working folder, for handlers.
        tasklist: in place of the one that the call names.
        handler: likewise.
        here: a further folder in which *.ini files are looked for.

    Returns:
        an input per task.
    """
    args = context.args
    path, name = tasklist or args.tasklist, handler or args.handler or "default"
    if args.glob or args.product:
        if args.glob and args.product:
            raise InvalidArgumentError("Give either --glob or --product.")
        return found_by(args.glob) if args.glob else product_of(args.product)
    if path is None:
        raise InvalidArgumentError("Name a tasklist, or say --glob or --product.")
    if name == "default" and find_section(name, "TaskList", here) is None:
        return lists.read(path, lists.format_of(path, args.format))
    tasks, command = handled(name, path, str(workdir), here)
    args.command = args.command or command
    return tasks


def ordered(context: Context, tasks: list[Json]) -> list[Json]:
    """Put tasks into the order that the options say.

    Args:
        context: the call.
        tasks: an input per task, in the order of the list.

    Returns:
        the same tasks.

    Raises:
        InvalidArgumentError: what they cost is unknown.
    """
    args = context.args
    if args.order != "cost":
        return tasks
    like = run_named(context.farm, args.like) if args.like else None
    return longest_first(tasks, args.cost, like)


def make_run(context: Context, tasks: list[Json], name: str, *, held: bool = False) -> Run:
    """Make a run of inputs, as the options of `submit` and `run` say.

    Args:
        context: the call.
        tasks: an input per task.
        name: of the run.
        held: hand out nothing before its `uploaded`, which closes it.

    Returns:
        the run.
    """
    check_name(name)
    farm, given = context.farm, {**policy(context), "namespace": context.args.namespace}
    inputs = context.screen.told(tasks, "sent")
    if not held:
        return farm.create_run(inputs=inputs, name=name, **given)
    given.pop("open", None)
    return farm._held(inputs, name, **given)


def check_name(name: str | None) -> None:
    """Refuse a name that means something else.

    Args:
        name: of a new run.

    Raises:
        InvalidArgumentError: it does.
    """
    if name == "last":
        raise InvalidArgumentError("A run cannot be called 'last': that means the latest one.")


def check_tasks(tasks: Sequence[Json], command: str | None, origin: str, first: int = 0) -> None:
    """See whether there is a command for each task, before anything is made.

    Args:
        tasks: an input per task.
        command: the template, if there is one.
        origin: where the tasks come from.
        first: number of the first of them.

    Raises:
        InvalidArgumentError: there is none.
    """
    if not tasks:
        raise InvalidArgumentError(f"{origin} has no tasks: every line is empty or a comment.")
    if command:
        _check_template(Template(command), tasks, origin, first)
        return
    for index, task in enumerate(tasks):
        if isinstance(task, dict):
            task = task.get("command")
        if not isinstance(task, str):
            raise InvalidArgumentError(
                f"Task {first + index} of {origin} is no command: {json.dumps(tasks[index])[:60]}. "
                "Say with --command what to do, such as --command 'prog {column}'."
            )


def _check_template(template: Template, tasks: Sequence[Json], origin: str, first: int) -> None:
    """Fill the command of every task: what one lacks would show only when its turn comes."""
    template.check(tasks[0] if isinstance(tasks[0], dict) else {})
    for index, task in enumerate(tasks, first):
        try:
            template.fill(index, task)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"{origin}: {error} Nothing was submitted.") from None


def create(context: Context) -> int:
    """Make a run of numbered tasks."""
    args = context.args
    if args.command:
        template = Template(args.command)
        template.check(None)
        template.fill(0, None)
    check_name(args.name)
    run = context.farm.create_run(
        args.tasks, name=args.name, namespace=args.namespace, **policy(context)
    )
    return _made(context, run, args.tasks)


def policy(context: Context) -> dict[str, Any]:
    """Collect what the options say of the run's policy.

    Args:
        context: the call.

    Returns:
        options for `Farm.create_run`.
    """
    values = vars(context.args)
    given: dict[str, Any] = {
        ours: values[name] for name, ours in POLICY.items() if values.get(name) is not None
    }
    if values.get("command"):
        given["template"] = values["command"]
    if values.get("open"):
        given["open"] = True
    return given


def option_of(name: str, value: float) -> str:
    """Show an option of a run's policy as it is typed.

    Args:
        name: what `Farm.create_run` calls it.
        value: a number, or of a span its seconds.

    Returns:
        for example "--attempts 2".
    """
    option = next(typed for typed, ours in POLICY.items() if ours == name)
    return f"--{option.replace('_', '-')} {value:.10g}"


def name_of(path: str | Path | None) -> str:
    """Name a run for what it is made of.

    Args:
        path: of a list or folder, - for standard input, or nothing.

    Returns:
        a name; what is no text in UTF-8 is replaced in it.
    """
    name = "" if path in ("-", None) else Path(path).name[:200]
    return name.encode(errors="replace").decode()


def _made(context: Context, run: Run, count: int) -> int:
    screen = context.screen
    try:
        if screen.json:
            screen.data({"uuid": run.uuid, "numTasks": count})
        else:
            screen.line(run.uuid)
        sys.stdout.flush()
    except OSError:  # who repeats it does everything twice
        complain(f"taskfarm: run {run.uuid} has been made, and goes on.")
        raise
    if screen.terminal and not screen.json:
        screen.note(f"{count:,} tasks wait: 'taskfarm work last --proc 8' works on them here.")
    return DONE
