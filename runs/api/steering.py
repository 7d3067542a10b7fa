"""Calls that steer a run and add to it."""

from dataclasses import asdict
from typing import Any, TypedDict

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runs import appending, events, explain, reports, restarts, steering, uploads
from runs.api import paging, policies
from runs.api.base import FarmViewSet, body_lines, is_ndjson, no_content
from runs.api.schema import EVENT, RUN, TASK
from runs.api.serializers import Touched
from runs.api.shapes import (
    Appended,
    AppendInput,
    EventList,
    ExplanationOutput,
    ReasonInput,
    UploadedInput,
)
from runs.api.tasks import task_number
from runs.models import Run

REASON = [OpenApiExample("With a reason", value={"reason": "wrong input"}, request_only=True)]
MOST_EVENTS = 1000


class Order(TypedDict):
    """What a call wants done: to which run, who wants it, and why."""

    run: Run
    who: str
    why: str


def order_of(request: Request, uuid: str) -> Order:
    """The order of a call whose body may give a reason.

    Raises:
        RunNotFound: there is no such run that the caller may see.
        ValidationError: the body is something else.
    """
    run = reports.find_run(request.user, uuid)
    body = ReasonInput(data=request.data)
    body.is_valid(raise_exception=True)
    why = str(body.validated_data.get("reason", ""))
    return Order(run=run, who=request.user.get_username(), why=why)


