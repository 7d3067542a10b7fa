"""``manage.py pause UUID``: hand out nothing more until somebody resumes the run."""

from runs import steering
from runs.management.steering import SteeringCommand
from runs.models import Run


class Command(SteeringCommand):
    """Pause a run."""

    help = "Hand out no more tasks of a run until it is resumed; what computes goes on."
    way_back = "Go on with: manage.py resume {uuid}"

    def steer(self, run: Run, who: str, why: str) -> str:
        """Pause it."""
        steering.pause(run=run, who=who, why=why)
        return f"Paused {run.title}."
