"""Commands for clusters: `launch` and `advise`."""

from __future__ import annotations

import argparse
import ipaddress
import itertools
import re
import shlex
import socket
import sys
import time
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from .._errors import InvalidArgumentError
from .._run import Run
from ..commands.advice import SAMPLE, Advice, advise, margin
from ..commands.batch import SCRIPTS, Batch, clock
from ..commands.jobs import Launcher, follow
from ..commands.records import times_of
from ..commands.workdir import Workdir
from ._context import DONE, ERROR, Context
from ._screen import counted, span
from ._working import check_options

PROC = 8

OPTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names of options of batch systems, without the hyphens before them."""


def launch(context: Context) -> int:
    """Submit batch jobs that work on a run, or print a script that does."""
    args = context.args
    _check_options(args)
    check_options(context, Workdir(args.workdir or args.run).read())  # else each job refuses them
    batch = _batch(context, context.run)
    Path(batch.folder).mkdir(parents=True, exist_ok=True)  # batch systems do not make it
    if args.executor != "local":
        _warn_of_loopback(context)
    if args.print:
        if args.executor not in SCRIPTS:
            raise InvalidArgumentError(
                f"There is no script for {args.executor!r}: {', '.join(SCRIPTS)}."
            )
        sys.stdout.write(SCRIPTS[args.executor](batch))
        return DONE
    launcher = Launcher(args.executor, batch)
    if args.elastic:
        return _follow(context, launcher, batch)
    ids = [launcher.submit() for _ in range(args.jobs)]
    if context.screen.json:
        context.screen.data({"jobs": ids})
    else:
        for one in ids:
            context.screen.line(one)
    return DONE


def _warn_of_loopback(context: Context) -> None:
    """Warn of an address of the farm that on each node means that node."""
    url = context.farm._server.url_base
    if _only_here(url):
        context.screen.note(
            f"taskfarm: jobs on other nodes will not reach the farm at {url}: give --url, before "
            f"the command, or TASKFARM_URL, with the name of this machine ({socket.gethostname()})."
        )


def _only_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost" or host.endswith(".localhost")


def _check_options(args: argparse.Namespace) -> None:
    """See whether there can be such jobs.

    Raises:
        InvalidArgumentError: there cannot.
    """
    for name in ("jobs", "nodes", "proc"):
        if getattr(args, name) < 1:
            raise InvalidArgumentError(f"--{name} is {getattr(args, name)}; it must be 1 or more.")
    for name in ("queue", "account"):
        if getattr(args, name) == "":  # an empty variable of a script
            raise InvalidArgumentError(f"--{name} is empty: give a name, or leave it out.")
    for one in args.set or ():
        if not OPTION.fullmatch(one.partition("=")[0]):
            raise InvalidArgumentError(f"--set {one!r} is not of the form NAME=VALUE, or NAME.")
    least = 2 * margin(10.0 if args.grace is None else args.grace)
    if args.time < least:
        raise InvalidArgumentError(
            f"--time is {span(args.time)}: a farmer gives its tasks back {span(least / 2)} before "
            f"the end of its job, which should have {span(least)} at least."
        )


def _batch(context: Context, run: Run) -> Batch:
    """What to submit, from the options."""
    args = context.args
    named = Workdir(args.run)
    folder = Workdir(args.workdir or (named.path if named.read() else f"taskfarm_{run.uuid[:12]}"))
    where = str(folder.path.absolute())
    url = context.farm._server.url_base
    words = [sys.executable, "-m", "taskfarm_worker", "--url", url, "work", run.uuid]
    words += ["--proc", str(args.proc), "--workdir", where]
    if args.runner:
        words += ["--runner", args.runner]
    if args.grace is not None:
        words += ["--grace", f"{args.grace:g}s"]
    more = dict(one.partition("=")[::2] for one in args.set or ())
    label = "".join(c if c.isalnum() or c in "-_." else "-" for c in str(run.info()["name"]))
    label = label.lstrip("-")  # else it is an option
    return Batch(
        name=(label or f"taskfarm-{run.uuid[:8]}")[:64], command=words, folder=where,
        jobs=args.jobs, nodes=args.nodes, proc=args.proc, seconds=args.time,
        grace=args.grace if args.grace is not None else 10.0, queue=args.queue,
        account=args.account, more=more,
    )  # fmt: skip


def _follow(context: Context, launcher: Launcher, batch: Batch) -> int:
    args = context.args
    if not 0 <= args.min <= args.max:
        raise InvalidArgumentError(f"--min {args.min} and --max {args.max} make no sense.")
    bounds = (batch.proc * batch.nodes, args.min, args.max)
    if follow(launcher, context.run, bounds, context.screen.say, args.interval):
        context.screen.say("The run is over.")
        return DONE
    context.screen.note(
        f"taskfarm: {launcher.failed} jobs in a row have failed to start, so no more are "
        f"submitted. What they said is in {batch.folder}."
    )
    return ERROR


def advice(context: Context) -> int:
    """Tell how many batch jobs of which length a run needs to be done in time."""
    args, run = context.args, context.run
    times = list(itertools.islice(times_of(run), SAMPLE))
    progress = run.progress
    left = progress.waiting + progress.computing
    if not left:
        return _nothing_left(context, len(times))
    if args.time is not None and args.time <= 0:
        raise InvalidArgumentError("--time is 0; a job must have some, such as 4h.")
    seconds = args.by.timestamp() - time.time()
    told = advise(times, left, seconds, args.proc, args.time)
    if context.screen.json:
        context.screen.data({name: getattr(told, name) for name in told.__dataclass_fields__})
        return DONE
    for line in _in_words(told, args.by):
        context.screen.line(line)
    context.screen.line(
        f"taskfarm launch {shlex.quote(args.run)} --executor slurm --jobs {told.jobs} "
        f"--proc {told.proc} --time {clock(told.job_seconds)}"
    )
    return DONE


def _nothing_left(context: Context, measured: int) -> int:
    """Say that no jobs are needed; as JSON with those of the usual keys that mean something."""
    if context.screen.json:
        none = dict.fromkeys(("jobs", "fewest", "together", "left"), 0)
        told = {"proc": context.args.proc, "measured": measured, "core_hours": [0.0] * 3}
        context.screen.data({**none, **told})
    else:
        context.screen.say("Nothing is left to be done.")
    return DONE


def _in_words(told: Advice, by: datetime) -> list[str]:
    low, mean, high = told.mean
    few, middle, many = told.core_hours
    fewest = f"{told.fewest} to " if told.fewest < told.jobs else ""
    measured, left = counted(told.measured, "task"), counted(told.left, "task")
    return [
        f"measured  {measured}: {mean:.3g} s each (90 % sure: {low:.3g} to "
        f"{high:.3g}), 95 % within {told.p95:.3g} s",
        f"left      {left}, {middle:.3g} core hours ({few:.3g} to {many:.3g})",
        f"needed    {fewest}{counted(told.jobs, 'job')} of {span(told.job_seconds)} with "
        f"{told.proc} at a time, {told.together} of them together, to be done by "
        f"{by:%a %Y-%m-%d %H:%M}",
    ]


def add_options(launch: argparse.ArgumentParser, advise: argparse.ArgumentParser) -> None:
    """Add the options of both.

    Args:
        launch: the parser of `launch`.
        advise: that of `advise`.
    """
    from ._numbers import MOST_PROC, whole
    from ._times import moment, seconds

    add = launch.add_argument
    add(
        "--executor", default="slurm", metavar="NAME", help="slurm (default), pbs, lsf, flux, local"
    )
    add("--jobs", type=int, default=1, metavar="N", help="how many jobs; 1 by default")
    add("--nodes", type=int, default=1, metavar="N", help="nodes of each, a farmer on every one")
    add("-n", "--proc", type=int, default=PROC, metavar="N", help="commands at a time on a node")
    add("--time", type=seconds, default=3600.0, metavar="TIME", help="of a job: 4h, 4:00:00")
    add("--queue", metavar="NAME", help="queue or partition")
    add("--account", metavar="NAME", help="who pays")
    add("--set", action="append", metavar="NAME=VALUE", help="another option of the batch system")
    add("-r", "--runner", metavar="NAME", help="how commands are run, from an *.ini file")
    add("--grace", type=seconds, metavar="TIME", help="from SIGTERM to SIGKILL; 10s by default")
    add("-w", "--workdir", help="folder for the logs; by default taskfarm_RUN")
    add("--print", action="store_true", help="print a script, and submit nothing")
    add("--elastic", action="store_true", help="stay, and keep as many jobs as tasks ask for")
    add("--min", type=int, default=1, metavar="N", help="with --elastic: jobs at least")
    add("--max", type=int, default=10, metavar="N", help="with --elastic: jobs at most")
    add("--interval", type=seconds, default=30.0, metavar="TIME", help="with --elastic")
    add = advise.add_argument
    add("--by", type=moment, required=True, metavar="WHEN", help="such as 'Fri 18:00' or +2d")
    add(
        "-n", "--proc", type=whole(1, MOST_PROC), default=PROC, metavar="N",
        help="commands at a time in a job",
    )  # fmt: skip
    add("--time", type=seconds, metavar="TIME", help="of a job, if it is to be a certain one")
