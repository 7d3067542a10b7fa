"""The grammar of the command line."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import Any

from .._version import __version__
from ..commands.lists import FORMATS
from . import _cluster, _complete, _look, _make, _records_of, _steer, _working
from ._context import Command
from ._numbers import fingerprint, finite, whole
from ._times import limit, moment, seconds

STATES = ("waiting", "computing", "done", "failed", "cancelled")
RUN_STATES = ("active", "paused", "finished", "cancelled")
RUN_HELP = "a UUID, the start of one, a name, a working folder, or 'last'"

EPILOG = """\
RUN is a UUID, at least four digits of its start, a name, a working folder, or 'last'.
Address and credentials: 'taskfarm login', or TASKFARM_URL with TASKFARM_USER and TASKFARM_PASSWORD
or TASKFARM_TOKEN, or ~/.config/taskfarm/config.ini (mode 0600).
Exit codes: 0 done, 1 failed (a line says why), 2 wrong usage, 3 tasks have failed, 4 the run or
some of its tasks were cancelled, 75 stopped early and the tasks given back, 124 waited in vain,
128+N ended by signal N.
"""

Commands = Any  # argparse's own type for subparsers is private


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments.

    Args:
        argv: without the program's name; those of the process by default.

    Returns:
        what the user said; `do` is the command.

    Raises:
        SystemExit: with code 2 for wrong usage; with code 0 after --help and --version.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    parser, commands = build()
    word = next((one for one in given if not one.startswith("-")), None)
    if word is not None and word not in commands.choices and "--url" not in given:
        near = difflib.get_close_matches(word, commands.choices, 1)
        advice = f"did you mean {near[0]!r}?" if near else "see 'taskfarm --help'."
        parser.error(f"there is no command {word!r}: {advice}")
    return parser.parse_args(given)


def build() -> tuple[argparse.ArgumentParser, Commands]:
    """Make the parser.

    Returns:
        it, and its subparsers.
    """
    parser = argparse.ArgumentParser(
        prog="taskfarm",
        description="Submit work to a Taskfarm server, work on it, look at it, steer it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--url", help="address of the server, in place of the configured one")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _making(commands)
    _work(commands)
    _looking(commands)
    _tasks(commands)
    _steering(commands)
    _records(commands)
    _cluster.add_options(
        _on_run(commands, "launch", _cluster.launch), _on_run(commands, "advise", _cluster.advice)
    )
    completion = add(commands, "completion", _complete.completion, plain=True)
    completion.add_argument("shell", choices=_complete.SHELLS, help="for which shell")
    completion.add_argument("--of", choices=_complete.KINDS, help=argparse.SUPPRESS)
    return parser, commands


def add(
    commands: Commands, name: str, do: Command, *, plain: bool = False
) -> argparse.ArgumentParser:
    """Add a command; its help is the first line of its function's docstring.

    Args:
        commands: where to.
        name: what the user types.
        do: does it.
        plain: whether it has neither --json nor --quiet.

    Returns:
        its parser.
    """
    text = (do.__doc__ or "").strip().splitlines()[0].rstrip(".")
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text[:1].lower() + text[1:], description=text + ".", allow_abbrev=False
    )
    parser.set_defaults(do=do)
    if not plain:
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument(
            "-q", "--quiet", action="store_true", help="print only what scripts need"
        )
    return parser


def _making(commands: Commands) -> None:
    login = add(commands, "login", _make.login)
    login.add_argument("address", metavar="URL", help="address of the server")
    login.add_argument("-u", "--user", help="the user; by default that of this machine")
    login.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input"
    )
    submit = add(commands, "submit", _make.submit)
    submit.add_argument(
        "tasklist", metavar="TASKLIST", nargs="?", help="a file of tasks, - for standard input"
    )
    listed(submit)
    labelled(submit)
    create = add(commands, "create", _make.create)
    create.add_argument("--tasks", type=int, required=True, metavar="N", help="how many tasks")
    create.add_argument(
        "--command", metavar="TEMPLATE", help="what each is to run, such as 'prog --tile {task}'"
    )
    labelled(create)


def listed(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a list of tasks is read.

    Args:
        parser: of a command.
    """
    add = parser.add_argument
    add("-t", "--handler", "--tasklist", metavar="NAME", help="who reads it, from an *.ini file")
    add(
        "--glob", action="append", metavar="PATTERN",
        help="a task per file that is found, with {file}, {name} and {stem}; again for more",
    )  # fmt: skip
    add(
        "--product", action="append", metavar="NAME=VALUES",
        help="a task per combination of values: --product a=1..9 --product 'b=x y'",
    )  # fmt: skip
    add("--format", choices=FORMATS, help="of the file; by default its suffix tells, else lines")
    add(
        "--command", metavar="TEMPLATE",
        help="what a task is to run, with {column} of a CSV file or {key} of lines of JSON",
    )  # fmt: skip
    add("--order", choices=("list", "cost"), default="list", help="of the tasks; cost: long first")
    add("--cost", metavar="COLUMN", help="with --order cost: the column that tells it")
    add("--like", metavar="RUN", help="with --order cost: an earlier run of this list tells it")