class SteeringViewSet(FarmViewSet):
    """Steering of runs."""

    @extend_schema(
        tags=["steering"], operation_id="pause_run", summary="Pause a run", parameters=[RUN],
        request=ReasonInput, responses={204: None}, examples=REASON,
    )  # fmt: skip
    def pause(self, request: Request, uuid: str) -> HttpResponse:
        """Hand out nothing more until it is resumed; reports still count.

        A run that is finished is refused, unless it is open.
        """
        steering.pause(**order_of(request, uuid))
        return no_content()

    @extend_schema(
        tags=["steering"], operation_id="resume_run", summary="Resume a run", parameters=[RUN],
        request=ReasonInput, responses={204: None}, examples=REASON,
    )  # fmt: skip
    def resume(self, request: Request, uuid: str) -> HttpResponse:
        """Hand out tasks again; a canary gate that had closed is opened."""
        steering.resume(**order_of(request, uuid))
        return no_content()

    @extend_schema(
        tags=["steering"], operation_id="cancel_run", summary="Cancel a run", parameters=[RUN],
        request=ReasonInput, responses={200: Touched}, examples=REASON,
    )  # fmt: skip
    def cancel(self, request: Request, uuid: str) -> Response:
        """Call off what waits or computes; workers are told at their next exchange."""
        return Response({"tasks": steering.cancel(**order_of(request, uuid))})

    @extend_schema(
        tags=["steering"], operation_id="get_policy", summary="Look at the policy of a run",
        parameters=[RUN], responses={200: policies.PolicyOutput},
    )  # fmt: skip
    def policy(self, request: Request, uuid: str) -> Response:
        """What becomes of the run's tasks without anybody's doing: all options of its policy."""
        return Response(policies.show_policy(reports.find_run(request.user, uuid)))

    @extend_schema(
        tags=["steering"], operation_id="change_policy", summary="Change the policy of a run",
        parameters=[RUN], request=policies.PolicyChange, responses={200: policies.PolicyOutput},
        examples=[
            OpenApiExample(
                "Two more tries", value={"errorAttempts": 3, "reason": "flaky"}, request_only=True
            )
        ],
    )  # fmt: skip
    def change_policy(self, request: Request, uuid: str) -> Response:
        """Change the options that the body names; answers all of them."""
        run = reports.find_run(request.user, uuid)
        body = policies.PolicyChange(data=request.data)
        body.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(body.validated_data)
        why, who = str(given.pop("reason", "")), request.user.get_username()
        steering.change_policy(run=run, who=who, why=why, **policies.split(given))
        return Response(policies.show_policy(run))

    @extend_schema(
        tags=["steering"], operation_id="list_events", summary="Who did what to a run",
        parameters=[RUN, *paging.parameters(most=MOST_EVENTS, default=100)],
        responses={200: EventList},
    )  # fmt: skip
    def events(self, request: Request, uuid: str) -> Response:
        """What people and policy did to the run, newest first; `after=ID` goes on with older."""
        run = reports.find_run(request.user, uuid)
        before, limit = paging.position(request, most=MOST_EVENTS, default=100)
        found = events.of_run(run, before=before if before >= 0 else None, limit=limit + 1)
        rows = [show_event(event) for event in found]
        return Response(paging.page(request, rows, limit, key="id"))

    @extend_schema(
        tags=["steering"], operation_id="undo_event", summary="Undo a restart",
        parameters=[RUN, EVENT], request=None, responses={200: Touched},
    )  # fmt: skip
    def undo(self, request: Request, uuid: str, event: str) -> Response:
        """Within ten minutes: tasks that nothing has moved since are again what they were."""
        run = reports.find_run(request.user, uuid)
        found = events.find(run, event)
        count = restarts.undo(run=run, event=found, by=request.user.get_username())
        return Response({"tasks": count})

    @extend_schema(
        tags=["steering"], operation_id="append_tasks", summary="Add tasks to a run",
        parameters=[RUN], responses={201: Appended},
        request={"application/json": AppendInput, "application/x-ndjson": OpenApiTypes.STR},
        examples=[
            OpenApiExample(
                "With inputs", value={"inputs": ["a.nc", "b.nc"]}, request_only=True,
                media_type="application/json",
            ),
            OpenApiExample(
                "Plain", value={"numTasks": 100}, request_only=True, media_type="application/json"
            ),
        ],
    )  # fmt: skip
    def append(self, request: Request, uuid: str) -> Response:
        """Add tasks at the end: `numTasks` plain ones, or one for each of `inputs`, all or none.

        A run takes tasks until its first claim, and while its policy says `open`. A body of type
        `application/x-ndjson` has one input a line and may be of any length; its tasks become
        visible in chunks.
        """
        run, who = reports.find_run(request.user, uuid), request.user.get_username()
        if is_ndjson(request):
            first, added = appending.append_stream(run=run, lines=body_lines(request), who=who)
            return Response({"first": first, "tasks": added}, status=201)
        body = AppendInput(data=request.data)
        body.is_valid(raise_exception=True)
        first, added = appending.append(
            run=run,
            num_tasks=body.validated_data.get("numTasks", 0),
            values=body.validated_data.get("inputs"),
            who=who,
            key=body.validated_data.get("key", ""),
            first=body.validated_data.get("first"),
        )
        return Response({"first": first, "tasks": added}, status=201)

    @extend_schema(
        tags=["steering"], operation_id="end_upload", summary="Say that all tasks have come",
        parameters=[RUN], request=UploadedInput, responses={204: None},
        examples=[
            OpenApiExample(
                "Not all of them", value={"reason": "the rest is of no use"}, request_only=True
            )
        ],
    )  # fmt: skip
    def uploaded(self, request: Request, uuid: str) -> HttpResponse:
        """Close a run that was created as `uploading`, unless it stays `open`; hand out its tasks.

        A `reason` tells that not all have come, and why those that have will do. Said again it
        changes nothing. Who has resumed or paused the run meanwhile has the last word on that.
        """
        run = reports.find_run(request.user, uuid)
        body = UploadedInput(data=request.data)
        body.is_valid(raise_exception=True)
        uploads.end(
            run=run,
            who=request.user.get_username(),
            why=body.validated_data.get("reason", ""),
            stays_open=body.validated_data.get("open", False),
        )
        return no_content()

    @extend_schema(
        tags=["steering"], operation_id="take_back_upload", summary="Give an upload up",
        parameters=[RUN], responses={204: None},
    )  # fmt: skip
    def take_back(self, request: Request, uuid: str) -> HttpResponse:
        """Delete a run that was created as `uploading`, while nobody else has taken it in hand."""
        uploads.take_back(run=reports.find_run(request.user, uuid))
        return no_content()

    @extend_schema(
        tags=["results"], operation_id="explain_task", summary="Why does a task not move?",
        parameters=[RUN, TASK], responses={200: ExplanationOutput},
    )  # fmt: skip
    def explain(self, request: Request, uuid: str, number: str) -> Response:
        """A `code` for programs and a `reason` for people."""
        run = reports.find_run(request.user, uuid)
        task = reports.find_task(run, task_number(number, run.num_tasks))
        return Response(asdict(explain.explain(run, task)))


def show_event(event: Any) -> dict[str, Any]:
    """An event as JSON."""
    names = ("id", "at", "who", "what", "why", "tasks", "details", "undone")
    return {name: getattr(event, name) for name in names}
