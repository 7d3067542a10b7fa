"""Inputs from a file: lines of text, CSV with a head, or lines of JSON; one task for each."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from runs.inputs import refusal

JSON_ENDINGS = (".ndjson", ".jsonl")
LONGEST = 256 * 1024
"""Characters of one line; a longer one is no input that the farm keeps."""


def lines_of(file: Any, name: str) -> Iterator[bytes]:
    """The inputs in an uploaded file as lines of JSON, read as they are needed.

    The ending of its name says what it is: ``.csv`` has a head, and each row becomes an object;
    ``.ndjson`` and ``.jsonl`` have JSON in each line; anything else has one text a line.

    Raises:
        InvalidInput: the file is not what its name says, or not UTF-8.
    """
    ending = name.lower()
    if ending.endswith(JSON_ENDINGS):
        yield from file
        return
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        lines = text_lines(text)
        rows = csv_rows(lines) if ending.endswith(".csv") else plain_lines(lines)
        for row in rows:
            yield json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except UnicodeError as error:
        raise refusal(f"The file is not UTF-8: {error}") from None
    finally:
        text.detach()


def text_lines(text: Iterable[str]) -> Iterator[str]:
    """The lines of a file that is text.

    Raises:
        InvalidInput: a line has a NUL, which no command and no file name can have.
    """
    for number, line in enumerate(text, 1):
        if "\x00" in line:
            raise refusal(f"Line {number} has a NUL. If the file is in UTF-16, save it as UTF-8.")
        yield line


def plain_lines(text: Iterable[str]) -> Iterator[str]:
    """The lines that are not empty."""
    for line in text:
        if stripped := line.strip():
            yield stripped


def csv_rows(text: Iterable[str]) -> Iterator[dict[str, str]]:
    """The rows of a CSV by the names of its head.

    Raises:
        InvalidInput: the head names a column twice, or a row has more or fewer fields than it.
    """
    rows = csv.DictReader(text, strict=True)
    try:
        names = Counter(rows.fieldnames or ())
        if doubled := [name for name, times in names.items() if times > 1]:
            raise refusal(f"Line 1 names the column {doubled[0]!r} more than once.")
        for row in rows:
            if None in row or None in row.values():
                raise refusal(f"Line {rows.line_num} has not as many fields as the head.")
            yield row
    except csv.Error as error:
        raise refusal(f"Line {rows.reader.line_num} is no CSV: {error}") from None
