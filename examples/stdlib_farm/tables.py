"""The end of the run: the workers' results, merged and shown."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Result = dict[str, Any]


def read_results(folder: Path) -> list[Result]:
    """Merge what the workers wrote; of a task that was done twice the later result counts."""
    lines = (
        line for file in folder.glob("worker-*.jsonl") for line in file.read_text().splitlines()
    )
    results = sorted(filter(None, map(parse, lines)), key=lambda result: result["ended"])
    return sorted({result["task"]: result for result in results}.values(), key=by_task)


def by_task(result: Result) -> int:
    """The order of the library."""
    return int(result["task"])


def parse(line: str) -> Result | None:
    """One result; none where a worker was killed within a line."""
    try:
        result: Result = json.loads(line)
    except ValueError:
        return None
    return result


def report(results: list[Result], library: Path) -> str:
    """All tables."""
    good = [result for result in results if "error" not in result]
    bad = [result for result in results if "error" in result]
    parts = [per_worker(results), slowest(good, library), longest(good, library)]
    if bad:
        parts.append(failures(bad, library))
    parts.append(totals(good))
    return "\n\n".join(parts)


def per_worker(results: list[Result]) -> str:
    """How much each worker did: fast files and slow ones even out by themselves."""
    rows = []
    for worker in sorted({result["worker"] for result in results}):
        own = [result for result in results if result["worker"] == worker]
        failed = sum("error" in result for result in own)
        busy = sum(result["seconds"] for result in own)
        lines = sum(result.get("lines", 0) for result in own)
        rows.append([f"pid {worker}", len(own) - failed, failed, lines, f"{busy:.1f} s"])
    return table("Tasks per worker", ["worker", "done", "failed", "lines", "computing"], rows)


def slowest(good: list[Result], library: Path, count: int = 10) -> str:
    """The modules that took longest."""
    top = sorted(good, key=lambda result: -result["seconds"])[:count]
    rows = [
        [f"{r['seconds']:.2f} s", r["lines"], r["functions"], r["complexity"], module(r, library)]
        for r in top
    ]
    return table("Slowest modules", ["time", "lines", "functions", "complexity", "module"], rows)


def longest(good: list[Result], library: Path, count: int = 10) -> str:
    """The longest functions of the standard library."""
    functions = [
        (lines, name, f"{Path(result['file']).relative_to(library)}:{first}")
        for result in good
        for lines, name, first in result["longest"]
    ]
    top = sorted(functions, key=lambda function: (-function[0], function[2]))[:count]
    return table("Longest functions", ["lines", "function", "where"], top)


def failures(bad: list[Result], library: Path, count: int = 10) -> str:
    """The files that could not be read: most are there to test that."""
    rows = [[Path(r["file"]).relative_to(library), shorten(r["error"])] for r in bad[:count]]
    title = f"Failed: {len(bad)}" + (f", the first {count}" if len(bad) > count else "")
    return table(title, ["file", "why"], rows)


def totals(good: list[Result]) -> str:
    """All files together."""
    names = ("lines", "code_lines", "functions", "classes")
    lines, code, functions, classes = (sum(result[name] for result in good) for name in names)
    return (
        f"{len(good):,} files: {lines:,} lines, {code:,} of them code, "
        f"{functions:,} functions, {classes:,} classes"
    )


def module(result: Result, library: Path) -> str:
    """The dotted name of a file's module."""
    parts = Path(result["file"]).relative_to(library).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def shorten(text: str, width: int = 70) -> str:
    """One line that fits."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def table(title: str, head: list[str], rows: Iterable[Iterable[Any]]) -> str:
    """A plain table: numbers to the right, the rest to the left."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    right = [all(cell[:1].isdigit() for cell in column) for column in zip(*cells, strict=True)]
    right = right or [False] * len(head)

    def line(row: list[str]) -> str:
        padded = (
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        )
        return ("  " + "  ".join(padded)).rstrip()

    return "\n".join([title, line(head), *map(line, cells)])
