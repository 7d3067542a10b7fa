"""``POST /api/worker/UUID/exchange``: the one call of a modern worker.

What its body may say stands in ``runs/api/wish.py``.
"""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runs import exchange, plain, sweep, workers
from runs.api.base import FarmViewSet, no_content
from runs.api.schema import WORKER
from runs.api.shapes import ExchangeInput, ExchangeOutput
from runs.api.wish import read_wish
from runs.exchange import Answer


class ExchangeViewSet(FarmViewSet):
    """The exchange of a worker."""

    @extend_schema(
        tags=["worker"],
        operation_id="exchange",
        summary="Report and get tasks in one call",
        parameters=[WORKER],
        request=ExchangeInput,
        responses={200: ExchangeOutput},
        examples=[
            OpenApiExample(
                "A worker",
                value={
                    "want": 2,
                    "runs": ["da8eb1c10eac4cefb39c8889d6d7170a"],
                    "reports": {
                        "da8eb1c10eac4cefb39c8889d6d7170a": [
                            {"task": 17, "attempt": 1, "status": "done", "output": {"mean": 0.5}}
                        ]
                    },
                },
                request_only=True,
            )
        ],
    )
    def exchange(self, request: Request, uuid: str) -> Response:
        """Take reports in, hand tasks out, tell what to drop; and a sign of life by the way.

        `tasks` are handed out, `drop` names what the worker is not to work on any more, `stale`
        what came too late. `retryAfter` says after how many seconds to ask again when there was
        less than wanted; `finished` that there will be no more.
        """
        worker = workers.find(owner=request.user, uuid=uuid)
        wish = read_wish(request.data)
        answer = exchange.exchange(user=request.user, worker=worker, wish=wish)
        return Response(show(answer))

    @extend_schema(
        tags=["worker"],
        operation_id="sign_off",
        summary="A worker signs off",
        parameters=[WORKER],
        responses={204: None},
    )
    def sign_off(self, request: Request, uuid: str) -> HttpResponse:
        """Release what the worker holds: its tasks wait again at once."""
        sweep.sign_off(workers.find(owner=request.user, uuid=uuid))
        return no_content()


def show(answer: Answer) -> dict[str, Any]:
    """The answer as JSON."""
    return {
        "tasks": [
            {
                "run": one.run,
                "task": one.number,
                "attempt": one.attempt,
                "percentCompleted": one.percent,
                **({} if one.input is None else {"input": plain.read_back(one.input)}),
            }
            for one in answer.tasks
        ],
        "drop": answer.drop,
        "stale": answer.stale,
        "gone": answer.gone,
        "retryAfter": answer.retry_after,
        "finished": answer.finished,
        "heartbeat": answer.heartbeat,
    }
