"""Tasklist handlers by their names in PyTaskFarmer, and those that it does not have."""

from taskfarm_worker.commands.tasklists import (
    CsvTaskList,
    GlobTaskList,
    ListTaskList,
    NdjsonTaskList,
    ProductTaskList,
    TaskList,
)

__all__ = [
    "CsvTaskList",
    "GlobTaskList",
    "ListTaskList",
    "NdjsonTaskList",
    "ProductTaskList",
    "TaskList",
]
