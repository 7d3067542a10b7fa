"""``manage.py cancel UUID``: call off what waits or computes."""

from runs import steering
from runs.management.steering import SteeringCommand
from runs.models import Run


class Command(SteeringCommand):
    """Cancel a run."""

    help = "Call off all tasks of a run that wait or compute; what is done stays done."
    way_back = "Take it back with: manage.py restart {uuid} --state cancelled"

    def steer(self, run: Run, who: str, why: str) -> str:
        """Cancel it."""
        count = steering.cancel(run=run, who=who, why=why)
        return f"Cancelled {count} tasks of {run.title}."
