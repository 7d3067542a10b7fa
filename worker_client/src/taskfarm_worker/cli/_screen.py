"""What the commands print: JSON, bare values, plain lines, or tables on a terminal."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from .._answers import Json

Item = TypeVar("Item")

PATIENCE = 1.0
"""Seconds before a person is told how far something is, and between two such words."""

COLOURS = {
    "waiting": "blue",
    "computing": "yellow",
    "done": "green",
    "failed": "red",
    "cancelled": "magenta",
    "active": "green",
    "paused": "yellow",
    "finished": "bright_black",
}
"""Of states; the word itself always stands there, too."""


class Screen:
    """Where output goes, and in which form.

    Attributes:
        json: whether everything is printed as JSON.
        quiet: whether only what a script needs is printed.
        rich: the package of this name, when it is installed and a person looks on.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        """Find out who reads.

        Args:
            as_json: print JSON.
            quiet: print bare values only.
        """
        self.json = as_json
        self.quiet = quiet
        self.terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        fancy = self.terminal and not as_json and not quiet and "NO_COLOR" not in os.environ
        self.rich = fancy and _installed("rich.console")

    def line(self, text: str) -> None:
        """Print a line, whatever was asked for.

        Args:
            text: the line.
        """
        print(text)

    def say(self, text: str) -> None:
        """Print a line for people: not with --quiet, not with --json.

        Args:
            text: the line.
        """
        if not self.quiet and not self.json:
            print(text)

    def note(self, text: str) -> None:
        """Print a line beside the output, on stderr; not with --quiet.

        Args:
            text: the line.
        """
        if not self.quiet:
            with contextlib.suppress(OSError):  # nobody reads it: no reason to stop
                print(text, file=sys.stderr, flush=True)

    def told(self, items: Sequence[Item], what: str) -> Iterator[Item]:
        """Go through items; a person who waits for it sees how far that is, on stderr.

        Args:
            items: any.
            what: becomes of them, such as "sent".

        Yields:
            each.
        """
        if self.quiet or not sys.stderr.isatty():
            yield from items
            return
        last, shown = time.monotonic(), False
        for count, item in enumerate(items):
            if not count % 1000 and time.monotonic() - last >= PATIENCE:
                last, shown = time.monotonic(), True
                print(f"\r{count:,} of {len(items):,} {what}", end="", file=sys.stderr, flush=True)
            yield item
        if shown:
            print(f"\r{counted(len(items), 'input')} {what}".ljust(60), file=sys.stderr)

    def data(self, value: Json) -> None:
        """Print a value as JSON: indented for people, in one line for programs.

        Args:
            value: any JSON value.
        """
        indent = 2 if self.terminal else None
        print(json.dumps(value, indent=indent, ensure_ascii=False, default=str))

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows under a head, in columns.

        Args:
            head: the names of the columns; those that start with `>` stand at the right.
            rows: their values.
        """
        if self.rich:
            self._rich_table(head, rows)
            return
        lines = [
            [name.lstrip(">") for name in head],
            *([_cell(one) for one in row] for row in rows),
        ]
        widths = [max(map(len, column)) for column in zip(*lines)]
        for line in lines:
            cells = (
                one.rjust(width) if name.startswith(">") else one.ljust(width)
                for name, one, width in zip(head, line, widths)
            )
            print("  ".join(cells).rstrip())

    def _rich_table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """The same with colours, folded to the width of the terminal."""
        text = importlib.import_module("rich.text")
        made = importlib.import_module("rich.table").Table(box=None, pad_edge=False)
        for name in head:
            side = "right" if name.startswith(">") else "left"
            made.add_column(name.lstrip(">"), justify=side, header_style="bold")
        for row in rows:
            cells = [_cell(one) for one in row]
            made.add_row(*(text.Text(one, style=COLOURS.get(one, "")) for one in cells))
        console().print(made)


def console() -> Any:  # noqa: ANN401  # rich is no dependency, so its types are not there
    """The terminal as rich sees it."""
    return importlib.import_module("rich.console").Console(highlight=False)


def _installed(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def _cell(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def counted(number: int, noun: str) -> str:
    """Show how many there are.

    Args:
        number: how many.
        noun: of what, for one of them.

    Returns:
        for example "1 job", "2,000 jobs".
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def span(seconds: float) -> str:
    """Show a span of time.

    Args:
        seconds: how long.

    Returns:
        for example "45 s", "3 min 20 s", "4 h 05 min", "2 d 3 h".
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
