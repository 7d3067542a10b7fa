"""Numbers as people type them."""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Callable

MOST_PROC = 10_000
"""Commands at a time that a farmer can be asked for."""


def whole(least: int, most: int = 2_000_000_000) -> Callable[[str], int]:
    """Say how a whole number is read that lies between two.

    Args:
        least: the lowest.
        most: the highest.

    Returns:
        for the `type` of an option.
    """

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            why = f"{text!r} is no whole number from {least} to {most:,}."
            raise argparse.ArgumentTypeError(why)
        return number

    return read


def finite(text: str) -> float:
    """Read a number.

    Args:
        text: as typed.

    Returns:
        the number.

    Raises:
        ArgumentTypeError: it is none, or without end.
    """
    with contextlib.suppress(ValueError):
        if math.isfinite(number := float(text)):
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is no number.")


def fingerprint(text: str) -> int:
    """Read the number of an error.

    Args:
        text: as typed.

    Returns:
        the number.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        return int(text)
    except ValueError:
        why = f"{text!r} is not the number of an error, which 'taskfarm failures RUN' shows."
        raise argparse.ArgumentTypeError(why) from None
