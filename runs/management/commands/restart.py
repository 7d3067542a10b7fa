"""``manage.py restart UUID [--all]``: put tasks back to waiting."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from runs import lifecycle
from runs.management.runs import find_run, with_bar
from runs.wording import tasks


class Command(BaseCommand):
    """Restart tasks of a run."""

    help = "Put every task that is not done back to waiting; with --all every task, from 0 %."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("uuid", help="the run's UUID, or a start of it that is unique")
        parser.add_argument("--all", action="store_true", help="done tasks, too; all from 0 %%")

    def handle(self, *args: Any, **options: Any) -> None:
        """Restart, and say how many tasks were moved."""
        run = find_run(options["uuid"])
        count = lifecycle.restart(
            run=run, everything=options["all"], by="manage.py restart", watch=with_bar
        )
        self.stdout.write(f"Restarted {tasks(count)} of {run.title}.")
