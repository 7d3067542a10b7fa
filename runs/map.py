"""A run as a picture: one byte for each task, or for each few of them, by number.

The bytes are put together by the database, a window at a time, so that neither a million tasks nor
ten million ever stand in memory here; what they mean stands in ``KINDS``. In a run of more than
``MOST_CELLS`` tasks a cell stands for several and shows the one that needs attention most.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection

from runs import layers
from runs.dialect import fetch
from runs.models import Run, task_id
from runs.samples import Sampled
from runs.tallies import Counts

MOST_CELLS = 1_000_000
LEAST_CELLS = 50
"""Cells that a row of a grid has at least where several tasks share one."""
WINDOW = 50_000
"""Cells that one statement puts together."""
MOST_HOSTS = 11
ZERO = 48
"""The byte of code 0: codes go on with the characters after the digit."""

WORDS = {
    "postgresql": {
        "took": "EXTRACT(EPOCH FROM updated - started)",
        "since": "EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP() - updated)",
        "least": "LEAST",
        "text": "STRING_AGG(CHR(48 + code), '')",
    },
    "sqlite": {
        "took": "(JULIANDAY(updated) - JULIANDAY(started)) * 86400",
        "since": "(JULIANDAY('now') - JULIANDAY(updated)) * 86400",
        "least": "MIN",
        "text": "GROUP_CONCAT(CHAR(48 + code), '')",
    },
}
CASES = " ".join(f"WHEN {int(state)} THEN {code}" for code, state in enumerate(layers.ORDER))
STATE = f"CASE state {CASES} END"
STATES = tuple(str(state.label) for state in layers.ORDER)
TIMES = (
    (0.1, "under 0.1 s"), (1, "under 1 s"), (3, "under 3 s"), (10, "under 10 s"),
    (30, "under 30 s"), (60, "under 1 min"), (300, "under 5 min"), (900, "under 15 min"),
    (3600, "under 1 h"), (21_600, "under 6 h"), (86_400, "under 1 d"),
)  # fmt: skip


def steps(seconds: str) -> str:
    """The code of a time: 1 for the shortest, one more for each step of ``TIMES``."""
    cases = " ".join(
        f"WHEN {seconds} < {most} THEN {place}" for place, (most, _) in enumerate(TIMES, 1)
    )
    return f"CASE {cases} ELSE {len(TIMES) + 1} END"


@dataclass(frozen=True)
class Kind:
    """One way to colour the tasks: its title, its code in SQL, and what the codes mean."""

    title: str
    code: str
    legend: tuple[str, ...]


TIME_LEGEND = (*(words for _, words in TIMES), "longer")
KINDS = {
    "state": Kind("State", STATE, STATES),
    "duration": Kind(
        "Duration",
        f"CASE WHEN state IN (2, 3) AND started IS NOT NULL THEN {steps('{took}')} ELSE 0 END",
        ("not ended", *TIME_LEGEND),
    ),
    "attempts": Kind(
        "Attempts",
        "{least}(attempt, 9)",
        ("none", "1", "2", "3", "4", "5", "6", "7", "8", "9 or more"),
    ),
    "age": Kind(
        "Last word",
        f"CASE WHEN updated IS NULL THEN 0 ELSE {steps('{since}')} END",
        ("never", *TIME_LEGEND),
    ),
    "host": Kind("Host", "", ()),
}


def by_host(sample: list[Sampled]) -> tuple[list[str], Kind]:
    """The kind that colours by host: the hosts that the sample names most have a colour each."""
    seen: dict[str, int] = {}
    for one in sample:
        if one.host:
            seen[one.host] = seen.get(one.host, 0) + 1
    hosts = sorted(sorted(seen, key=lambda host: -seen[host])[:MOST_HOSTS])
    cases = " ".join(f"WHEN %s THEN {place}" for place in range(1, len(hosts) + 1))
    others = len(hosts) + 1
    known = f"CASE w.hostname {cases} ELSE {others} END" if hosts else str(others)
    code = f"CASE WHEN worker_id IS NULL THEN 0 ELSE {known} END"
    return hosts, Kind("Host", code, ("none", *hosts, "others"))


@dataclass(frozen=True)
class Picture:
    """What is to be painted: numbers from ``first`` to ``last``, ``per`` of them in a cell.

    ``columns``: the cells of a row; 0: as many as fit.
    """

    first: int
    last: int
    per: int
    kind: Kind
    values: tuple[str, ...] = ()
    columns: int = 0

    @property
    def cells(self) -> int:
        """How many cells it has."""
        return -(-(self.last - self.first + 1) // self.per)


def picture(
    run: Run, kind: Kind, first: int, last: int, values: tuple[str, ...] = (), columns: int = 0
) -> Picture:
    """The picture of a range of numbers, cut to those that the run has.

    Args:
        run: the run.
        kind: how cells are coloured, ``values`` what that needs.
        first: the range's first number; that of its row where the tasks are a grid.
        last: its last one.
        values: see ``by_host``.
        columns: tasks in a row of the grid that the tasks are; 0: they are none.
    """
    first = max(min(first, run.num_tasks - 1), 0)
    first -= first % columns if columns else 0
    last = max(min(last, run.num_tasks - 1), first)
    per, in_row = divide(columns, -(-(last - first + 1) // MOST_CELLS))
    return Picture(first, last, per, kind, values, in_row)


def divide(columns: int, least: int) -> tuple[int, int]:
    """How many tasks share a cell, at ``least`` so many, and how many cells a row has.

    A grid is kept if its rows are whole numbers of cells, and not too few.
    """
    if least == 1:
        return 1, columns
    sizes = range(least, columns // LEAST_CELLS + 1)
    size = next((one for one in sizes if columns % one == 0), None)
    return (size, columns // size) if size else (least, 0)


EACH = """
SELECT {text} FROM (
    SELECT {code} AS code FROM runs_task{hosts} WHERE runs_task.id BETWEEN %s AND %s
    ORDER BY runs_task.id
) AS cells
"""
SEVERAL = """
SELECT {text} FROM (
    SELECT MAX({code}) AS code FROM runs_task{hosts}
    WHERE runs_task.id BETWEEN %s AND %s
    GROUP BY (number - %s) / %s ORDER BY (number - %s) / %s
) AS cells
"""
HOSTS = " LEFT JOIN runs_worker AS w ON w.id = worker_id"


def paint(run: Run, shown: Picture, counts: Counts) -> Iterator[bytes]:
    """The bytes of a picture, a window at a time; a code is its byte less ``ZERO``."""
    if not run.num_tasks:
        return
    if shown.kind is KINDS["state"] and layers.fit(counts):
        found = layers.paint(run, shown.first, shown.last, shown.per, ZERO)
        if found is not None:
            yield found
            return
    yield from scan(run, shown)


def scan(run: Run, shown: Picture) -> Iterator[bytes]:
    """The same by looking at every task."""
    words = WORDS[connection.vendor]
    statement = EACH if shown.per == 1 else SEVERAL
    # The code has words of its own, such as {took}, and those of the window are numbers.
    code = shown.kind.code.format(**words) if "{" in shown.kind.code else shown.kind.code
    hosts = HOSTS if "w.hostname" in code else ""
    statement = (
        statement.replace("{text}", words["text"]).replace("{code}", code).replace("{hosts}", hosts)
    )
    size = WINDOW * shown.per if shown.per == 1 else max(WINDOW // 10, 1) * shown.per
    for start in range(shown.first, shown.last + 1, size):
        end = min(start + size - 1, shown.last)
        grid = [] if shown.per == 1 else [start, shown.per, start, shown.per]
        ids = [task_id(run.id, start), task_id(run.id, end)]
        found = fetch(statement, [*shown.values, *ids, *grid])[0][0]
        yield (found or "").encode("ascii")
