"""Runners by their names in PyTaskFarmer, and those that it does not have."""

from taskfarm_worker.commands.runners import *  # noqa: F403
from taskfarm_worker.commands.runners import __all__ as __all__
