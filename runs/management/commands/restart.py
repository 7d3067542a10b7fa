"""``manage.py restart UUID``: put tasks back to waiting, all or a selection."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from runs import events, failures, restarts
from runs.errors import FarmError
from runs.management.runs import add_reason, add_uuid, find_run, with_bar
from runs.management.values import myself, span
from runs.models import Run
from runs.selection import Selection, parse_ranges
from runs.states import TaskState
from runs.wording import tasks

STATES = {state.label: state for state in TaskState}


class Command(BaseCommand):
    """Restart tasks of a run."""

    help = (
        "Put every task that is not done back to waiting; with --all every task, from 0 %. "
        "The other options narrow that down to a selection: all that are given must hold."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        add_uuid(parser)
        parser.add_argument("--all", action="store_true", help="done tasks, too; all from 0 %%")
        parser.add_argument(
            "--state", action="append", choices=list(STATES),
            help="only tasks in this state; repeatable",
        )  # fmt: skip
        parser.add_argument("--tasks", metavar="RANGES", help="only these numbers: 0-99,200")
        parser.add_argument(
            "--error", type=int, metavar="FINGERPRINT",
            help="only tasks whose last attempt ended with this error",
        )  # fmt: skip
        parser.add_argument("--host", help="only tasks whose last attempt was on this host")
        parser.add_argument(
            "--older-than", type=span, metavar="SPAN",
            help="only tasks of which nothing was heard for so long: 90s, 30m, 2h, 7d",
        )  # fmt: skip
        add_reason(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Restart, say how many tasks were moved, and how to take it back."""
        run = find_run(options["uuid"])
        try:
            count = restarts.restart(
                run=run,
                everything=options["all"],
                selection=selection_of(options),
                by=myself(),
                why=options["reason"],
                watch=with_bar,
            )
        except FarmError as error:
            raise CommandError(error.detail) from error
        if not count and options["error"] is not None:
            check_error(run, options["error"])
        if not count and selection_of(options) != Selection():
            self.stdout.write("No task is in this selection: nothing was restarted.")
            return
        self.stdout.write(f"Restarted {tasks(count)} of {run.title}.")
        if count:
            self.stdout.write(way_back(run))


def selection_of(options: dict[str, Any]) -> Selection:
    """The selection on the command line.

    Raises:
        InvalidInput: the ranges of numbers make no sense.
    """
    return Selection(
        states=tuple(STATES[label] for label in options["state"] or ()),
        numbers=parse_ranges(options["tasks"]) if options["tasks"] is not None else (),
        fingerprint=options["error"],
        host=options["host"],
        older_than=options["older_than"],
    )


def check_error(run: Run, error: int) -> None:
    """See whether a run has an error that nothing was found by; a mistyped one is no success.

    Raises:
        CommandError: it has not.
    """
    known = [group.fingerprint for group in failures.groups(run.id)]
    if error not in known:
        there = f": there are {', '.join(map(str, known))}" if known else ", as none has failed"
        raise CommandError(f"No failed task of {run.title} has the error {error}{there}.")


def way_back(run: Run) -> str:
    """How the restart that was just made is undone, or why it is not."""
    event = events.latest(run, "restart")
    if event is not None and "before" in event.details:
        return f"Within ten minutes: manage.py undo {run.uuid.hex}"
    return "This one cannot be undone."
