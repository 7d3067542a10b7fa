"""Pieces of a run: what an operation over many tasks moves in one transaction."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from runs import moves, tallies
from runs.models import Run, task_id
from runs.selection import Selection
from runs.states import TaskState

PIECE = 5_000
"""Tasks in one transaction of an operation over many."""
FEW = 20_000
"""Up to so many tasks are found by their state's index; more by walking the numbers."""


@dataclass(frozen=True)
class Piece:
    """A part of a run that is moved in one transaction: a condition of ``moves.lock``."""

    condition: str
    values: tuple[object, ...]


def pieces(
    run: Run, states: tuple[TaskState, ...], selection: Selection | None = None
) -> Iterator[Piece]:
    """Cut the run into pieces that together hold every task that is now in one of the states.

    Few tasks are found through their state's index, so that restarting three of ten million costs
    no more than three of ten. Many are met by walking the numbers. A selection narrows both.
    """
    selection = selection or Selection()
    extra, values = selection.condition()
    for condition, bounds in _bounds(run, states, selection.numbers):
        yield Piece(condition + extra, (*bounds, *values))


def _bounds(
    run: Run, states: tuple[TaskState, ...], numbers: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Conditions and values that cut the run by state or by number."""
    if numbers:
        for first, last in numbers:
            yield from _windows(run, first, min(last, run.num_tasks - 1))
        return
    counts = tallies.read(run.id)
    present = [state for state in states if counts.of(state)]
    if TaskState.WAITING not in states and sum(counts.of(state) for state in present) <= FEW:
        yield from ((moves.IN_STATE, (state,)) for state in present)
        return
    yield from _windows(run, 0, run.num_tasks - 1)


def _windows(run: Run, first: int, last: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The numbers from ``first`` to ``last`` in windows."""
    for start in range(first, last + 1, PIECE):
        end = min(start + PIECE - 1, last)
        yield moves.WINDOW, (task_id(run.id, start), task_id(run.id, end))


class Watch(Protocol):
    """Passes the pieces of a long operation on while it shows somebody how far that has got."""

    def __call__(self, items: Iterable[Any], *, total: int) -> Iterable[Any]:
        """The items, ``total`` of them."""


def unwatched(items: Iterable[Any], *, total: int) -> Iterable[Any]:
    """Nobody looks on."""
    return items
