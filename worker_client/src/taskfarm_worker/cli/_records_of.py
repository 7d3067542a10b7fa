"""Commands that write what other tools read: `timeline` and `files`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from .._errors import ConfigurationError, InvalidArgumentError
from ..commands import records
from ..commands.workdir import TASKS, Workdir
from ._context import DONE, Context


def timeline(context: Context) -> int:
    """Print when each attempt ran and where, for Perfetto (https://ui.perfetto.dev)."""
    records.write_events(sys.stdout.write, context.run, _names(context, _folder(context)))
    return DONE


def files(context: Context) -> int:
    """Write the files of PyTaskFarmer: toprocess, finished, failed and timeline.json."""
    folder = _folder(context)
    if folder is None:
        raise InvalidArgumentError("Say with --workdir where the files are to be written.")
    if not folder.path.is_dir():
        raise InvalidArgumentError(f"{folder.path} is no folder.")
    counts = records.write_files(context.run, folder.path, _names(context, folder))
    if context.screen.json:
        context.screen.data({str(folder.path / file): count for file, count in counts.items()})
    else:
        for file, count in counts.items():
            context.screen.say(f"{folder.path / file}: {count:,}")
    return DONE


def _folder(context: Context) -> Workdir | None:
    """The folder that was named, as an option or in place of the run."""
    if context.args.workdir:
        return Workdir(context.args.workdir)
    named = Workdir(Path(context.args.run))
    return named if named.read() is not None else None


def _names(context: Context, folder: Workdir | None) -> records.Names:
    """The commands by task, as far as they are known here.

    Raises:
        ConfigurationError: they have been lost, so that a task would get another's.
    """
    tasks = [] if folder is None else folder.read_tasks()
    settings = None if folder is None else folder.read()
    if folder is not None and settings is not None and len(tasks) < settings.tasks:
        raise ConfigurationError(
            f"{folder.path / TASKS} lacks tasks of the run: it has {len(tasks):,} of "
            f"{settings.tasks:,}. 'taskfarm run --workdir {shlex.quote(str(folder.path))}' writes "
            "it again, if the tasklist is there and was not put into another order."
        )
    return records.names_of(tasks, str(context.run.policy().get("template") or ""))
