"""Numbers as people type them."""

from __future__ import annotations

import argparse
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
        compact = text.strip().replace("_", "")
        try:
            number = int(compact)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            why = f"{text!r} is no whole number from {least} to {most:,}."
            raise argparse.ArgumentTypeError(why)
        return number

    return read
