"""Inputs of tasks: JSON, at most 256 KiB each, streamed in and read back at the claim."""

from collections.abc import Iterable, Iterator
from typing import Any

from runs import plain
from runs.dialect import as_list, fetch, insert_rows
from runs.errors import InvalidInput, TooLarge
from runs.models import Run

MOST = 256 * 1024
"""Bytes of one input."""
MOST_IN_ANSWER = 8 * 2**20
"""Bytes of inputs in the answer to one exchange, about."""

READ = "SELECT number, value FROM runs_taskinput WHERE run_id = %s AND number {in_list}"


def read(run: Run, numbers: list[int]) -> dict[int, str]:
    """The inputs of some tasks as JSON: number → text. Asks nothing for a run without inputs."""
    if not numbers or not run.largest_input:
        return {}
    return dict(fetch(READ, [run.id, as_list(numbers)]))


def read_again(run_id: int, numbers: list[int]) -> dict[int, str]:
    """As ``read``, for a run of which nothing but the id is known."""
    return dict(fetch(READ, [run_id, as_list(numbers)]))


def most_at_once(run: Run) -> int:
    """How many tasks fit into one answer with their inputs, even if all are the largest."""
    return max(1, MOST_IN_ANSWER // max(run.largest_input, 1))


def encode(values: Iterable[Any], first: int = 0) -> Iterator[str]:
    """Values as the JSON that is kept.

    Raises:
        InvalidInput: one of them is no plain JSON; the error counts them from 1.
        TooLarge: one of them is above the limit.
    """
    for number, value in enumerate(values, first):
        try:
            text = plain.dump(value)
        except ValueError as error:
            raise refusal(
                f"Input {number - first + 1} is no JSON that can be kept: {error}."
            ) from None
        check_size(size_of(text), f"The input of task {number}")
        yield text


def lines(stream: Iterable[bytes]) -> Iterator[str]:
    """The inputs in NDJSON: one JSON value a line; empty lines are passed over.

    Raises:
        InvalidInput: a line is no JSON.
        TooLarge: a line is above the limit.
    """
    for index, line in enumerate(stream, 1):
        text = line.strip()
        if text:
            check_size(len(text), f"Line {index}")
            yield checked(text, index)


def checked(line: bytes, index: int) -> str:
    """One line of NDJSON as text, proved to be plain JSON."""
    try:
        return plain.decode(line)
    except ValueError as error:
        shown = line[:60].decode(errors="replace")
        raise refusal(f"Line {index} is no JSON: {error}: {shown!r}") from None


def refusal(reason: str) -> InvalidInput:
    """The error for an input that cannot be kept."""
    return InvalidInput(reason, {"inputs": [reason]})


def size_of(text: str) -> int:
    """Its bytes."""
    return len(text) if text.isascii() else len(text.encode())


def check_size(size: int, what: str) -> None:
    """Refuse an input that is larger than the farm keeps.

    Raises:
        TooLarge: it is.
    """
    if size > MOST:
        reason = (
            f"{what} has {size} bytes or more; an input has {MOST} at most. "
            "Put the data into a file or an object store, and its path into the input."
        )
        raise TooLarge(reason, {"inputs": [reason]})


def store(run_id: int, first: int, texts: list[str]) -> int:
    """Store inputs of the tasks from number ``first`` on; answers the bytes of the largest."""
    rows = ((run_id, number, text) for number, text in enumerate(texts, first))
    insert_rows("runs_taskinput", ("run_id", "number", "value"), rows)
    return max(map(size_of, texts), default=0)
