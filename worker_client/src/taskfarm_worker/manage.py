"""manageTF: list, create, inspect, reset and delete runs from a terminal."""

from __future__ import annotations

import argparse
import getpass
import json
import logging
import sys
from collections.abc import Sequence

from . import _config
from ._answers import Json
from ._config import DEFAULT_URL
from ._errors import ConfigurationError, TaskFarmError, full
from ._farm import TaskFarm, tfRuns
from ._streams import complain, drop, own_exit_code
from ._version import __version__

RUN_LINE = "{id} {uuid} {numTasks}"
LABELS = ("name", "namespace", "description", "group")
INFO_LINE = RUN_LINE + " ({numWaiting},{numComputing},{numDone}) {percentDone}"

EPILOG = """\
What the options leave out comes from TASKFARM_URL, TASKFARM_USER, TASKFARM_PASSWORD and
TASKFARM_TOKEN, then from ~/.config/taskfarm/config.ini (mode 0600), then, for the password, from
a question on the terminal. Exit code: 0 done, 1 failed, 2 wrong usage.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run manageTF.

    Args:
        argv: the arguments without the program's name; those of the process by default.

    Returns:
        the exit code: 0 done, 1 failed (one line on stderr says why), 130 interrupted.

    Raises:
        SystemExit: with code 2 for wrong usage; with code 0 after --help and --version.
    """
    logging.basicConfig(format="manageTF: %(message)s")
    with own_exit_code():
        return _call(_arguments(argv))


def _call(args: argparse.Namespace) -> int:
    """Do what the arguments say; whatever goes wrong is told in a line."""
    try:
        _run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        drop(sys.stdout)
    except (TaskFarmError, OSError) as error:
        text = " ".join(str(error).split())
        if isinstance(error, OSError) and full(error):
            drop(sys.stdout)
            text = f"Output cannot be written: {error.strerror}."
        complain(f"manageTF: {text}")
        return 1
    except (KeyboardInterrupt, EOFError):
        complain("manageTF: interrupted")
        return 130
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    args = parser.parse_args(argv)
    if args.uuid is None and not args.list and args.create is None:
        parser.error("No run UUID specified")
    if args.uuid is not None and args.create is not None:
        parser.error("--create makes a new run: leave the UUID out")
    if args.create is None and any(getattr(args, label) for label in LABELS):
        parser.error(f"{', '.join(f'--{label}' for label in LABELS)} belong to --create")
    return args


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="manageTF",
        description="Manage the runs of a Taskfarm server. With a UUID alone: check that the "
        "run is there.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("uuid", nargs="?", help="run UUID")
    parser.add_argument("-b", "--baseurl", default=DEFAULT_URL, help="API url")
    parser.add_argument("-u", "--user", help="the taskfarm user")
    parser.add_argument(
        "-p",
        "--password",
        help="the password of the taskfarm user; visible to all users of this machine in its "
        "list of processes, so better in TASKFARM_PASSWORD or the configuration file",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    _add_modes(parser)
    return parser


def _add_modes(parser: argparse.ArgumentParser) -> None:
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("-l", "--list", action="store_true", help="list all runs")
    modes.add_argument("-i", "--info", action="store_true", help="get info about run")
    modes.add_argument("-r", "--reset", action="store_true", help="reset not completed tasks")
    modes.add_argument("-R", "--reset-all", action="store_true", help="reset all tasks")
    modes.add_argument("-d", "--delete", action="store_true", help="delete run")
    modes.add_argument(
        "--create", type=int, metavar="N", help="create a run of N tasks and print its UUID"
    )
    parser.add_argument("--name", help="with --create: a name for the run")
    parser.add_argument("--namespace", help="with --create: a namespace for the run")
    parser.add_argument("--description", help="with --create: what the run is about")
    parser.add_argument("--group", help="with --create: a group whose members share the run")


def _run(args: argparse.Namespace) -> None:
    user, password = _who(args)
    if args.list:
        _print_runs(tfRuns(user, password, url_base=args.baseurl), as_json=args.json)
        return
    with TaskFarm(
        user,
        password,
        uuid=args.uuid,
        numTasks=args.create,
        url_base=args.baseurl,
        name=args.name,
        namespace=args.namespace,
        description=args.description,
        group=args.group,
    ) as farm:
        _act(farm, args)


def _act(farm: TaskFarm, args: argparse.Namespace) -> None:
    if args.create is not None:
        created = {"uuid": farm.uuid, "numTasks": farm.numTasks}
        print(json.dumps(created) if args.json else farm.uuid)
    elif args.info:
        _print_info(farm.info(""), as_json=args.json)
    elif args.reset_all:
        farm.restart(everything=True)
    elif args.reset:
        farm.restart()
    elif args.delete:
        farm.delete()


def _print_info(info: dict[str, Json], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(info, indent=2))
        return
    print(_line(INFO_LINE, info))
    # What the published line leaves out; on stderr, for scripts read that line.
    for name, state in (("numFailed", "failed"), ("numCancelled", "cancelled")):
        count = info.get(name)
        if count:
            tasks = "1 task" if count == 1 else f"{count} tasks"
            again = "--reset hands out again what is not done"
            print(f"manageTF: {tasks} {state}; {again}", file=sys.stderr)


def _print_runs(runs: list[dict[str, Json]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(runs, indent=2))
        return
    for run in runs:
        print(_line(RUN_LINE, run))


def _line(pattern: str, row: dict[str, Json]) -> str:
    try:
        return pattern.format(**row)
    except KeyError as missing:
        raise TaskFarmError(f"The server's answer has no {missing}: {row}") from None


def _who(args: argparse.Namespace) -> tuple[str | None, str | None]:
    """Settle user and password; ask on a terminal for a password that is nowhere to be found.

    As with ssh or psql, a user who is nowhere named is the one who has logged in.
    """
    settings = _config.resolve(args.baseurl, args.user, args.password)
    if settings.credentials is not None:
        return args.user, args.password
    user = settings.user or _login_name()
    if args.password is not None:
        return user, args.password
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"No password for user {user!r} at {settings.url}: set TASKFARM_PASSWORD, or write "
            f"it to {_config.config_path()[0]} (mode 0600), or use a terminal to be asked."
        )
    return user, getpass.getpass(f"Password of {user} at {settings.url}: ")


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without an account, as in many containers
        raise ConfigurationError("No user: give one with -u or TASKFARM_USER.") from None


if __name__ == "__main__":
    sys.exit(main())
