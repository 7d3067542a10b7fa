"""Tasklist handlers by their names in PyTaskFarmer."""

from taskfarm_worker.commands.tasklists import ListTaskList, TaskList

__all__ = ["ListTaskList", "TaskList"]
