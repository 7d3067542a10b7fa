"""Inputs of tasks on their way to the server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from ._answers import Json
from ._errors import InvalidArgumentError
from ._session import plain

CHUNK = 20_000
CHUNK_BYTES = 4 * 2**20
"""Inputs that are sent at once: so many, and so many bytes."""

MOST_INPUT = 256 * 1024


def chunks(inputs: Iterable[Json]) -> Iterator[list[str]]:
    """Encode inputs, in pieces of bounded size.

    Args:
        inputs: JSON values.

    Yields:
        lists of JSON texts.

    Raises:
        InvalidArgumentError: one of them is no JSON value, or too large.
    """
    texts: list[str] = []
    size = 0
    for index, value in enumerate(inputs):
        text = _encode(value, index)
        if texts and (len(texts) == CHUNK or size + len(text) > CHUNK_BYTES):
            yield texts
            texts, size = [], 0
        texts.append(text)
        size += len(text)
    if texts:
        yield texts


def _encode(value: Json, index: int) -> str:
    try:
        text = json.dumps(value, allow_nan=False, default=plain, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"Input {index} cannot be sent as JSON: {error}.") from None
    if len(text) > MOST_INPUT:
        raise InvalidArgumentError(
            f"Input {index} has {len(text)} bytes, and {MOST_INPUT} at most are kept. Put the data "
            "into a file, and its path into the input."
        )
    return text
