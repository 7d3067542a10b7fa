"""Calls on the tasks of a run: claim one, look at one or many, change one."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runs import lifecycle, queue, reports, sweep, workers
from runs.api import paging
from runs.api.base import FarmViewSet, no_content
from runs.api.schema import INFO, RUN, TASK, either
from runs.api.serializers import (
    ClaimInput,
    ClaimOutput,
    TaskDetail,
    TaskInput,
    TaskList,
    TaskValue,
    show_task,
)
from runs.errors import InvalidInput, TaskNotFound, UnknownInfo
from runs.states import TaskState

TASK_INFO = ["status", "percentDone", "percentCompleted"]
STATES = {state.label: state for state in TaskState}
LIST_LIMIT = 1000
LIST_PAGE = 100


def hand_out(user: Any, uuid: object, worker_uuid: str) -> dict[str, object] | None:
    """Hand a task of a run to a worker of the user's; None where none waits.

    Raises:
        WorkerNotFound: the user has no such worker.
        RunNotFound: there is no such run, or it is somebody else's.
    """
    worker = workers.find(owner=user, uuid=worker_uuid)
    claims = queue.claim(run=reports.find_workable(user, uuid), worker=worker)
    sweep.sweep_now_and_then(worker.heartbeat)
    if not claims:
        return None
    one = claims[0]
    return {
        "id": one.id,
        "task": one.number,
        "percentCompleted": float(one.percent),
        "status": TaskState.COMPUTING.label,
        "attempt": one.attempt,
    }


class TaskViewSet(FarmViewSet):
    """Tasks of a run."""

    @extend_schema(
        tags=["task"],
        operation_id="claim_task",
        summary="Request a task",
        parameters=[RUN],
        request=ClaimInput,
        responses={201: ClaimOutput, 204: None},
        examples=[
            OpenApiExample(
                "A worker asks",
                value={"worker_uuid": "da8eb1c10eac4cefb39c8889d6d7170a"},
                request_only=True,
            ),
            OpenApiExample(
                "It gets task 17",
                value={
                    "id": 4294967313, "task": 17, "percentCompleted": 0.0, "status": "computing",
                    "attempt": 1,
                },
                response_only=True,
            ),
        ],
    )  # fmt: skip
    def claim(self, request: Request, uuid: str) -> HttpResponse:
        """Hand the waiting task with the lowest number to the worker; 204 when none waits.

        The task is `computing` from now on, and no other worker gets it until it waits again.
        `percentCompleted` tells how far an earlier attempt got.
        """
        handed = hand_out(request.user, uuid, worker_named(request.data))
        return Response(handed, status=201) if handed else no_content()

    @extend_schema(
        tags=["runs"],
        operation_id="get_task",
        summary="Get information about a task",
        parameters=[RUN, TASK, INFO(TASK_INFO)],
        responses={200: either("TaskOrValue", TaskDetail, TaskValue)},
    )
    def retrieve(self, request: Request, uuid: str, number: str) -> Response:
        """The task, or with `info` just that one value."""
        info = request.query_params.get("info", "")
        if info not in ("", *TASK_INFO):
            raise UnknownInfo(info, TASK_INFO)
        run = reports.find_workable(request.user, uuid)
        shown = show_task(reports.find_task(run, task_number(number, run.num_tasks)))
        if not info:
            return Response(shown)
        return Response({info: shown["status" if info == "status" else "percentCompleted"]})

    @extend_schema(
        tags=["runs"],
        operation_id="update_task",
        summary="Update a task",
        parameters=[RUN, TASK],
        request=TaskInput,
        responses={204: None},
        examples=[
            OpenApiExample("Half done", value={"percentCompleted": 50}, request_only=True),
            OpenApiExample("Done", value={"status": "done"}, request_only=True),
            OpenApiExample("Failed", value={"status": "failed"}, request_only=True),
        ],
    )
    def update(self, request: Request, uuid: str, number: str) -> HttpResponse:
        """Note progress, or end the attempt at the task.

        `done` alone sets 100 %. `waiting` gives the task back, to be handed out again. A report
        for a task that has ended otherwise meanwhile is refused as `stale` and changes nothing.
        """
        body = TaskInput(data=request.data)
        body.is_valid(raise_exception=True)
        run = reports.find_workable(request.user, uuid)
        status = body.validated_data.get("status")
        lifecycle.change_task(
            run=run,
            number=task_number(number, run.num_tasks),
            percent=body.validated_data.get("percentCompleted"),
            state=STATES[status] if status else None,
            by=request.user.get_username(),
        )
        return no_content()

    @extend_schema(
        tags=["runs"],
        operation_id="list_tasks",
        summary="List tasks of a run",
        parameters=[
            RUN,
            OpenApiParameter(
                "status", OpenApiTypes.STR, enum=list(STATES), description="Only these."
            ),
            *paging.parameters(most=LIST_LIMIT, default=LIST_PAGE),
        ],
        responses={200: TaskList},
    )
    def list(self, request: Request, uuid: str) -> Response:
        """Tasks by number, of one status or of all; `next` leads on."""
        status = request.query_params.get("status")
        if status is not None and status not in STATES:
            reason = f"There is no status {status[:40]!r}; it can be one of {', '.join(STATES)}."
            raise InvalidInput(reason, {"status": [reason]})
        run = reports.find_workable(request.user, uuid)
        after, limit = paging.position(request, most=LIST_LIMIT, default=LIST_PAGE)
        tasks = reports.tasks_page(
            run, state=STATES[status] if status else None, after=after, limit=limit + 1
        )
        return Response(paging.page(request, [show_task(t) for t in tasks], limit, key="task"))


def worker_named(data: Any) -> str:
    """The worker's UUID in the body of a claim; a serializer tells what is wrong with it."""
    uuid = data.get("worker_uuid")
    if len(data) == 1 and isinstance(uuid, str) and len(uuid) == 32:
        return uuid
    body = ClaimInput(data=data)
    body.is_valid(raise_exception=True)
    return str(body.validated_data["worker_uuid"])


def task_number(text: str, num_tasks: int) -> int:
    """The number in the address.

    Raises:
        TaskNotFound: it is so long that no run has it.
    """
    if len(text) > 18:
        raise TaskNotFound(f"{text[:24]}…", num_tasks)
    return int(text)
