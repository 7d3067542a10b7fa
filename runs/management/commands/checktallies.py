"""``manage.py checktallies``: count every task, compare with the kept counts, mend on request."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from runs import books, lifecycle
from runs.management.runs import find_run, with_bar
from runs.models import Run


class Command(BaseCommand):
    """Check the books."""

    help = "Recount the tasks of all runs, or of one, and compare with the tallies."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("uuid", nargs="?", help="only this run")
        parser.add_argument("--repair", action="store_true", help="set the tallies right")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check run by run; exit code 1 when something differs and is not repaired."""
        finished = lifecycle.sweep_deleted()
        if finished:
            self.stdout.write(f"Finished deleting {finished} runs that had been left half-way.")
        runs = [find_run(options["uuid"])] if options["uuid"] else Run.objects.kept().order_by("id")
        total = len(runs)
        wrong = sum(
            self.check_run(run, repair=options["repair"]) for run in with_bar(runs, total=total)
        )
        if wrong and not options["repair"]:
            raise CommandError(f"The tallies of {wrong} of {total} runs are wrong: use --repair.")
        self.stdout.write(f"{total} runs checked, {wrong} repaired.")

    def check_run(self, run: Run, *, repair: bool) -> bool:
        """Check one run; answers whether its tallies were wrong."""
        differences = books.check(run.id, repair=repair)
        for name, (kept, counted) in differences.items():
            self.stderr.write(f"{run.uuid.hex} {name}: kept {kept}, counted {counted}")
        return bool(differences)
