"""``manage.py sweep``: give up lost workers, end overdue attempts, wake tasks, close windows."""

import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, close_old_connections

from runs import sweep
from runs.sweep import Swept


def interval(text: str) -> float:
    """Seconds between two sweeps.

    Raises:
        ArgumentTypeError: they are no number from 1 to 86400.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86_400:
        raise ArgumentTypeError(f"{text[:40]!r} is no number of seconds from 1 to 86400.")
    return seconds


class Command(BaseCommand):
    """Sweep."""

    help = (
        "Give up workers that fell silent, end attempts that took too long, wake tasks after their "
        "backoff, close runs whose time is up, finish deletions. Workers' calls do the same every "
        "few seconds; this is for farms on which none is running. Workers are given up only while "
        "others reach the farm: else it may be the farm that is silent."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--every", type=interval, metavar="SECONDS",
            help="go on until Ctrl-C, with so many seconds between; without: once, for cron",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep once and tell what was done, or go on until interrupted."""
        if options["every"] is None:
            swept = sweep_heard()
            self.stdout.write(told(swept))
            if swept.failed:
                raise CommandError(passed_over(swept))
            return
        try:
            while True:
                self.sweep_on()
                time.sleep(options["every"])
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")

    def sweep_on(self) -> None:
        """Sweep; tell when something was done. A database that is away is waited for."""
        close_old_connections()
        try:
            swept = sweep_heard()
        except OperationalError as error:
            self.stderr.write(f"The database refused, trying again later: {error}")
            return
        if swept != Swept():
            self.stdout.write(told(swept))
            self.stdout.flush()
        if swept.failed:
            self.stderr.write(passed_over(swept))


def sweep_heard() -> Swept:
    """Sweep; silent workers are given up only while others reach the farm."""
    return sweep.sweep(give_up_silent=sweep.is_heard())


def told(swept: Swept) -> str:
    """What a sweep did, on one line."""
    return (
        f"{swept.lost_workers} workers lost with {swept.lost_tasks} tasks, "
        f"{swept.overdue} attempts overdue, {swept.woken} tasks woken, "
        f"{swept.expired} runs expired, {swept.cancelled} tasks cancelled, "
        f"{swept.deleted} deletions finished."
    )


def passed_over(swept: Swept) -> str:
    """What could not be done, on one line."""
    return f"{swept.failed} could not be done and were passed over; the log above says why."
