"""``manage.py deleterun UUID``: delete a run for good."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from runs import lifecycle
from runs.errors import FarmError
from runs.management.runs import add_uuid, find_run, with_bar
from runs.wording import tasks


class Command(BaseCommand):
    """Delete a run."""

    help = "Delete a run with all its tasks and attempts, for good."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        add_uuid(parser)
        parser.add_argument("-y", "--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask on a terminal, then delete."""
        run = find_run(options["uuid"])
        if not options["yes"] and not sys.stdin.isatty():
            raise CommandError("Nobody is there to ask: say --yes to delete it.")
        if not options["yes"]:
            question = f"Delete {run.title} ({run.uuid.hex}) with {tasks(run.num_tasks)}? [y/N] "
            if input(question).strip().lower() not in {"y", "yes"}:
                raise CommandError("Nothing was deleted.")
        try:
            count = lifecycle.delete_run(run=run, watch=with_bar)
        except FarmError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"Deleted {run.title} with {tasks(count)}.")
