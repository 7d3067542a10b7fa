"""The handlers of ATLAS by their names in PyTaskFarmer."""

from taskfarm_worker.commands.atlas import AthenaTaskList, TransformTaskList

__all__ = ["AthenaTaskList", "TransformTaskList"]
