"""What scripts written for the published client rely on stays as it is."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import taskfarm_worker
from taskfarm_worker import TaskFarm, TaskFarmWorker, tfRuns

URL = "http://localhost:5000/api/"
REQUIRED = inspect.Parameter.empty

PUBLISHED = {
    tfRuns: [("username", REQUIRED), ("password", REQUIRED), ("url_base", URL)],
    TaskFarm: [
        ("username", REQUIRED),
        ("password", REQUIRED),
        ("uuid", None),
        ("numTasks", None),
        ("url_base", URL),
    ],
    TaskFarmWorker: [
        ("username", REQUIRED),
        ("password", REQUIRED),
        ("uuid", REQUIRED),
        ("url_base", URL),
    ],
    TaskFarm.url: [("self", REQUIRED), ("url", REQUIRED)],
    TaskFarm.info: [("self", REQUIRED), ("info", REQUIRED)],
    TaskFarm.getTaskInfo: [("self", REQUIRED), ("task", REQUIRED), ("info", REQUIRED)],
    TaskFarm.setTaskInfo: [
        ("self", REQUIRED),
        ("task", REQUIRED),
        ("info", REQUIRED),
        ("value", REQUIRED),
    ],
    TaskFarm.restart: [("self", REQUIRED), ("everything", False)],
    TaskFarm.delete: [("self", REQUIRED)],
    TaskFarmWorker.update: [("self", REQUIRED), ("percentage", REQUIRED)],
    TaskFarmWorker.done: [("self", REQUIRED)],
}

PROPERTIES = {
    TaskFarm: "session token_auth uuid numTasks percentDone numDone numWaiting numComputing",
    TaskFarmWorker: "worker_uuid task tasks",
}


def test_exactly_these_names_are_public() -> None:
    assert taskfarm_worker.__all__ == [
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
    assert taskfarm_worker.__all__ == sorted(taskfarm_worker.__all__)
    assert all(hasattr(taskfarm_worker, name) for name in taskfarm_worker.__all__)


def test_modules_are_private_except_manage() -> None:
    package = Path(taskfarm_worker.__file__).parent
    public = [p.stem for p in package.glob("*.py") if not p.stem.startswith("_")]
    assert public == ["manage"]
    assert (package / "py.typed").exists()


@pytest.mark.parametrize("function", PUBLISHED, ids=lambda function: function.__qualname__)
def test_positional_arguments_are_the_published_ones(function: object) -> None:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [(p.name, p.default) for p in positional] == PUBLISHED[function]


@pytest.mark.parametrize("function", PUBLISHED, ids=lambda function: function.__qualname__)
def test_every_further_argument_is_keyword_only_and_optional(function: object) -> None:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    further = [p for p in parameters if p.kind is not p.POSITIONAL_OR_KEYWORD]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is None for p in further)


@pytest.mark.parametrize("kind", PROPERTIES, ids=lambda kind: kind.__name__)
def test_the_published_properties_are_properties(kind: type) -> None:
    for name in PROPERTIES[kind].split():
        assert isinstance(inspect.getattr_static(kind, name), property), name


def test_a_worker_is_a_task_farm() -> None:
    assert issubclass(TaskFarmWorker, TaskFarm)


def test_the_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", taskfarm_worker.__version__)
