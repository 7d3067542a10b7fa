"""Streams of rows from the server: results, failures, attempts; and files of them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from ._answers import Json, json_object
from ._errors import InvalidArgumentError, UnexpectedAnswerError
from ._session import Call, ServerSession

if TYPE_CHECKING:
    from types import ModuleType

Row = dict[str, Json]

BATCH = 10_000
"""Rows of one group in a Parquet file."""


def stream(server: ServerSession, path: str) -> Iterator[Row]:
    """Go through lines of JSON, in constant memory.

    Args:
        server: the connection.
        path: of the call.

    Yields:
        row after row.

    Raises:
        UnexpectedAnswerError: the stream is cut off or garbled.
    """
    call = Call("GET", path, stream=True, slow=True)
    with server.call(call) as answer:
        try:
            for line in answer.iter_lines(chunk_size=65536):
                if line:
                    yield _row(line, answer.url)
        except requests.RequestException as error:
            raise UnexpectedAnswerError(f"GET {answer.url}: cut off: {error}.") from None


def pages(server: ServerSession, path: str, most: int = sys.maxsize) -> Iterator[Row]:
    """Go through a list that comes in pages.

    Args:
        server: the connection.
        path: of the first page, which has a query.
        most: how many pages.

    Yields:
        row after row.
    """
    start = path.split("?")[0] + "?"
    while path and most > 0:
        body = json_object(server.call(Call("GET", path)))
        yield from body.get("data", [])
        following = str(body.get("next") or "")
        path = following[following.find(start) :] if start in following else ""
        most -= 1


def save(server: ServerSession, path: str, file: Path) -> int:
    """Write a stream into a file, which is there only once it is complete.

    Args:
        server: the connection.
        path: of the call.
        file: its name tells the format: .ndjson, .csv or .parquet.

    Returns:
        how many rows it has.

    Raises:
        InvalidArgumentError: the name tells no format, or pyarrow is needed and not there.
    """
    formats = {".ndjson": _save_lines, ".csv": _save_lines, ".parquet": _save_parquet}
    if file.suffix not in formats:
        raise InvalidArgumentError(
            f"{file.name!r} tells no format: end it with {', '.join(formats)}."
        )
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        count = formats[file.suffix](server, path, part, file.suffix)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return count


def _save_lines(server: ServerSession, path: str, part: Path, suffix: str) -> int:
    """As the server sends it, which is in lines."""
    count = -1 if suffix == ".csv" else 0
    call = Call("GET", f"{path}?as={suffix[1:]}", stream=True, slow=True)
    with server.call(call) as answer, part.open("wb") as output:
        try:
            quoted = False
            for piece in answer.iter_content(chunk_size=65536):
                if suffix == ".csv":
                    ends, quoted = _ends_of_rows(piece, quoted)
                    count += ends
                else:
                    count += piece.count(b"\n")
                output.write(piece)
        except requests.RequestException as error:
            raise UnexpectedAnswerError(f"GET {answer.url}: cut off: {error}.") from None
    return count


def _ends_of_rows(piece: bytes, quoted: bool) -> tuple[int, bool]:
    """Count the rows that end in a piece of CSV: a line break within quotes ends none."""
    ends = 0
    for index, text in enumerate(piece.split(b'"')):
        quoted ^= index > 0
        ends += 0 if quoted else text.count(b"\n")
    return ends, quoted


def _save_parquet(server: ServerSession, path: str, part: Path, suffix: str) -> int:
    """Columns by name; outputs and all that has no plain type as JSON text."""
    arrow, parquet = _pyarrow()
    fields = [
        ("task", arrow.int64()), ("attempt", arrow.int64()), ("host", arrow.string()),
        ("started", arrow.string()), ("ended", arrow.string()),
        ("exitCode", arrow.int64()), ("output", arrow.string()), ("error", arrow.string()),
        ("fingerprint", arrow.int64()), ("log", arrow.string()),
    ]  # fmt: skip
    schema = arrow.schema(fields)
    count = 0
    rows = stream(server, path)
    with parquet.ParquetWriter(part, schema) as writer:
        while batch := [_plain(row) for row in islice(rows, BATCH)]:
            writer.write_table(arrow.Table.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


def _plain(row: Row) -> dict[str, Any]:
    """A row with its output as text."""
    output = row.get("output")
    return {**row, "output": None if output is None else json.dumps(output)}


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    """What writes Parquet; not required otherwise."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InvalidArgumentError(
            "Parquet needs pyarrow: pip install 'taskfarm-worker[parquet]', or save as .ndjson or "
            ".csv."
        ) from None
    return pyarrow, pyarrow.parquet


def _row(line: bytes, url: str) -> Row:
    """One line."""
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise UnexpectedAnswerError(f"GET {url}: a line is no JSON object: {line[:80]!r}.")
    return row
