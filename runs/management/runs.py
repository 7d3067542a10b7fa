"""What the commands on runs share: finding the run, its arguments, a bar on a terminal."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from runs.models import Run


def add_uuid(parser: ArgumentParser) -> None:
    """The argument that names a run."""
    parser.add_argument("uuid", help="the run's UUID, or a start of it that is unique")


def add_reason(parser: ArgumentParser) -> None:
    """The argument that says why."""
    parser.add_argument("--reason", default="", help="why; kept with the event")


def find_run(text: str) -> Run:
    """The run with this UUID, or whose UUID is the only one to start so.

    Raises:
        CommandError: there is none, or more than one.
    """
    digits = text.replace("-", "").lower()
    if not digits or len(digits) > 32 or set(digits) - set("0123456789abcdef"):
        raise CommandError(f"{text!r} is no UUID: 'manage.py runs' lists them.")
    bounds = (UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))
    found = list(Run.objects.kept().filter(uuid__range=bounds).select_related("owner", "group")[:2])
    if not found:
        raise CommandError(f"There is no run {text}: 'manage.py runs' lists them.")
    if len(found) > 1:
        raise CommandError(f"More than one run starts with {text}: give more of its UUID.")
    return found[0]


def with_bar(items: Iterable[Any], *, total: int, stream: Any = None) -> Iterator[Any]:
    """The items, while a bar on the terminal shows how many of them are through."""
    stream = stream or sys.stderr
    shown = -1
    for done, item in enumerate(items, 1):
        yield item
        percent = 100 * done // max(total, 1)
        if stream.isatty() and percent != shown:
            shown = percent
            bar = "█" * (percent // 4)
            stream.write(f"\r{bar:<25} {percent:3d} %" + ("\n" if done >= total else ""))
            stream.flush()
