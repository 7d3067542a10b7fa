"""Runners by their names in PyTaskFarmer."""

from taskfarm_worker.commands.runners import BasicRunner, Runner, ShifterRunner

__all__ = ["BasicRunner", "Runner", "ShifterRunner"]
