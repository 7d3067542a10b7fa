"""``manage.py run UUID``: one run's state, counts and policy."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from runs import policy, reports
from runs.management import policy as words
from runs.management.runs import add_uuid, find_run


class Command(BaseCommand):
    """Show one run."""

    help = "Show one run: its state, its counts and its policy."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        add_uuid(parser)
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the run."""
        run = find_run(options["uuid"])
        summary = reports.summary(run, reports.progress(run))
        if options["json"]:
            self.stdout.write(words.as_json({**summary, "policy": policy.show(run)}))
            return
        for name, value in summary.items():
            self.stdout.write(f"{name:14} {'' if value is None else value}")
        self.stdout.write("\npolicy")
        for line in words.lines(policy.show(run)):
            self.stdout.write(f"  {line}")
