"""``manage.py runs``: the overview."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from runs import reports
from runs.filters import RunFilter, explain
from runs.models import Run
from runs.wording import percentage

HEAD = ("UUID", "STATE", "SO FAR", "WAITING", "COMPUTING", "DONE", "FAILED", "OWNER", "NAME")
LINE = "{:32}  {:9}  {:>6}  {:>9}  {:>9}  {:>9}  {:>9}  {:12}  {}"


class Command(BaseCommand):
    """List the runs."""

    help = "List the runs, newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--owner", help="only this user's")
        parser.add_argument("--namespace", help="only this namespace's")
        parser.add_argument("--state", choices=reports.RUN_STATES, help="only in this state")
        parser.add_argument("--limit", type=int, default=100, help="how many at most (100)")
        parser.add_argument("--json", action="store_true", help="one JSON array")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the runs."""
        if options["limit"] < 1:
            raise CommandError("--limit must be at least 1.")
        given = {name: options[name] for name in ("owner", "namespace", "state") if options[name]}
        narrowed = RunFilter(given, queryset=Run.objects.kept())
        if not narrowed.is_valid():
            raise CommandError(f"A filter has no such value: {explain(narrowed.form)}")
        runs = list(
            narrowed.qs.select_related("owner", "group").order_by("-id")[: options["limit"]]
        )
        progress = reports.progress_of(runs)
        if options["json"]:
            self.stdout.write(
                json.dumps([reports.summary(run, progress[run.id]) for run in runs], indent=2)
            )
            return
        self.stdout.write(LINE.format(*HEAD))
        for run in runs:
            self.stdout.write(self.line(run, progress[run.id]))
        if not runs:
            self.stderr.write("No runs. Create one with manage.py createrun --tasks N.")

    def line(self, run: Run, progress: reports.Progress) -> str:
        """One run on one line."""
        counts = progress.counts
        return LINE.format(
            run.uuid.hex,
            reports.state_of(run, counts),
            f"{percentage(progress.percent)}%",
            counts.waiting,
            counts.computing,
            counts.done,
            counts.failed,
            run.owner.get_username(),
            run.name,
        )
