"""Calls that read what came of a run: streams of results and failures, groups, attempts."""

from collections.abc import Iterator
from dataclasses import asdict

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runs import failures, reports, results
from runs.api import paging
from runs.api.base import FarmViewSet
from runs.api.schema import RUN
from runs.api.shapes import AttemptList, GroupList
from runs.errors import UnknownInfo

FORMATS = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
FORMAT = OpenApiParameter(
    "as", OpenApiTypes.STR, enum=list(FORMATS), default="ndjson",
    description="Lines of JSON, or CSV with a head. Anything else is a 404.",
)  # fmt: skip
STREAM = {(200, "application/x-ndjson"): OpenApiTypes.STR, (200, "text/csv"): OpenApiTypes.STR}
MOST = 1000


class ResultsViewSet(FarmViewSet):
    """What came of a run."""

    @extend_schema(
        tags=["results"], operation_id="get_results", summary="Stream the results of a run",
        parameters=[RUN, FORMAT], responses=STREAM,
    )  # fmt: skip
    def results(self, request: Request, uuid: str) -> StreamingHttpResponse:
        """The outputs of the tasks that are done, a line each, by number."""
        run = reports.find_run(request.user, uuid)
        return stream(request, results.results(run), results.RESULT_FIELDS)

    @extend_schema(
        tags=["results"], operation_id="get_failures", summary="Stream the failures of a run",
        parameters=[RUN, FORMAT], responses=STREAM,
    )  # fmt: skip
    def failures(self, request: Request, uuid: str) -> StreamingHttpResponse:
        """The errors of the tasks that are failed, a line each, by number."""
        run = reports.find_run(request.user, uuid)
        return stream(request, results.failures(run), results.FAILURE_FIELDS)

    @extend_schema(
        tags=["results"], operation_id="get_failure_groups", summary="Failures by their error",
        parameters=[RUN], responses={200: GroupList},
    )  # fmt: skip
    def groups(self, request: Request, uuid: str) -> Response:
        """Failed tasks with the same error: how many, first and last, hosts, one in full."""
        run = reports.find_run(request.user, uuid)
        return Response({"data": [asdict(group) for group in failures.groups(run.id)]})

    @extend_schema(
        tags=["results"], operation_id="list_attempts", summary="List the attempts of a run",
        parameters=[RUN, *paging.parameters(most=MOST, default=100)],
        responses={200: AttemptList},
    )  # fmt: skip
    def attempts(self, request: Request, uuid: str) -> Response:
        """Ended attempts by task number; `after=N` goes on after task N.

        The attempts at one task always stand on one page.
        """
        run = reports.find_run(request.user, uuid)
        after, limit = paging.position(request, most=MOST, default=100)
        rows, more = results.attempts(run, after=min(after, results.LAST), limit=limit)
        following = paging.address(request, rows[-1]["task"]) if more else None
        return Response({"data": rows, "next": following})


def stream(
    request: Request, rows: Iterator[results.Row], fields: tuple[str, ...]
) -> StreamingHttpResponse:
    """Rows as a download that is made while it is read.

    Raises:
        UnknownInfo: there is no such format.
    """
    kind = request.query_params.get("as", "ndjson")
    if kind not in FORMATS:
        raise UnknownInfo(kind, list(FORMATS), what="format")
    lines = results.as_csv(rows, fields) if kind == "csv" else results.as_ndjson(rows)
    return StreamingHttpResponse(lines, content_type=FORMATS[kind])
