"""Calls on workers: register one."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runs import workers
from runs.api.base import FarmViewSet
from runs.api.serializers import WorkerInput, WorkerOutput


class WorkerViewSet(FarmViewSet):
    """Workers."""

    @extend_schema(
        tags=["worker"],
        operation_id="create_worker",
        summary="Register a worker",
        request=WorkerInput,
        responses={201: WorkerOutput},
        examples=[
            OpenApiExample(
                "A process registers",
                value={
                    "uuid": "da8eb1c10eac4cefb39c8889d6d7170a", "hostname": "n012", "pid": 4711,
                },
                request_only=True,
            )
        ],
    )  # fmt: skip
    def create(self, request: Request) -> Response:
        """Register a client process under the UUID that it chose; it belongs to the caller."""
        body = WorkerInput(data=request.data)
        body.is_valid(raise_exception=True)
        worker = workers.register(owner=request.user, **body.validated_data)
        return Response({"uuid": worker.uuid.hex, "id": worker.id}, status=201)
