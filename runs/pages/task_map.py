"""The task map: the page, and the bytes that its script paints."""

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from itertools import chain
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from runs import map as maps
from runs import samples, tallies
from runs.map import KINDS, Kind, Picture
from runs.models import Run
from runs.pages.frame import framed
from runs.pages.page import farm_page, number, page, run_of
from runs.tallies import Counts

QUICKEST = 1
"""zlib's level: a map is long runs of the same few bytes, which any level finds."""


@dataclass(frozen=True)
class Asked:
    """What the address asks for: how to colour which numbers, how many in a row (0: as fits)."""

    by: str
    first: int
    last: int
    columns: int


def asked(request: HttpRequest, run: Run) -> Asked:
    """The wishes of an address; what makes no sense is passed over."""
    by = request.GET.get("by", "")
    first = number(request.GET.get("first"), 0)
    last = number(request.GET.get("last"), run.num_tasks - 1)
    columns = number(request.GET.get("columns"), run.columns or 0)
    return Asked(by if by in KINDS else "state", first, last, min(columns, 10_000))


def kind_of(run: Run, counts: Counts, by: str) -> tuple[tuple[str, ...], Kind]:
    """The kind of a name, with the values that its code needs."""
    if by != "host":
        return (), KINDS[by]
    hosts, kind = maps.by_host(samples.draw(run, counts))
    return tuple(hosts), kind


@farm_page
@require_safe
def show_map(request: HttpRequest, uuid: str) -> HttpResponse:
    """The page around the map; its legend, and the form for what is selected on it."""
    run = run_of(request, uuid)
    wish = asked(request, run)
    context = framed(run, "map")
    values, kind = kind_of(run, context["shown"].counts, wish.by)
    shown = maps.picture(run, kind, wish.first, wish.last, values, wish.columns)
    context |= {
        "wish": wish,
        "kinds": KINDS,
        "kind": kind,
        "map": shown,
        "part": (shown.first, shown.last) != (0, max(run.num_tasks - 1, 0)),
    }
    return page(request, "runs/map.html", context)


@farm_page
@require_safe
def cells(request: HttpRequest, uuid: str) -> HttpResponseBase:
    """The map's head as a line of JSON, then a byte for each cell; nothing if nothing has moved."""
    run = run_of(request, uuid)
    wish = asked(request, run)
    kept = tallies.look([run.id]).get(run.id)
    tag = tag_of(wish, kept)
    if wish.by != "age" and request.headers.get("If-None-Match") == tag:
        response: HttpResponseBase = HttpResponse(status=304)
    else:
        counts = kept.counts if kept else Counts()
        values, kind = kind_of(run, counts, wish.by)
        shown = maps.picture(run, kind, wish.first, wish.last, values, wish.columns)
        response = stream(request, chain([head(shown)], maps.paint(run, shown, counts)))
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ["Accept-Encoding", "Cookie"])
    return response


def tag_of(wish: Asked, kept: tallies.Kept | None) -> str:
    """What changes whenever a task of the map changes its state.

    The time alone does not: a transaction that began early may end late. The counts do, those of
    the attempts included: they only grow.
    """
    moved = kept.moved.timestamp() if kept and kept.moved else 0
    counts = "-".join(str(one) for one in astuple(kept.counts if kept else Counts()))
    return f'W/"{wish.by}-{wish.first}-{wish.last}-{wish.columns}-{moved}-{counts}"'


def head(shown: Picture) -> bytes:
    """The first line: what the bytes after it stand for."""
    told: dict[str, Any] = {
        "first": shown.first,
        "last": shown.last,
        "per": shown.per,
        "cells": shown.cells,
        "legend": shown.kind.legend,
    }
    return json.dumps(told).encode() + b"\n"


def stream(request: HttpRequest, parts: Iterable[bytes]) -> StreamingHttpResponse:
    """The bytes as they come, compressed where the browser takes that."""
    zipped = "gzip" in request.headers.get("Accept-Encoding", "")
    response = StreamingHttpResponse(
        compress(parts) if zipped else parts, content_type="application/octet-stream"
    )
    if zipped:
        response.headers["Content-Encoding"] = "gzip"
    return response


def compress(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts as one gzip stream, each sent on at once, so that the map appears as it comes."""
    press = zlib.compressobj(QUICKEST, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for part in parts:
        yield press.compress(part) + press.flush(zlib.Z_SYNC_FLUSH)
    yield press.flush()
