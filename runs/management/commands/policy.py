"""``manage.py policy UUID``: look at the policy of a run, or change it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from runs import policy, steering
from runs.errors import FarmError
from runs.management import policy as words
from runs.management.runs import add_reason, add_uuid, find_run
from runs.management.values import myself


class Command(BaseCommand):
    """Look at a policy, or change it."""

    help = "Show all options of a run's policy, after changing those that --set names."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        add_uuid(parser)
        parser.add_argument(
            "--set", nargs="+", action="extend", default=[], type=words.assignment,
            metavar="NAME=VALUE", help="change options, such as errorAttempts=3 taskTimeout=2h",
        )  # fmt: skip
        add_reason(parser)
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change what is to be changed, or refuse and change nothing; then show all of it."""
        run = find_run(options["uuid"])
        try:
            steering.change_policy(
                run=run, who=myself(), why=options["reason"], **dict(options["set"])
            )
        except FarmError as error:
            raise CommandError(error.detail) from error
        shown = policy.show(run)
        if options["json"]:
            self.stdout.write(words.as_json(shown))
            return
        for line in words.lines(shown):
            self.stdout.write(line)
