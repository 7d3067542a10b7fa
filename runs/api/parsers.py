"""Bodies: one JSON object, of bounded size, without NaN."""

from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class ObjectParser(JSONParser):
    """JSON, as long as it is an object and no longer than ``TASKFARM_MAX_BODY``."""

    strict = True

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        """The object.

        Raises:
            RequestDataTooBig: the body is above the limit; it is not read.
            ParseError: it is not JSON, or no object.
        """
        length = int(parser_context["request"].META.get("CONTENT_LENGTH") or 0)
        if length > settings.TASKFARM_MAX_BODY:
            raise RequestDataTooBig
        try:
            data = super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        if not isinstance(data, dict):
            raise ParseError(f"The body must be a JSON object, not {kind(data)}.")
        return data


def kind(value: object) -> str:
    """What a JSON value is called."""
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
