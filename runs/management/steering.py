"""What ``pause``, ``resume`` and ``cancel`` share."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError

from runs.errors import FarmError
from runs.management.runs import add_reason, add_uuid, find_run
from runs.management.values import myself
from runs.models import Run


class SteeringCommand(BaseCommand):
    """A command that changes the state of one run, and says how to take that back."""

    way_back: ClassVar[str]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        add_uuid(parser)
        add_reason(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, or refuse and change nothing."""
        run = find_run(options["uuid"])
        try:
            told = self.steer(run, myself(), options["reason"])
        except FarmError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"{told} {self.way_back.format(uuid=run.uuid.hex)}")

    def steer(self, run: Run, who: str, why: str) -> str:
        """Do it, and tell what was done in one sentence."""
        raise NotImplementedError
