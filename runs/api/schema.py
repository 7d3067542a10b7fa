"""What the OpenAPI schema says beyond the calls themselves."""

from typing import Any

from django_filters import FilterSet, IsoDateTimeFilter
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer
from rest_framework.serializers import Serializer

ERRORS = {
    "400": "The input is wrong; `errors` says where and why. Nothing was changed.",
    "401": "The credentials are missing, wrong or expired.",
    "404": "There is no such thing, or it is not yours to see.",
    "406": "`Accept` asks for something else than `application/json`.",
    "409": "The state of things does not allow it now. Nothing was changed.",
    "413": "The body is larger than this farm takes.",
    "415": "The body is not `application/json`.",
    "429": "Too many failed logins; `Retry-After` says when to come back.",
    "503": "The database is away. Nothing was changed; ask again after `Retry-After` seconds.",
}
WITH_BODY = {"409", "413", "415"}
NO_BODY_BUT_CONFLICT = ("undo_event", "take_back_upload")

RESTART_ALL = OpenApiParameter(
    "all", OpenApiTypes.STR, enum=["True", "False", "true", "false"], default="False",
    description="Restart all tasks from 0, done ones included. Any other value is a 404.",
)  # fmt: skip


RUN = OpenApiParameter(
    "uuid", OpenApiTypes.STR, OpenApiParameter.PATH,
    description="The UUID of the run: 32 hex digits, dashes allowed.",
)  # fmt: skip
TASK = OpenApiParameter(
    "number", {"type": "integer"}, OpenApiParameter.PATH,
    description="The number of the task, from 0. One that the run does not have is a 404.",
)  # fmt: skip
WORKER = OpenApiParameter(
    "uuid", OpenApiTypes.STR, OpenApiParameter.PATH,
    description="The UUID of the worker: 32 hex digits, dashes allowed.",
)  # fmt: skip
EVENT = OpenApiParameter(
    "event", {"type": "integer"}, OpenApiParameter.PATH, description="The id of the event."
)
STRICT = {"RunNumber", "TaskValue"}
"""Objects that have one of their fields, and no other; what comes in is strict anyhow."""


def either(name: str, *shapes: type[Serializer[Any]]) -> PolymorphicProxySerializer:
    """A response that has one of some shapes, depending on the query."""
    return PolymorphicProxySerializer(
        component_name=name, serializers=list(shapes), resource_type_field_name=None
    )


def INFO(known: list[str]) -> OpenApiParameter:
    """The documented query parameter ``info``."""
    return OpenApiParameter(
        "info", OpenApiTypes.STR, enum=["", *known],
        description="Only this one value. Anything else is a 404.",
    )  # fmt: skip


def filters_of(filterset: type[FilterSet]) -> list[OpenApiParameter]:
    """The query parameters that a list's filters understand."""
    return [
        OpenApiParameter(
            name,
            OpenApiTypes.DATETIME if isinstance(one, IsoDateTimeFilter) else OpenApiTypes.STR,
            enum=[value for value, _ in one.extra.get("choices", ())] or None,
            description=f"{one.label}.",
        )
        for name, one in filterset.base_filters.items()
    ]


class FarmScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The two ways to send credentials."""

    target_class = "accounts.authentication.FarmAuthentication"
    name = ["basic", "bearer"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        """HTTP Basic with a password or a token as the user, or a token as Bearer."""
        return [
            {
                "type": "http",
                "scheme": "basic",
                "description": "User and password, or a token as user.",
            },
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        """One of the two is enough."""
        return [{name: []} for name in self.name]


def add_common_errors(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add to every call the refusals that any call can meet, in their one shape."""
    tighten(result["components"]["schemas"])
    result["components"]["schemas"]["Error"] = ERROR_SCHEMA
    for path in result["paths"].values():
        for call in path.values():
            add_errors(call)
    return result


def add_errors(call: dict[str, Any]) -> None:
    """Add the refusals to one call, and that its body may not be left out."""
    shape = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    with_body = "requestBody" in call
    for status, meaning in ERRORS.items():
        conflict = status == "409" and call["operationId"] in NO_BODY_BUT_CONFLICT
        if with_body or conflict or status not in WITH_BODY:
            call["responses"].setdefault(status, {"description": meaning, "content": shape})
    if with_body:
        call["requestBody"]["required"] = call["operationId"] not in BODY_OPTIONAL


def tighten(shapes: dict[str, Any]) -> None:
    """Say of the shapes that take no unknown fields that they take none."""
    for name, one in shapes.items():
        if name in STRICT:
            one.update(additionalProperties=False, minProperties=1, maxProperties=1)
        elif name.endswith("Request"):
            one.update(additionalProperties=False, minProperties=1)


BODY_OPTIONAL = ("restart_run", "pause_run", "resume_run", "cancel_run", "end_upload")
"""Calls that mean something without a body, too."""

ERROR_SCHEMA = {
    "type": "object",
    "required": ["detail", "code"],
    "properties": {
        "detail": {
            "type": "string",
            "description": "What was wrong, with which value, and what to do.",
        },
        "code": {
            "type": "string",
            "description": "The same as one word that programs may rely on.",
        },
        "errors": {
            "type": "object",
            "description": "For bad input: the reasons by field.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
    "example": {"detail": "numTasks: This field is required.", "code": "invalid"},
}
