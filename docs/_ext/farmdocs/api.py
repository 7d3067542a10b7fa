"""The API: every call, from the OpenAPI schema and a session that is really played."""

import json
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from sphinx.errors import ExtensionError

from . import session
from .text import block, code, paragraphs, pretty, table

Json = dict[str, Any]
LARGEST = 2**40
"""Greater bounds are those of a column, and tell a reader nothing."""


@cache
def schema() -> Json:
    """The schema that the server gives at ``/api/schema/``."""
    generated: Json = SchemaGenerator().get_schema(request=None, public=True)
    return generated


def operations() -> list[tuple[str, str, Json]]:
    """Every call: method, path, operation."""
    return [
        (method.upper(), path, operation)
        for path, methods in schema()["paths"].items()
        for method, operation in methods.items()
    ]


def overview() -> str:
    """All calls on one screen."""
    rows = [
        (f"[`{method} {path}`](#call-{slug(operation)})", operation["summary"])
        for method, path, operation in operations()
    ]
    return table(("call", "what it does"), rows) + "\n"


def render() -> str:
    """All calls in full."""
    return paragraphs(*(describe(*one) for one in operations()))


def slug(operation: Json) -> str:
    """The end of a call's anchor."""
    return str(operation["operationId"]).replace("_", "-")


def describe(method: str, path: str, operation: Json) -> str:
    """One call."""
    return paragraphs(
        f"(call-{slug(operation)})=\n## `{method} {path}`",
        f"**{operation['summary']}.** {' '.join(operation.get('description', '').split())}",
        parameters(operation),
        body(operation),
        answers(operation),
        *examples(operation),
    )


def parameters(operation: Json) -> str:
    """What stands in the address."""
    rows = [
        (code(one["name"]), one["in"], kind(one["schema"]), one.get("description", ""))
        for one in sorted(operation.get("parameters", []), key=lambda one: one["in"] != "path")
    ]
    return table(("parameter", "in", "value", "meaning"), rows) if rows else ""


def body(operation: Json) -> str:
    """What is sent."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if not content:
        return ""
    shape = resolve(content["schema"])
    needed = shape.get("required", [])
    rows = [
        (code(name), kind(one), "yes" if name in needed else "", one.get("description", ""))
        for name, one in shape["properties"].items()
    ]  # fmt: skip
    return "Body, a JSON object:\n\n" + table(("field", "value", "required", "meaning"), rows)


def answers(operation: Json) -> str:
    """What comes back: successes, then refusals."""
    rows = [
        (code(status), " ".join(one.get("description", "").split()) or shape_of(one))
        for status, one in sorted(operation["responses"].items())
    ]
    return table(("status", "meaning"), rows)


def shape_of(response: Json) -> str:
    """The fields of a successful answer."""
    contents = response.get("content", {})
    content = contents.get("application/json")
    if not contents:
        return "Done; there is no body."
    if not content:
        return "A stream: " + " or ".join(code(one) for one in contents)
    return ", ".join(code(name) for name in resolve(content["schema"]).get("properties", {}))


def resolve(shape: Json) -> Json:
    """A schema with its reference followed."""
    if "$ref" in shape:
        name = shape["$ref"].rsplit("/", 1)[1]
        found: Json = schema()["components"]["schemas"][name]
        return resolve(found)
    for key in ("allOf", "oneOf"):
        if key in shape:
            return {**resolve(shape[key][0]), **shape}
    return shape


def kind(shape: Json) -> str:
    """What a value may be."""
    shape = resolve(shape)
    if "enum" in shape:
        return ", ".join(code(one) for one in shape["enum"] if one not in ("", None))
    text = {"integer": "whole number", "number": "number", "string": "text"}.get(
        shape.get("type", ""), shape.get("type", "")
    )
    if shape.get("format") in ("uuid", "date-time"):
        text = {"uuid": "UUID", "date-time": "ISO 8601 time"}[shape["format"]]
    least, most = shape.get("minimum"), shape.get("maximum")
    if least is not None:
        bounded = most is not None and most <= LARGEST
        text += f", {least:,} to {most:,}" if bounded else f", at least {least:,}"
    if "maxLength" in shape:
        text += f", at most {shape['maxLength']:,} characters"
    return text


def examples(operation: Json) -> list[str]:
    """The calls of the session that show this operation, as curl and its output.

    Raises:
        ExtensionError: the session has none: add one to ``session.STEPS``.
    """
    played = session.examples(operation["operationId"])
    if not played:
        raise ExtensionError(f"session.py shows no call of {operation['operationId']}.")
    return [example(one) for one in played]


def example(one: session.Answered) -> str:
    """One call and its answer."""
    step = one.step
    words = ["curl", "-u", "ada:secret"]
    if step.method != ("POST" if step.body is not None else "GET"):
        words += ["-X", step.method]
    if step.body is not None:
        words += ["-H", "'Content-Type: application/json'", "-d", f"'{json.dumps(step.body)}'"]
    words.append(f"'http://localhost:5000{step.path}'")
    refused = " It is refused:" if one.status >= 400 else ""
    return paragraphs(
        block("bash", " ".join(words)),
        f"Answer: `{one.status}`.{refused}",
        answer_block(one.answer),
    ).strip()


def answer_block(answer: Any) -> str:
    """What came back, as a block; nothing for nothing."""
    if answer is None:
        return ""
    return (
        block("text", answer.strip()) if isinstance(answer, str) else block("json", pretty(answer))
    )
