"""The first call of `taskfarm run` on a working folder, and what the next ones owe to it."""

from __future__ import annotations

import os

from .._answers import Json
from .._errors import ConfigurationError, InvalidArgumentError, NotFoundError, told
from .._run import Run
from .._signals import unwinding
from .._upload import or_taken_back
from ..commands import lists
from ..commands.workdir import Settings, Workdir
from ._context import Context
from ._make import check_tasks, make_run, name_of, ordered, origin_of, read_tasks
from ._names import rows


def begin(context: Context, folder: Workdir) -> Settings:
    """Submit, unless another farmer has done so meanwhile; the run is held until `set_going`.

    What ends this before the folder knows the run takes the run back: else a repetition would make
    another, and whoever works on both does everything twice.

    Args:
        context: the call.
        folder: a working folder without settings.

    Returns:
        the settings that the folder has now.

    Raises:
        InvalidArgumentError: there is no list, or it makes no sense.
        OSError: the folder cannot be written.
    """
    args = context.args
    tasklist = "" if args.tasklist in ("-", None) else args.tasklist
    name = args.name if args.name is not None else name_of(tasklist or folder.path)
    cut_off = folder.logs.is_dir()
    tasks = _first_read(context, folder, cut_off)
    folder.make()
    in_order = ordered(context, tasks)
    with unwinding():
        made = make_run(context, in_order, name, held=True)
        settings = Settings(
            run=made.uuid,
            url=context.farm._server.url_base,
            tasklist=tasklist,
            form=lists.format_of(args.tasklist or "", args.format),
            handler=args.handler or "default",
            tasks=len(tasks),
            digest=lists.digest(tasks),
            ordered=args.order == "cost",
            stays_open=bool(args.open),
            here=os.getcwd(),
        )
        try:
            with or_taken_back(made):
                if not folder.create(settings, in_order):
                    raise FileExistsError(folder.configuration)
        except FileExistsError as late:  # the other's run is in the folder
            for one in told(late):
                context.screen.note(one)
            return folder.read() or settings
        if cut_off:
            _tell_of_namesakes(context, name, made)
    return settings


def _first_read(context: Context, folder: Workdir, cut_off: bool) -> list[Json]:
    """Read the list for a folder that is without a run."""
    args = context.args
    if args.tasklist is None and not args.glob and not args.product:
        why = ", as its first submission was cut off" if cut_off else ""
        raise InvalidArgumentError(
            f"{folder.path} has no run to go on with{why}: name a tasklist, or say --glob or "
            "--product."
        )
    tasks = read_tasks(context, folder.path)
    check_tasks(tasks, args.command, origin_of(args.tasklist))
    return tasks


def _tell_of_namesakes(context: Context, name: str, made: Run) -> None:
    """Tell of runs that a submission has left which was killed; not of the one just made."""
    for row in rows(context.farm, name=name, state="paused"):
        run = Run(context.farm._server, str(row["uuid"]))
        if row["name"] == name and run.uuid != made.uuid and run.info().get("uploading"):
            context.screen.note(
                f"Run {run.uuid} of the same name is not complete: its upload was cut off, or "
                f"still goes on. 'taskfarm delete {run.uuid}' removes it."
            )


def run_of(context: Context, folder: Workdir, settings: Settings) -> Run:
    """Open the run of a folder.

    Args:
        context: the call.
        folder: the folder.
        settings: what is in it.

    Returns:
        the run.

    Raises:
        ConfigurationError: it is gone.
    """
    try:
        return context.farm.run(settings.run)
    except NotFoundError:
        raise ConfigurationError(
            f"The run of {folder.path} is gone: {settings.run} has been deleted, or you may not "
            "see it. Remove that folder, or take another --workdir."
        ) from None


def set_going(run: Run, settings: Settings) -> None:
    """End the upload of a run: all its inputs had come before its folder got its settings.

    Whoever comes first does so, as the one that has uploaded it may have been killed.

    Args:
        run: the run.
        settings: of its folder.
    """
    if settings.tasks and run.info().get("uploading"):
        run.uploaded(stays_open=settings.stays_open)
