"""Files of tasks: commands, one per line, or inputs in CSV or lines of JSON."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from .._answers import Json
from .._errors import InvalidArgumentError

FORMATS = ("lines", "csv", "ndjson")
SUFFIXES = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}


def format_of(path: str, given: str | None = None) -> str:
    """Tell the format of a file.

    Args:
        path: the file, or `-` for standard input.
        given: what the user said.

    Returns:
        one of `FORMATS`.
    """
    return given or SUFFIXES.get(Path(path).suffix.lower(), "lines")


def read(path: str, form: str) -> list[Json]:
    """Read tasks.

    Args:
        path: the file, or `-` for standard input.
        form: one of `FORMATS`.

    Returns:
        an input per task: a command, a row of a table, or any JSON value.

    Raises:
        InvalidArgumentError: the file cannot be read, or is not what it should be.
    """
    try:
        with contextlib.ExitStack() as stack:
            data = sys.stdin.buffer if path == "-" else stack.enter_context(open(path, "rb"))
            file = io.TextIOWrapper(data, "utf-8-sig", newline="" if form == "csv" else None)
            try:
                return list(_parse(file, form, "standard input" if path == "-" else path))
            finally:
                file.detach()
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        what = "Standard input" if path == "-" else path
        raise InvalidArgumentError(f"{what} is no text in UTF-8: {error}.") from None


def commands(lines: Iterable[str]) -> Iterator[str]:
    """Take commands from lines as PyTaskFarmer does: without blank lines and # comments.

    Args:
        lines: of a tasklist.

    Yields:
        command after command.
    """
    for line in lines:
        text = line.strip()
        if text and not line.startswith("#"):
            yield text


def digest(tasks: Iterable[Json]) -> str:
    """Tell lists of tasks apart.

    Args:
        tasks: inputs.

    Returns:
        a SHA-256 in hexadecimal.
    """
    whole = hashlib.sha256()
    for one in tasks:
        text = one if isinstance(one, str) else json.dumps(one, sort_keys=True)
        whole.update(text.encode(errors="surrogatepass") + b"\n")
    return whole.hexdigest()


def _parse(file: TextIO, form: str, path: str) -> Iterator[Json]:
    if form == "lines":
        yield from commands(_text(file, path))
    elif form == "csv":
        yield from _rows(_text(file, path), path)
    else:
        yield from _values(file, path)


def _text(file: TextIO, path: str) -> Iterator[str]:
    """The lines of a file that has no NUL in it, as no argument of a command can have one."""
    for index, line in enumerate(file, 1):
        if "\0" in line:
            raise InvalidArgumentError(
                f"{path}, line {index}: it has a NUL. If the file is in UTF-16, save it as UTF-8."
            )
        yield line


def _rows(file: Iterable[str], path: str) -> Iterator[dict[str, str]]:
    """The rows of a table with a head."""
    reader = csv.DictReader(file, strict=True)
    try:
        head = reader.fieldnames or []
        _check_head(head, path)
        for row in reader:
            if None in row or None in row.values():
                raise InvalidArgumentError(
                    f"{path}, line {reader.line_num}: not the {len(head)} columns of its head."
                )
            yield row
    except csv.Error as error:
        line = reader.reader.line_num
        raise InvalidArgumentError(f"{path}, line {line}: {error}.") from None


def _check_head(head: Sequence[str], path: str) -> None:
    """Refuse a head that names a column twice, or not at all."""
    must = f"The first line of {path} must name its columns, each once"
    if not head or "" in head:
        raise InvalidArgumentError(f"{must}.")
    doubled = next((name for name, times in Counter(head).items() if times > 1), None)
    if doubled is not None:
        raise InvalidArgumentError(f"{must}: {doubled!r} stands there more than once.")


def _values(file: TextIO, path: str) -> Iterator[Json]:
    """JSON values, one per line."""
    for index, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as error:
            shown = line.strip()[:60]
            raise InvalidArgumentError(f"{path}, line {index}: {error}: {shown!r}.") from None
