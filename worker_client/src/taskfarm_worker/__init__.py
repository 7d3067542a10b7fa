"""The client of Taskfarm: create runs, work on their tasks, steer them, read their results."""

from ._connect import Farm, connect
from ._errors import (
    AnswerLostError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResponseError,
    ServerError,
    ServerUnavailableError,
    ServerUnreachableError,
    TaskFarmError,
    ThrottledError,
    TooLargeError,
    UnexpectedAnswerError,
    WorkerDiedError,
)
from ._farm import TaskFarm, tfRuns
from ._run import Progress, Run
from ._task import Task
from ._version import __version__
from ._work import Summary
from ._worker import TaskFarmWorker

__all__ = [
    "AnswerLostError",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "Farm",
    "InvalidArgumentError",
    "NotFoundError",
    "PermissionDeniedError",
    "Progress",
    "ResponseError",
    "Run",
    "ServerError",
    "ServerUnavailableError",
    "ServerUnreachableError",
    "Summary",
    "Task",
    "TaskFarm",
    "TaskFarmError",
    "TaskFarmWorker",
    "ThrottledError",
    "TooLargeError",
    "UnexpectedAnswerError",
    "WorkerDiedError",
    "__version__",
    "connect",
    "tfRuns",
]
