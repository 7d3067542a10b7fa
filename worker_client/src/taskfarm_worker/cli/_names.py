"""Which run is meant: by UUID, the start of one, a name, a working folder, or `last`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlencode

from .. import _rows
from .._answers import Json
from .._connect import Farm
from .._errors import InvalidArgumentError, NotFoundError
from .._run import Run
from ..commands.workdir import CONFIGURATION, find_run

Row = dict[str, Json]

HEX = re.compile(r"[0-9a-f]{4,32}")
LOOK_BACK = (timedelta(hours=1), timedelta(days=1), timedelta(days=30), None)
"""How far `last` looks back, step by step: a farm may know very many runs."""


def run_named(farm: Farm, text: str) -> Run:
    """Find the run that somebody means.

    Args:
        farm: where to look.
        text: a UUID, a unique start of one (four digits or more), a name, a working folder, or
            `last`.

    Returns:
        the run.

    Raises:
        NotFoundError: there is none, or the user may not see it.
        InvalidArgumentError: several are meant.
    """
    if not text.strip():  # an unset variable of a shell must not mean the only unnamed run
        raise InvalidArgumentError("The run is missing: give a UUID, a name, a folder or `last`.")
    if text == "last":
        return _last(farm)
    if Path(text).is_dir() and ("/" in text or Path(text, CONFIGURATION).exists()):
        return farm.run(find_run(Path(text)))
    digits = text.replace("-", "").lower()
    whole = HEX.fullmatch(digits) is not None
    if whole and len(digits) == 32:
        return farm.run(digits)
    found = list(rows(farm, search=text))
    named = [row for row in found if row["name"] == text]
    meant = named or [row for row in found if whole and row["uuid"].startswith(digits)]
    if not meant:
        raise NotFoundError(
            f"There is no run {text!r}: give a UUID, at least four digits of its start, a name, "
            "a working folder, or 'last'. 'taskfarm ls' lists the runs."
        )
    if len(meant) > 1:
        shown = ", ".join(f"{row['uuid'][:12]} ({row['created'][:16]})" for row in meant[-5:])
        raise InvalidArgumentError(f"{text!r} may be {len(meant)} runs; the last are {shown}.")
    return Run(farm._server, str(meant[0]["uuid"]))


def rows(farm: Farm, **filters: object) -> Iterator[Row]:
    """Go through the runs that the user may see, oldest first, as the server tells them.

    Args:
        farm: where to look.
        filters: such as `namespace`, `name`, `state`, `search`.

    Yields:
        per run a dictionary with `uuid`, `name`, `numTasks` and so on.
    """
    given = {name: str(value) for name, value in filters.items() if value not in (None, "")}
    # What is no text in UTF-8, a file's name perhaps, is looked for, too, and not found.
    query = urlencode({**given, "limit": 1000}, errors="surrogatepass")
    yield from _rows.pages(farm._server, f"runs?{query}")


def since(back: timedelta | None) -> dict[str, str]:
    """Narrow a list of runs to those that were created lately.

    Args:
        back: how far to look back; None for all.

    Returns:
        a filter for `rows`.
    """
    if back is None:
        return {}
    return {"created_after": (datetime.now(timezone.utc) - back).isoformat()}


def _last(farm: Farm) -> Run:
    """The run that the user created last; others' are never meant, even where they can be seen."""
    owner = farm._server.user
    for back in LOOK_BACK:
        newest: Row | None = None
        for row in rows(farm, **since(back), owner=owner):
            newest = row
        if newest is not None:
            return Run(farm._server, str(newest["uuid"]))
    raise NotFoundError("There is no run yet: 'taskfarm submit' makes one.")
