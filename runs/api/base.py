"""What the views of the API share."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from rest_framework.exceptions import ParseError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from runs.errors import CutOff

JSON = JSONRenderer()
GARBLED = (OSError, ParseException)
"""What reading a body raises that is cut off, or whose chunks make no sense."""
MOST_LINE = 2**20
"""Bytes of a line of NDJSON that are read at once; none of this length is taken."""


def no_content() -> HttpResponse:
    """The answer without a word: a plain one, because there is nothing for DRF to render."""
    response = HttpResponse(status=204)
    del response.headers["Content-Type"]
    return response


class FarmViewSet(ViewSet):
    """Calls whose body may come in chunks, without a length."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """What to answer in: JSON, which is all there is, looked up only where somebody asks."""
        if request.META.get("HTTP_ACCEPT", "*/*") == "*/*":
            return JSON, JSON.media_type
        return super().perform_content_negotiation(request, force)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the caller, then take the body in."""
        super().initial(request, *args, **kwargs)
        if not is_ndjson(request):
            take_chunks(request._request)


def take_chunks(request: HttpRequest) -> None:
    """Read a body of unknown length, which Django would pass over, up to one byte too many.

    Raises:
        ParseError: the chunks are garbled, or the client went away.
    """
    meta = request.META
    if meta.get("CONTENT_LENGTH") or not meta.get("wsgi.input_terminated"):
        return
    try:
        body = meta["wsgi.input"].read(settings.TASKFARM_MAX_BODY + 1)
        if len(body) > settings.TASKFARM_MAX_BODY:
            drain(meta["wsgi.input"])
    except GARBLED as error:
        raise ParseError("The chunks of the body are garbled.") from error
    meta["CONTENT_LENGTH"] = str(len(body))
    request._stream = BytesIO(body)


def drain(stream: Any) -> None:
    """Read on over 64 MiB at most: what stays unread would be taken for the next request."""
    for _ in range(1024):
        if not stream.read(65_536):
            return


NDJSON = "application/x-ndjson"


def is_ndjson(request: Request) -> bool:
    """Whether the body is a stream of lines, which is never taken in as a whole."""
    kind = str(request.META.get("CONTENT_TYPE", ""))
    return kind.split(";")[0].strip().lower() == NDJSON


def body_lines(request: Request) -> Iterator[bytes]:
    """The body line by line; a line that is far too long comes in pieces.

    Raises:
        CutOff: less came than was announced, or its chunks are garbled.
    """
    meta, count = request.META, 0
    length = int(meta.get("CONTENT_LENGTH") or 0)
    if meta.get("CONTENT_LENGTH") or not meta.get("wsgi.input_terminated"):
        stream: Any = request._request
    else:  # in chunks: Django would see no body
        stream = meta["wsgi.input"]
    try:
        while line := stream.readline(MOST_LINE):
            count += len(line)
            if count < length and len(line) < MOST_LINE and not line.endswith(b"\n"):
                break  # half a line may look like a whole one
            yield line
    except GARBLED as error:
        raise CutOff("The body was cut off, or its chunks are garbled.") from error
    if count < length:
        raise CutOff(f"The body was cut off: {count} bytes of {length} came.")


class JsonErrors(APIView):
    """A view that answers in another format, but refuses in JSON like all others."""

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        """Render a refusal as JSON."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if response.exception:
            response.accepted_renderer = JSONRenderer()
            response.accepted_media_type = "application/json"
        return response


class SchemaView(JsonErrors, SpectacularAPIView):
    """The OpenAPI schema."""


class DocsView(JsonErrors, SpectacularSwaggerSplitView):
    """The schema as a page to read and try."""

    template_name = "api_docs.html"
    url_name = "api-schema"

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Remember who is logged in to the pages, before the API makes nobody of him."""
        super().setup(request, *args, **kwargs)
        self.visitor = request.user

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The page, with the header of all pages; or its script."""
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        response.data["user"] = self.visitor
        return response