def labelled(parser: argparse.ArgumentParser) -> None:
    """Add the options of a new run.

    Args:
        parser: of a command.
    """
    add = parser.add_argument_group("the run").add_argument
    add("--name", help="a name for the run")
    add("--namespace", help="what it belongs to: a project, a campaign, a year")
    add("--description", help="what it is about")
    add("--group", help="a group of yours whose members may see, work and change it, too")
    add("--open", action="store_true", help="more tasks may be added later")
    add = parser.add_argument_group("its policy").add_argument
    add("--attempts", type=int, metavar="N", help="attempts at a task that fails")
    add("--lost-attempts", type=int, metavar="N", help="attempts at a task whose workers get lost")
    add("--timeout-attempts", type=int, metavar="N", help="attempts at a task that takes too long")
    add("--task-timeout", type=seconds, metavar="TIME", help="for one attempt: 90s, 15m, 4:00:00")
    add("--backoff", type=seconds, metavar="TIME", help="before a failed task is tried again")
    add("--priority", type=int, metavar="N", help="among the runs of a namespace; high comes first")
    add("--max-fails", type=int, metavar="N",
        help="pause the run once so many tasks have failed: about, with short ones")  # fmt: skip
    add("--max-fail-percent", type=finite, metavar="P", help="the same in per cent")
    add("--canary", type=int, metavar="N", help="hold the rest until the first N have succeeded")
    add("--columns", type=int, metavar="N", help="the tasks are a grid of N columns: see the map")
    add("--start-after", type=moment, metavar="WHEN", help="not before: 18:00, 'Fri 18:00', +4h")
    add("--expire-at", type=moment, metavar="WHEN", help="not after")


def _work(commands: Commands) -> None:
    work = add(commands, "work", _working.work)
    work.add_argument("runs", metavar="RUN", nargs="+", help=RUN_HELP + "; one after the other")
    farmed(work)
    work.add_argument("-w", "--workdir", help="folder for the logs; by default taskfarm_RUN")
    run = add(commands, "run", _working.run)
    run.add_argument(
        "tasklist", metavar="TASKLIST", nargs="?",
        help="a file of tasks, - for standard input; not needed to go on in a --workdir",
    )  # fmt: skip
    farmed(run)
    run.add_argument("-w", "--workdir", help="working folder; by default TASKLIST_workdir")
    listed(run)
    labelled(run)


def farmed(parser: argparse.ArgumentParser) -> None:
    """Add the options of a farmer.

    Args:
        parser: of a command.
    """
    add = parser.add_argument
    add("-n", "--proc", type=int, metavar="N", help="commands at a time; 8 by default")
    add(
        "--timeout", type=limit, metavar="TIME",
        help="end after this time, tasks are given back; none lifts an earlier one",
    )  # fmt: skip
    add("-r", "--runner", metavar="NAME", help="how commands are run, from an *.ini file")
    add("-v", "--verbose", action="store_true", help="tell of each command that begins or ends")
    add("--grace", type=seconds, metavar="TIME", help="from SIGTERM to SIGKILL; 10s by default")
    add(
        "--on-signal", choices=("release", "finish"),
        help="end running commands after a signal and give their tasks back (default), or finish",
    )  # fmt: skip


