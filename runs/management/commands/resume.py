"""``manage.py resume UUID``: hand out tasks again."""

from runs import steering
from runs.management.steering import SteeringCommand
from runs.models import Run


class Command(SteeringCommand):
    """Resume a run."""

    help = "Hand out tasks of a paused run again; a canary gate that had closed is opened."
    way_back = "Hold it again with: manage.py pause {uuid}"

    def steer(self, run: Run, who: str, why: str) -> str:
        """Resume it."""
        steering.resume(run=run, who=who, why=why)
        return f"Resumed {run.title}."
