"""Standard output and error that are full, or that nobody reads any more."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO


def drop(stream: TextIO) -> None:
    """Let what is not written yet go nowhere, else Python tries it again at its end.

    Args:
        stream: standard output or error.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def complain(text: str) -> None:
    """Write a line to standard error, if that takes it.

    Args:
        text: the line.
    """
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def own_exit_code() -> Iterator[None]:
    """End as the block says, whatever of standard error is lost: Python would end with 120.

    Yields:
        for the block.
    """
    try:
        yield
    finally:
        try:
            sys.stderr.flush()
        except OSError:
            drop(sys.stderr)