def _looking(commands: Commands) -> None:
    ls = add(commands, "ls", _look.ls)
    ls.add_argument("--name", help="only names with this in it")
    ls.add_argument("--namespace", help="only of this namespace")
    ls.add_argument("--state", "--status", choices=RUN_STATES, help="only in this state")
    ls.add_argument(
        "--limit", type=whole(1), default=20, metavar="N", help="the last; 20 by default"
    )
    ls.add_argument("--all", action="store_true", help="all of them")
    status = _on_run(commands, "status", _look.status)
    status.add_argument("--watch", action="store_true", help="until it is over")
    status.add_argument(
        "--interval", type=seconds, default=2.0, metavar="TIME", help="between looks; 2s by default"
    )
    wait = _on_runs(commands, "wait", _look.wait)
    wait.add_argument("--timeout", type=seconds, metavar="TIME", help="wait no longer")
    failures = _on_run(commands, "failures", _look.failures)
    failures.add_argument("--each", action="store_true", help="every failed task, not only groups")
    failures.add_argument(
        "--save", metavar="FILE", help="all into a .ndjson, .csv or .parquet file"
    )
    results = _on_run(commands, "results", _look.results)
    results.add_argument("--save", metavar="FILE", help="into a .ndjson, .csv or .parquet file")


def _tasks(commands: Commands) -> None:
    tasks = _on_run(commands, "tasks", _look.tasks)
    tasks.add_argument("--status", "--state", choices=STATES, help="only in this state")
    tasks.add_argument("--limit", type=whole(1), default=1000, metavar="N", help="1000 by default")
    logs = _on_run(commands, "logs", _look.logs)
    logs.add_argument("task", type=whole(0), metavar="TASK", help="its number")
    logs.add_argument("--attempt", type=int, metavar="N", help="which; the last by default")
    logs.add_argument("-w", "--workdir", help="working folder with the whole logs")
    explain = _on_run(commands, "explain", _look.explain)
    explain.add_argument("task", type=whole(0), metavar="TASK", help="its number")


def _steering(commands: Commands) -> None:
    restart = _on_run(commands, "restart", _steer.restart)
    restart.add_argument("--all", action="store_true", help="all tasks, from 0 %%; else unfinished")
    restart.add_argument(
        "--status", "--state", action="append", choices=STATES, help="only in these states"
    )
    restart.add_argument("--tasks", metavar="RANGES", help="only these, such as 0-99,200")
    restart.add_argument("--error", type=fingerprint, metavar="NUMBER", help="only with this error")
    restart.add_argument("--host", help="only those that ran there")
    restart.add_argument("--older-than", type=seconds, metavar="TIME", help="nothing heard for it")
    _reason(restart)
    _on_run(commands, "undo", _steer.undo)
    for name, do in (
        ("pause", _steer.pause), ("resume", _steer.resume), ("close", _steer.close),
        ("cancel", _steer.cancel),
    ):  # fmt: skip
        _reason(_on_runs(commands, name, do))
    delete = _on_runs(commands, "delete", _steer.delete)
    delete.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _records(commands: Commands) -> None:
    timeline = add(commands, "timeline", _records_of.timeline, plain=True)
    timeline.add_argument("run", metavar="RUN", help=RUN_HELP)
    timeline.add_argument("-w", "--workdir", help="working folder that knows the commands")
    files = _on_run(commands, "files", _records_of.files)
    files.add_argument("-w", "--workdir", help="where to; by default the folder that RUN names")


def _reason(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for others to read")


def _on_run(commands: Commands, name: str, do: Command) -> argparse.ArgumentParser:
    parser = add(commands, name, do)
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    return parser


def _on_runs(commands: Commands, name: str, do: Command) -> argparse.ArgumentParser:
    parser = add(commands, name, do)
    parser.add_argument("runs", metavar="RUN", nargs="+", help=RUN_HELP)
    return parser
