"""``manage.py run UUID``: one run's counts."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from runs import reports
from runs.management.runs import find_run


class Command(BaseCommand):
    """Show one run."""

    help = "Show one run and its counts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("uuid", help="the run's UUID, or a start of it that is unique")
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the run."""
        run = find_run(options["uuid"])
        summary = reports.summary(run, reports.progress(run))
        if options["json"]:
            self.stdout.write(json.dumps(summary, indent=2))
            return
        for name, value in summary.items():
            self.stdout.write(f"{name:14} {'' if value is None else value}")
