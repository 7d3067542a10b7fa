"""Inputs of tasks: JSON, at most 256 KiB each, streamed in and read back at the claim."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from runs.attempts import to_json
from runs.dialect import as_list, as_records, fetch, run_sql
from runs.errors import TooLarge
from runs.models import Run

MOST = 256 * 1024
"""Bytes of one input."""
CHUNK = 2_000
"""Inputs in one statement."""

READ = "SELECT number, value FROM runs_taskinput WHERE run_id = %s AND number {in_list}"
STORE = """
INSERT INTO runs_taskinput (run_id, number, value)
SELECT %s, told.number, told.value FROM {records}
"""


def read(run: Run, numbers: list[int]) -> dict[int, str]:
    """The inputs of some tasks as JSON: number → text. Asks nothing for a run without inputs."""
    if not numbers or not run.has_inputs:
        return {}
    return dict(fetch(READ, [run.id, as_list(numbers)]))


def read_again(run_id: int, numbers: list[int]) -> dict[int, str]:
    """As ``read``, for a run of which nothing but the id is known."""
    return dict(fetch(READ, [run_id, as_list(numbers)]))


def encode(values: Iterable[Any], first: int = 0) -> Iterator[str]:
    """Values as the JSON that is kept.

    Raises:
        TooLarge: one of them is above the limit.
    """
    for index, value in enumerate(values):
        text = to_json(value)
        size = len(text.encode())
        if size > MOST:
            raise TooLarge(
                f"The input of task {first + index} has {size} bytes; an input has {MOST} at most. "
                "Put the data into a file or an object store, and its path into the input."
            )
        yield text


def store(run_id: int, first: int, texts: Iterable[str]) -> int:
    """Store inputs of the tasks from number ``first`` on; answers how many."""
    count = 0
    iterator = iter(texts)
    while chunk := list(islice(iterator, CHUNK)):
        rows = [
            {"number": first + count + index, "value": text} for index, text in enumerate(chunk)
        ]
        statement, value = as_records(STORE, "told", {"number": "int", "value": "text"}, rows)
        run_sql(statement, [run_id, value])
        count += len(chunk)
    return count
