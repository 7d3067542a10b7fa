"""Calls on runs: create, list, look, restart, delete."""

from typing import Any

from django.contrib.auth.models import Group
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.verdicts import group_ids
from runs import lifecycle, reports, restarts, steering, tallies, uploads
from runs.api import paging, policies
from runs.api.base import FarmViewSet, no_content
from runs.api.errors import in_words
from runs.api.schema import INFO, RESTART_ALL, RUN, either, filters_of
from runs.api.serializers import (
    RestartInput,
    RunDetail,
    RunInput,
    RunList,
    RunNumber,
    RunOutput,
    Touched,
    read_selection,
    show_counts,
    show_run,
    show_run_detail,
)
from runs.errors import InvalidInput, UnknownInfo
from runs.filters import RunFilter, explain
from runs.models import Run
from runs.tallies import Counts

RUN_INFO = ["percentDone", "numWaiting", "numComputing", "numDone", "numFailed", "numCancelled"]
YES_AND_NO = {"True": True, "true": True, "False": False, "false": False}
LIST_LIMIT = 10_000


class RunViewSet(FarmViewSet):
    """Runs."""

    @extend_schema(
        tags=["run"],
        operation_id="create_run",
        summary="Create a run",
        request=RunInput,
        responses={201: RunOutput},
        examples=[
            OpenApiExample("Plain", value={"numTasks": 1000}, request_only=True),
            OpenApiExample(
                "Named",
                value={"numTasks": 256, "name": "tiles of 2026", "namespace": "cryosat"},
                request_only=True,
            ),
        ],
    )
    def create(self, request: Request) -> Response:
        """Create a run of `numTasks` waiting tasks, numbered from 0; it belongs to the caller.

        One of very many inputs is created as `uploading`, with 0 tasks; then they are added, as
        many in a call as may be, and `uploaded` says that all have come.
        """
        body = RunInput(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        num_tasks = given.pop("numTasks")
        given["group"] = group_named(given.get("group"))
        options = policies.split(given)
        if given.pop("uploading", False):
            run = uploads.begin(owner=request.user, **given, **options)
        else:
            run = lifecycle.create_run(owner=request.user, num_tasks=num_tasks, **given, **options)
        return Response(show_run(run, Counts(waiting=num_tasks)), status=201)

    @extend_schema(
        tags=["runs"],
        operation_id="list_runs",
        summary="List the runs",
        parameters=[
            *filters_of(RunFilter),
            *paging.parameters(most=LIST_LIMIT, default=LIST_LIMIT),
        ],
        responses={200: RunList},
    )
    def list(self, request: Request) -> Response:
        """All runs that the caller may see, oldest first, narrowed by the filters."""
        visible = Run.objects.visible_to(request.user, group_ids(request.user))
        narrowed = RunFilter(request.query_params, queryset=visible)
        if not narrowed.is_valid():
            reasons = explain(narrowed.form)
            raise InvalidInput(in_words(reasons), reasons)
        after, limit = paging.position(request, most=LIST_LIMIT, default=LIST_LIMIT)
        runs = narrowed.qs.select_related("owner", "group").filter(id__gt=after).order_by("id")
        found = list(runs[: limit + 1])
        counts = tallies.read_many([run.id for run in found])
        rows = [show_run(run, counts.get(run.id, Counts())) for run in found]
        return Response(paging.page(request, rows, limit, key="id"))

    @extend_schema(
        tags=["runs"],
        operation_id="get_run",
        summary="Get information about a run",
        parameters=[RUN, INFO(RUN_INFO)],
        responses={200: either("RunOrNumber", RunDetail, RunNumber)},
    )
    def retrieve(self, request: Request, uuid: str) -> Response:
        """The run and its counts, or with `info` just that one number."""
        info = request.query_params.get("info", "")
        if info not in ("", *RUN_INFO):
            raise UnknownInfo(info, RUN_INFO)
        run = (reports.find_workable if info else reports.find_shown)(request.user, uuid)
        if not info:
            steering.expire_late(run)
        progress = reports.progress(run)
        if info:
            return Response({info: show_counts(progress)[info]})
        return Response(show_run_detail(run, progress))

    @extend_schema(
        tags=["runs"],
        operation_id="delete_run",
        summary="Delete a run",
        parameters=[RUN],
        responses={204: None},
    )
    def destroy(self, request: Request, uuid: str) -> HttpResponse:
        """Delete the run with all its tasks and attempts, for good."""
        lifecycle.delete_run(run=reports.find_workable(request.user, uuid))
        return no_content()

    @extend_schema(
        tags=["runs"],
        operation_id="restart_run",
        summary="Restart tasks of a run",
        parameters=[RUN, RESTART_ALL],
        request=RestartInput,
        responses={204: None, 200: Touched},
        examples=[
            OpenApiExample(
                "What failed on one host",
                value={"status": ["failed"], "host": "n012", "reason": "its disk was full"},
                request_only=True,
            )
        ],
    )
    def restart(self, request: Request, uuid: str) -> HttpResponse:
        """Put tasks back to waiting.

        Without `all` every task that is not done waits again and keeps its percentage, so that a
        worker can resume it; with `all=True` all tasks start from 0. A body narrows that down to
        a selection, all of whose conditions must hold; it answers how many `tasks` were touched.
        """
        everything = request.query_params.get("all", "False")
        if everything not in YES_AND_NO:
            raise UnknownInfo(everything, list(YES_AND_NO), what="value of 'all'")
        run = reports.find_workable(request.user, uuid)
        narrowed = bool(request.data)
        body = RestartInput(data=request.data)
        body.is_valid(raise_exception=True)
        count = restarts.restart(
            run=run,
            everything=YES_AND_NO[everything],
            selection=read_selection(body.validated_data),
            by=request.user.get_username(),
            why=body.validated_data.get("reason", ""),
        )
        return Response({"tasks": count}) if narrowed else no_content()


def group_named(name: Any) -> Group | None:
    """The group of this name; None for none.

    Raises:
        InvalidInput: there is no such group.
    """
    if not name:
        return None
    group = Group.objects.filter(name=name).first()
    if group is None:
        # The same words as for a group that is not the caller's: names of groups are not public.
        reason = f"You are not a member of the group {name!r}."
        raise InvalidInput(reason, {"group": [reason]})
    return group
