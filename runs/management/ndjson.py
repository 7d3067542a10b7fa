"""Lines of JSON, as ``createrun --inputs`` takes them."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from django.core.management.base import CommandError


def read_lines(lines: Iterable[str]) -> Iterator[Any]:
    """The value of each line, one line in memory at a time; empty lines are passed over.

    Raises:
        CommandError: a line is no JSON, with its number and what is wrong.
    """
    number = 0
    try:
        for line in lines:
            number += 1
            if line.strip():
                yield json.loads(line, parse_constant=refuse)
    except UnicodeDecodeError as error:
        raise CommandError(f"After line {number}: the file is not in UTF-8: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(
            f"Line {number} is no JSON ({error}): {line.strip()[:60]!r}. "
            "Each line is the input of one task; a plain text stands in quotes."
        ) from error


def refuse(name: str) -> NoReturn:
    """NaN and the infinities are no JSON.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} is no JSON")
