"""``manage.py undo UUID``: take a restart back."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from runs import events, restarts
from runs.errors import EventNotFound, FarmError, StateConflict
from runs.management.runs import add_uuid, find_run
from runs.management.values import myself
from runs.models import Run, RunEvent
from runs.wording import tasks

SHOWN = 3
"""Older restarts that a refusal names."""


class Command(BaseCommand):
    """Undo a restart."""

    help = (
        "Take the last restart of a run back, within ten minutes: tasks that nothing has moved "
        "since are again what they were."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        add_uuid(parser)
        parser.add_argument(
            "--event", metavar="ID", help="this restart instead of the last; GET …/events has ids"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Put back what can be put back, and say how many tasks that were."""
        run = find_run(options["uuid"])
        try:
            event = restart_of(run, options["event"])
            count = restarts.undo(run=run, event=event, by=myself())
        except StateConflict as error:
            hint = "" if options["event"] else older_restarts(event)
            raise CommandError(error.detail + hint) from error
        except FarmError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(
            f"Put {count} of {event.tasks} restarted tasks of {run.title} back; "
            "the others had moved on, or were computing or waiting before."
            if count < (event.tasks or 0)
            else f"Put {count} restarted tasks of {run.title} back."
        )


def older_restarts(event: RunEvent) -> str:
    """How a restart before this one, the last, can be undone; empty where there is none."""
    older = events.of_run(event.run, what="restart", before=event.pk, limit=SHOWN)
    if not older:
        return ""
    ids = ", ".join(f"{one.pk} of {tasks(one.tasks or 0)}" for one in older)
    return f" This was the last restart, {event.pk}; --event takes one before it: {ids}."


def restart_of(run: Run, id: str | None) -> RunEvent:
    """The restart to undo.

    Raises:
        CommandError: there has been none.
        EventNotFound: none has this id.
    """
    if id is not None:
        if not id.isdecimal():
            raise EventNotFound(id)
        return events.find(run, id)
    event = events.latest(run, "restart")
    if event is None:
        raise CommandError(f"No tasks of {run.title} have ever been restarted.")
    return event
