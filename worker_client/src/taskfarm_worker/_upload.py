"""Inputs of a new run on their way: all of them arrive, or the caller hears what is left there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from ._answers import Json
from ._errors import ConflictError, NotFoundError, TaskFarmError, tell
from ._run import Run
from ._session import Call

NOTHING = "Nothing was submitted."


def bring(run: Run, inputs: Iterable[Json]) -> None:
    """Bring the inputs of a run that is held until its `end`, or take the run back.

    Args:
        run: the run.
        inputs: one JSON value per task.

    Raises:
        TaskFarmError: one of them cannot be had or sent; if the run stays, the text says so.
    """
    with or_taken_back(run):
        run.append(inputs)


@contextlib.contextmanager
def or_taken_back(run: Run) -> Iterator[None]:
    """Take a run back that is held, if something goes wrong, unless somebody has it in hand.

    Args:
        run: the run.

    Yields:
        for the block.
    """
    try:
        yield
    except BaseException as error:
        kept = _take_back(run)
        if kept is None:
            tell(
                error,
                f"Run {run.uuid} may be left, paused, with a part of its tasks: 'taskfarm delete "
                f"{run.uuid}' removes it.",
            )
        elif kept:
            tell(error, _kept_in_words(kept))
        elif isinstance(error, KeyboardInterrupt):  # whoever waited for it wants to know
            tell(error, NOTHING)
        raise


def end(run: Run) -> None:
    """Set a run going all of whose inputs have come, or take it back.

    An answer that is lost is no reason to call that failed: who repeats it does everything twice.

    Args:
        run: the run.

    Raises:
        TaskFarmError: it is not going, or nobody knows; the text says so.
    """
    try:
        run.uploaded()
    except BaseException as error:
        kept = _take_back(run)
        if kept is None:
            tell(
                error,
                f"Run {run.uuid} may go on all the same: look at it ('taskfarm status {run.uuid}') "
                "before this is done again.",
            )
        elif kept and kept.get("uploading"):
            tell(error, _kept_in_words(kept))
        elif kept and isinstance(error, TaskFarmError):
            return
        elif kept:
            tell(error, f"Run {run.uuid} has all its tasks, and goes on.")
        raise


def _take_back(run: Run) -> dict[str, Json] | None:
    """Delete a run that is held.

    Returns:
        what the server tells of one that stays; nothing if it is gone; None if nobody knows.
    """
    server = run._server.impatient()
    try:
        server.call(Call("DELETE", f"runs/{run.uuid}/uploaded"))
    except ConflictError:  # its upload has ended, or somebody has it in hand
        with contextlib.suppress(TaskFarmError):
            return Run(server, run.uuid).info()
        return None
    except NotFoundError:
        return {}
    except TaskFarmError:
        return None
    return {}


def _kept_in_words(info: dict[str, Json]) -> str:
    count = f"{info['numTasks']:,} task{'s' * (info['numTasks'] != 1)}"
    return (
        f"Run {info['uuid']} is kept with the {count} that have come, because somebody has closed, "
        "resumed, paused or cancelled it meanwhile."
    )
