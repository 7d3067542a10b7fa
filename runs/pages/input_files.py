"""Inputs from a file: lines of text, CSV with a head, or lines of JSON; one task for each."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from runs import inputs
from runs.errors import InvalidInput

JSON_ENDINGS = (".ndjson", ".jsonl")
LONGEST = inputs.MOST
"""Characters of one line, or of one row of a CSV; a longer one is no input that the farm keeps."""

csv.field_size_limit(LONGEST)  # of the whole process, where nothing else reads any


def lines_of(file: Any, name: str) -> Iterator[bytes]:
    """The inputs in an uploaded file as lines of JSON, read as they are needed.

    The ending of its name says what it is: ``.csv`` has a head, and each row becomes an object;
    ``.ndjson`` and ``.jsonl`` have JSON in each line; anything else has one text a line.

    Raises:
        InvalidInput: the file is not what its name says, not UTF-8, or has a line too long.
    """
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        yield from as_json(text_lines(text), name.lower())
    except UnicodeError as error:
        raise inputs.refusal(f"The file is not UTF-8: {error}") from None
    finally:
        text.detach()


def as_json(lines: Iterator[str], name: str) -> Iterator[bytes]:
    """The inputs in the lines of a file of this name, each as a line of JSON."""
    if name.endswith(JSON_ENDINGS):
        for line in lines:
            yield line.encode()
        return
    for value in csv_rows(lines) if name.endswith(".csv") else plain_lines(lines):
        yield (json.dumps(value, ensure_ascii=False) if value else "").encode() + b"\n"


def text_lines(text: io.TextIOBase) -> Iterator[str]:
    """The lines of a file that is text, none of them read further than it may be long.

    Raises:
        InvalidInput: a line is too long, or has a NUL, which no command and no file name can have.
    """
    for number in count(1):
        line = text.readline(LONGEST + len("\r\n"))
        if not line:
            return
        if len(line.rstrip("\r\n")) > LONGEST:
            raise too_long(f"Line {number}")
        if "\x00" in line:
            raise inputs.refusal(
                f"Line {number} has a NUL. If the file is in UTF-16, save it as UTF-8."
            )
        yield line


def too_long(what: str) -> InvalidInput:
    """The error for a line or row that is no input that the farm keeps."""
    return inputs.refusal(
        f"{what} has more than {LONGEST:,} characters, and no input has. "
        "Put the data into a file or an object store, and its path into the input."
    )


def plain_lines(text: Iterable[str]) -> Iterator[str]:
    """The lines without the space around them; those that are empty are counted, too."""
    for line in text:
        yield line.strip()


def csv_rows(text: Iterable[str]) -> Iterator[dict[str, str]]:
    """The rows of a CSV by the names of its head.

    Raises:
        InvalidInput: the head names a column twice, or a row has more or fewer fields than it, or
            goes on over lines that are too long together.
    """
    bounded = BoundedRows(text)
    rows = csv.reader(bounded, strict=True)
    names: list[str] = []
    try:
        for row in rows:
            bounded.size = 0
            if not names:
                names = row
                if doubled := [name for name, times in Counter(names).items() if times > 1]:
                    raise inputs.refusal(
                        f"The head names the column {doubled[0]!r} more than once."
                    )
            elif row:
                if len(row) != len(names):
                    reason = f"Line {rows.line_num} has not as many fields as the head."
                    raise inputs.refusal(reason)
                yield dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise inputs.refusal(f"Line {rows.line_num} is no CSV: {error}") from None


class BoundedRows:
    """The lines of a CSV; ``size``: the characters since the last row, which a quote prolongs."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = lines
        self.size = 0

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self.lines, 1):
            self.size += len(line)
            if self.size > LONGEST + len("\r\n"):
                raise too_long(f"The row that goes on in line {number}")
            yield line
