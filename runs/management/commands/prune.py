"""``manage.py prune --older-than 90d``: delete what has been over for long."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand

from runs import retention
from runs.management.values import span
from runs.retention import Old


class Command(BaseCommand):
    """Delete old runs."""

    help = (
        "Delete the runs that are over and whose last task moved longer ago than that, for good: "
        "with their tasks, attempts, outputs, logs and events, and workers that touched no run "
        "that is left. Runs with a task that waits or computes stay, and so do open ones."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--older-than", type=span, required=True, metavar="SPAN", help="such as 12h, 90d or 52w"
        )
        parser.add_argument(
            "--keep-failures", action="store_true", help="keep every run that has a failed task"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete run by run, or tell what would be deleted."""
        age = timedelta(seconds=options["older_than"])
        keep = options["keep_failures"]
        runs = tasks = 0
        for old in retention.find_old(age, keep_failures=keep):
            if not options["dry_run"] and not retention.delete_old(old, age, keep_failures=keep):
                continue
            self.stdout.write(line(old))
            runs += 1
            tasks += old.counts.total
        if options["dry_run"]:
            self.stdout.write(f"Would delete {runs} runs with {tasks} tasks.")
            return
        workers = retention.forget_workers(age)
        self.stdout.write(f"Deleted {runs} runs with {tasks} tasks, and {workers} old workers.")


def line(old: Old) -> str:
    """One run on one line."""
    counts = old.counts
    return (
        f"{old.run.uuid.hex}  {old.moved:%Y-%m-%d}  {counts.total:>10} tasks  "
        f"{counts.failed:>8} failed  {old.run.owner.get_username():12}  {old.run.name}"
    ).rstrip()
