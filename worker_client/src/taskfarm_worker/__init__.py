"""The client of Taskfarm: pull tasks of a run, report progress, steer runs."""

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
)
from ._farm import TaskFarm, tfRuns
from ._version import __version__
from ._worker import TaskFarmWorker

__all__ = [
    "AnswerLostError",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "InvalidArgumentError",
    "NotFoundError",
    "PermissionDeniedError",
    "ResponseError",
    "ServerError",
    "ServerUnavailableError",
    "ServerUnreachableError",
    "TaskFarm",
    "TaskFarmError",
    "TaskFarmWorker",
    "ThrottledError",
    "TooLargeError",
    "UnexpectedAnswerError",
    "__version__",
    "tfRuns",
]
